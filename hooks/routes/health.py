"""`/health/live`, `/health/ready` and `/metrics`, for operators."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

blueprint = Blueprint("health", __name__)


@blueprint.get("/health/live")
def live() -> Response:
    """The process answers."""
    return jsonify({"status": "live"})


@blueprint.get("/health/ready")
def ready() -> Response:
    """Policies are loaded: the service can answer calls."""
    deployment = current_app.extensions["therapy-cds"]
    return jsonify({"status": "ready", "policies": {policy.id: policy.version for policy in deployment.policies}})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Counters and timings in the Prometheus text format."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
