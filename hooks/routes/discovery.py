"""`GET /cds-services`: what this service answers, and what it would like to be sent."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from cds.fhir.queries import queries_for, template_of
from cds.model import Need
from cds.rules.needs import needs_of
from cds.rules.policy import Policy
from cds.service import BASICS
from cds.terminology import Terminology
from hooks.callers import CALLERS
from hooks.configuration import service_extension

blueprint = Blueprint("discovery", __name__)
# Which service answers which hook.
HOOKS = {f"{hook}-therapy": hook for hook in CALLERS}


def prefetch_templates(policies: tuple[Policy, ...], terms: Terminology, hook: str = "order-sign") -> dict[str, str]:
    """Templates for what the loaded policies and the hook need, derived from the same table as the searches."""
    caller = CALLERS[hook]
    needs: tuple[Need, ...] = (*BASICS, *caller.needs, *needs_of(caller.part_of(policies)))
    queries = {**{query.key: query for query in caller.queries}, **queries_for(needs, terms)}
    return {key: template_of(query) for key, query in queries.items()}


def service_list(policies: tuple[Policy, ...], terms: Terminology) -> list[dict[str, Any]]:
    """The services as discovery lists them (CDS Hooks 2.0.1, Discovery)."""
    return [
        {
            "hook": hook,
            "id": service_id,
            "title": CALLERS[hook].title,
            "description": CALLERS[hook].description,
            "prefetch": prefetch_templates(policies, terms, hook),
            "usageRequirements": (
                "Works from prefetch alone, or fetches what was not sent with fhirServer and fhirAuthorization"
            ),
        }
        for service_id, hook in HOOKS.items()
    ]


@blueprint.get("/cds-services")
def discovery() -> Response:
    """The services of this deployment."""
    deployment = current_app.extensions["therapy-cds"]
    extension = service_extension(deployment.settings.role)
    services = service_list(deployment.policies, deployment.terms)
    return jsonify({"services": [service | {"extension": extension} for service in services]})
