"""`/health/live` and `/health/ready`, for operators (`/metrics` is in hooks.metrics)."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify

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
