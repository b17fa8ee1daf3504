"""`GET /fhir/PlanDefinition` and `/fhir/Questionnaire`: this deployment's policies and forms, for others' tools."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, request

from cds.authoring.plan_definition import plan_definition
from hooks.errors import operation_outcome

if TYPE_CHECKING:
    from hooks.app import Deployment

blueprint = Blueprint("fhir", __name__, url_prefix="/fhir")
FHIR_JSON = "application/fhir+json"
SEARCHABLE = {"_id": "id", "url": "url", "status": "status", "version": "version", "title": "title"}
Json = dict[str, Any]


@blueprint.get("/PlanDefinition")
def search() -> Response:
    """A searchset of all policies, or of those that the parameters (`_id`, `url`, `status`, …) ask for."""
    return _searchset("PlanDefinition", _plans())


@blueprint.get("/PlanDefinition/<policy_id>")
def read(policy_id: str) -> Response:
    """One policy; 404 and an OperationOutcome where there is none of that id."""
    return _one("PlanDefinition", _plans(), policy_id, "policy")


@blueprint.get("/Questionnaire")
def search_questionnaires() -> Response:
    """A searchset of the outcome measures whose items may be shown, by the same parameters."""
    return _searchset("Questionnaire", _forms())


@blueprint.get("/Questionnaire/<form_id>")
def read_questionnaire(form_id: str) -> Response:
    """One outcome measure as a form; 404 and an OperationOutcome where none of that id is shipped."""
    return _one("Questionnaire", _forms(), form_id, "questionnaire")


def _searchset(kind: str, resources: list[Json]) -> Response:
    asked = [(name, value) for name, value in request.args.items(multi=True) if name in SEARCHABLE]
    found = [resource for resource in resources if all(_fits(resource, name, value) for name, value in asked)]
    query = f"?{urlencode(asked)}" if asked else ""
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": f"{_base()}/{kind}{query}"}],
    }
    if found:  # FHIR has no empty lists
        bundle["entry"] = [{"fullUrl": r["url"], "resource": r, "search": {"mode": "match"}} for r in found]
    return _answer(bundle)


def _one(kind: str, resources: list[Json], wanted: str, what: str) -> Response:
    found = next((resource for resource in resources if resource["id"] == wanted), None)
    if found is None:
        outcome = operation_outcome("not-found", f"There is no {what} of that id; GET /fhir/{kind} lists all")
        return _answer(outcome, 404)
    return _answer(found)


def _plans() -> list[Json]:
    deployment: Deployment = current_app.extensions["therapy-cds"]
    today = date.today()
    return [plan_definition(policy, deployment.terms, _base(), today) for policy in deployment.policies]


def _forms() -> list[Json]:
    """The shipped Questionnaires under this deployment's address, by which its Tasks name them."""
    deployment: Deployment = current_app.extensions["therapy-cds"]
    return [
        {**form, "url": f"{_base()}/Questionnaire/{form['id']}", "derivedFrom": [f"{form['url']}|{form['version']}"]}
        for form in deployment.terms.forms.values()
    ]


def _base() -> str:
    return str(current_app.extensions["therapy-cds"].settings.base_url).rstrip("/") + "/fhir"


def _fits(resource: Json, name: str, value: str) -> bool:
    """Tokens are compared whole, `title` by its beginning; a comma lists alternatives."""
    held = str(resource[SEARCHABLE[name]])
    wanted = value.split(",")
    return any(held.lower().startswith(w.lower()) for w in wanted) if name == "title" else held in wanted


def _answer(resource: Json, status: int = 200) -> Response:
    return Response(json.dumps(resource, ensure_ascii=False), status, content_type=FHIR_JSON)
