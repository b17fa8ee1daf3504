"""`/health/live` and `/health/ready`, for operators (`/metrics` is in hooks.metrics)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, jsonify

if TYPE_CHECKING:
    from hooks.app import Deployment

blueprint = Blueprint("health", __name__)


@blueprint.get("/health/live")
def live() -> Response:
    """The process answers; it goes on by itself once the ledger's database is back, so that needs no restart."""
    return jsonify({"status": "live"})


@blueprint.get("/health/ready")
def ready() -> Response:
    """Policies are loaded, and the ledger can be written: the service can answer calls.

    503 and an OperationOutcome (CDS-401) while it cannot, within a few seconds.
    """
    deployment: Deployment = current_app.extensions["therapy-cds"]
    deployment.ledger.check()
    return jsonify({"status": "ready", "policies": {policy.id: policy.version for policy in deployment.policies}})
