"""`create_app(settings)`: builds everything once, holds nothing of any one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files

import requests
from flask import Flask
from flask_cors import CORS

from cds.ehr.backend_file import read_backend_clients
from cds.ehr.client import pooled_session
from cds.ehr.reach import Reach
from cds.ehr.server import FhirServers
from cds.ledger.basis import Basis, basis_of
from cds.ledger.breaker import Breaker
from cds.ledger.database import engine_of
from cds.ledger.ledger import Ledger
from cds.rules.load import load_policies, packaged_policies
from cds.rules.policy import Policy
from cds.terminology import Terminology, packaged
from hooks import errors, metrics, refusals
from hooks.auth import Authenticator, only_known_callers
from hooks.body import Drain
from hooks.callers.warmth import Warmth
from hooks.clients import read_clients, tell_leniencies
from hooks.routes import discovery, feedback, fhir, health, insights, services
from hooks.seen_tokens import SeenInDatabase, SeenTokens
from hooks.settings import Settings
from hooks.smart.app import Smart, smart_of
from hooks.smart.story import routes as smart

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
    callers: Authenticator
    ledger: Ledger
    basis: Basis
    smart: Smart | None
    warmth: Warmth = field(default_factory=Warmth)


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application of one deployment; CdsError where a policy or setting cannot be used."""
    settings = settings or Settings()
    settings.check()
    terms = packaged()
    folders = [packaged_policies(), *settings.policy_path]
    policies = load_policies(folders, terms)
    engine = engine_of(settings.ledger_url)
    breaker = Breaker()
    ledger = Ledger(engine, retention_days=settings.retention_days, breaker=breaker)
    ledger.start()
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
        callers=_callers(settings, session, SeenInDatabase(engine, breaker)),
        ledger=ledger,
        basis=basis_of(folders, files("fhir_profiles")),
        smart=smart_of(settings, session, engine, ledger),
    )
    app = Flask("hooks", static_folder=None, template_folder=None)
    app.url_map.strict_slashes = False  # some clients end every address with a slash
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mib * 2**20
    app.extensions["therapy-cds"] = deployment
    errors.register(app)
    # Browser clients need CORS on answers of every status; the wildcard is safe because no cookies are used;
    # the SMART app's pages, which use one, are for no other origin's scripts. Nor is what operators read: in
    # development a browser on this machine gets it without a token, whatever page it shows.
    CORS(
        app,
        resources=r"/(?!smart/|insights|metrics).*",
        origins=list(settings.cors_origins),
        methods=["GET", "POST", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=600,
    )
    metrics.register(app, discovery.HOOKS)
    refusals.register(app, ledger, discovery.HOOKS, discovery.HOOKS.values())
    app.before_request(only_known_callers)
    app.register_blueprint(discovery.blueprint)
    app.register_blueprint(services.blueprint)
    app.register_blueprint(feedback.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(fhir.blueprint)
    app.register_blueprint(insights.blueprint)
    app.register_blueprint(smart.blueprint)
    app.wsgi_app = Drain(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _servers(settings: Settings, session: requests.Session) -> FhirServers:
    """The FHIR servers that may be asked, each with its breaker and with the service's own access where it has one."""
    path = settings.backend_clients
    backends = read_backend_clients(path, settings.fhir_servers) if path else ()
    batch = settings.batch == "auto"
    return FhirServers(session, settings.fhir_servers, backends, metrics.tell_breaker, batch=batch)


def _callers(settings: Settings, session: requests.Session, seen: SeenTokens) -> Authenticator:
    """Who may call, and the memory of the tokens that they have used."""
    path = settings.clients
    clients = read_clients(path, production=settings.is_production) if path else ()
    tell_leniencies(clients)
    return Authenticator(clients, settings.base_url, session, seen)
