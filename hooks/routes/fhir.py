"""`GET /fhir/PlanDefinition`: the policies of this deployment, for others' tools to list."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, request

from cds.authoring.plan_definition import plan_definition
from hooks.errors import operation_outcome

blueprint = Blueprint("fhir", __name__, url_prefix="/fhir")
FHIR_JSON = "application/fhir+json"
SEARCHABLE = {"_id": "id", "url": "url", "status": "status", "version": "version", "title": "title"}


@blueprint.get("/PlanDefinition")
def search() -> Response:
    """A searchset of all policies, or of those that the parameters (`_id`, `url`, `status`, …) ask for."""
    asked = [(name, value) for name, value in request.args.items(multi=True) if name in SEARCHABLE]
    found = [plan for plan in _plans() if all(_fits(plan, name, value) for name, value in asked)]
    query = f"?{urlencode(asked)}" if asked else ""
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": f"{_base()}/PlanDefinition{query}"}],
    }
    if found:  # FHIR has no empty lists
        bundle["entry"] = [{"fullUrl": p["url"], "resource": p, "search": {"mode": "match"}} for p in found]
    return _answer(bundle)


@blueprint.get("/PlanDefinition/<policy_id>")
def read(policy_id: str) -> Response:
    """One policy; 404 and an OperationOutcome where there is none of that id."""
    plan = next((plan for plan in _plans() if plan["id"] == policy_id), None)
    if plan is None:
        outcome = operation_outcome("not-found", "There is no policy of that id; GET /fhir/PlanDefinition lists all")
        return _answer(outcome, 404)
    return _answer(plan)


def _plans() -> list[dict[str, Any]]:
    deployment = current_app.extensions["therapy-cds"]
    today = date.today()
    return [plan_definition(policy, deployment.terms, _base(), today) for policy in deployment.policies]


def _base() -> str:
    return str(current_app.extensions["therapy-cds"].settings.base_url).rstrip("/") + "/fhir"


def _fits(plan: dict[str, Any], name: str, value: str) -> bool:
    """Tokens are compared whole, `title` by its beginning; a comma lists alternatives."""
    held = str(plan[SEARCHABLE[name]])
    wanted = value.split(",")
    return any(held.lower().startswith(w.lower()) for w in wanted) if name == "title" else held in wanted


def _answer(resource: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(resource, ensure_ascii=False), status, content_type=FHIR_JSON)
