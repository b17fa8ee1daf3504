"""What operators watch at `/metrics`: how many calls each service answered with which status, and how quickly.

Labels hold service ids, statuses and the configured FHIR servers only: never a patient or a user.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CALLS = Counter("therapy_cds_calls", "Calls of a CDS service, by HTTP status of the answer", ["service", "status"])
FEEDBACK = Counter("therapy_cds_feedback", "Posts of feedback, by HTTP status of the answer", ["service", "status"])
SECONDS = Histogram(
    "therapy_cds_call_seconds",
    "Time from a call's first byte read to its answer",
    ["service"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
BREAKERS = Gauge(
    "therapy_cds_fhir_breaker",
    "State of a configured FHIR server's circuit breaker: 1 for the one that it is in",
    ["server", "state"],
    multiprocess_mode="livesum",
)
STATES = ("closed", "half-open", "open")
UNKNOWN = "unknown"


def tell_breaker(server: str, state: str) -> None:
    """Keep the new state of a configured FHIR server's circuit breaker."""
    for each in STATES:
        BREAKERS.labels(server, each).set(1 if each == state else 0)


def register(app: Flask, services: Collection[str]) -> None:
    """Count and time every call below `/cds-services/`, count feedback apart, and answer `/metrics`."""

    @app.before_request
    def _begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def _count(response: Response) -> Response:
        path = request.path.split("/")
        if request.method == "POST" and path[1:2] == ["cds-services"] and len(path) > 2:
            # Names that callers make up would each become a time series.
            service = path[2] if path[2] in services else UNKNOWN
            if path[3:4] == ["feedback"]:
                FEEDBACK.labels(service, str(response.status_code)).inc()
                return response
            CALLS.labels(service, str(response.status_code)).inc()
            SECONDS.labels(service).observe(time.perf_counter() - g.began)
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def _registry() -> CollectorRegistry:
    """All workers' figures where PROMETHEUS_MULTIPROC_DIR names the folder that they share; else this worker's."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
