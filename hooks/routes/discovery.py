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

blueprint = Blueprint("discovery", __name__)
ORDER_SIGN = "order-sign-therapy"
HOOKS = {ORDER_SIGN: "order-sign"}


def prefetch_templates(policies: tuple[Policy, ...], terms: Terminology) -> dict[str, str]:
    """Templates for what the loaded policies need, derived from the same table as the searches."""
    needs: tuple[Need, ...] = (*BASICS, *needs_of(policies))
    return {key: template_of(query) for key, query in queries_for(needs, terms).items()}


def service_list(policies: tuple[Policy, ...], terms: Terminology) -> list[dict[str, Any]]:
    """The services as discovery lists them (CDS Hooks 2.0.1, Discovery)."""
    return [
        {
            "hook": "order-sign",
            "id": ORDER_SIGN,
            "title": "Therapy orders against necessity criteria",
            "description": (
                "Weighs physical, occupational and rehabilitation therapy orders against dated, cited criteria: "
                "visits against limits, outcome measures, lines on the plan's list, reassessment, contraindications"
            ),
            "prefetch": prefetch_templates(policies, terms),
            "usageRequirements": (
                "Works from prefetch alone, or fetches what was not sent with fhirServer and fhirAuthorization"
            ),
        }
    ]


@blueprint.get("/cds-services")
def discovery() -> Response:
    """The services of this deployment."""
    deployment = current_app.extensions["therapy-cds"]
    return jsonify({"services": service_list(deployment.policies, deployment.terms)})
