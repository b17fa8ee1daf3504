"""`create_app(settings)`: builds everything once, holds nothing of any one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests
from flask import Flask, Response, current_app, jsonify, request
from flask_cors import CORS

from cds.ehr.backend_file import read_backend_clients
from cds.ehr.client import pooled_session
from cds.ehr.reach import Reach
from cds.ehr.server import FhirServers
from cds.rules.load import load_policies, packaged_policies
from cds.rules.policy import Policy
from cds.terminology import Terminology, packaged
from hooks import errors, metrics
from hooks.body import Drain
from hooks.routes import discovery, fhir, health, services
from hooks.settings import Settings

SEARCHES_AT_ONCE = 20


@dataclass(frozen=True)
class Deployment:
    """What every call shares: settings, vocabularies, policies, connections."""

    settings: Settings
    terms: Terminology
    policies: tuple[Policy, ...]
    session: requests.Session
    pool: ThreadPoolExecutor
    servers: FhirServers


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application of one deployment; CdsError where a policy or setting cannot be used."""
    settings = settings or Settings()
    settings.check()
    terms = packaged()
    policies = load_policies([packaged_policies(), *settings.policy_path], terms)
    connections = min(64, settings.threads * SEARCHES_AT_ONCE)
    reach = Reach.of(settings.private_fhir_servers, loopback=not settings.is_production)
    session = pooled_session(connections, reach)
    deployment = Deployment(
        settings=settings,
        terms=terms,
        policies=policies,
        session=session,
        pool=ThreadPoolExecutor(max_workers=connections, thread_name_prefix="fhir"),
        servers=_servers(settings, session),
    )
    app = Flask("hooks", static_folder=None, template_folder=None)
    app.url_map.strict_slashes = False  # some clients end every address with a slash
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mib * 2**20
    app.extensions["therapy-cds"] = deployment
    errors.register(app)
    # Browser clients need CORS on answers of every status; the wildcard is safe because no cookies are used.
    CORS(
        app,
        origins=list(settings.cors_origins),
        methods=["GET", "POST", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=600,
    )
    metrics.register(app, discovery.HOOKS)
    app.before_request(_only_trusted)
    app.register_blueprint(discovery.blueprint)
    app.register_blueprint(services.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(fhir.blueprint)
    app.wsgi_app = Drain(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _servers(settings: Settings, session: requests.Session) -> FhirServers:
    """The FHIR servers that may be asked, each with its breaker and with the service's own access where it has one."""
    path = settings.backend_clients
    backends = read_backend_clients(path, settings.fhir_servers) if path else ()
    return FhirServers(session, settings.fhir_servers, backends, metrics.tell_breaker)


def _only_trusted() -> tuple[Response, int, dict[str, str]] | None:
    """Development mode trusts callers on this machine, and in networks named for it; nobody else is told why not."""
    deployment: Deployment = current_app.extensions["therapy-cds"]
    if request.method == "OPTIONS" or deployment.settings.trusts(request.remote_addr or ""):
        return None
    outcome = errors.operation_outcome("login", "This service does not know the caller")
    return jsonify(outcome), 401, {"WWW-Authenticate": "Bearer"}
