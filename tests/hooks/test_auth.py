"""Who is let in: in production by token alone, in development from this machine; and how often."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds.errors import TechnicalError
from hooks.settings import Settings
from tests.hooks.calls import ORIGIN, Json, request
from tests.hooks.signed_calls import (
    FEEDBACK,
    KNOWN,
    application,
    calling,
    for_caller,
    known,
    reason,
    told_nothing,
)
from tests.hooks.signing import (
    BASE,
    ELSEWHERE,
    SERVICE,
    bearer,
    claims,
    clients_file,
    development,
    ec_key,
    entry,
    jwk,
    jwks,
    production,
    rsa_key,
    token,
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A service in production with one client, whose keys are in the file."""
    return application(production(clients_file(tmp_path_factory.mktemp("clients"))))


@pytest.mark.parametrize(("alg", "key", "kid"), [("ES384", ec_key(), "ec"), ("RS384", rsa_key(), "rsa")])
def test_a_client_is_known_when_its_token_is_right(app: Flask, alg: str, key: Any, kid: str) -> None:
    assert known(calling(app, **bearer(token(for_caller(), key, alg, {"kid": kid})))) == KNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": f"{BASE}/caller/"},
        {"aud": [f"{BASE}/caller"]},
        {"aud": ["https://elsewhere.example.org", f"{BASE}/caller"]},
        {"tenant": "any"},
        {"sub": 7},
        {"exp": lambda: time.time() + 300.5, "iat": lambda: time.time() - 0.5},
    ],
)
def test_a_client_is_known_when_its_token_says_it_in_another_way(app: Flask, changes: Json) -> None:
    changes = {name: value() if callable(value) else value for name, value in changes.items()}
    assert known(calling(app, **bearer(token(for_caller(**changes))))) == KNOWN


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_client_is_known_when_the_scheme_is_written_otherwise(app: Flask, scheme: str) -> None:
    assert known(calling(app, Authorization=f"{scheme} {token(for_caller())}")) == KNOWN


def test_an_order_is_answered_when_production_knows_the_client(app: Flask) -> None:
    client = app.test_client()
    answer = client.post(SERVICE, json=request(), headers=bearer(token()), environ_base=ELSEWHERE)
    assert answer.status_code == 200
    assert len(answer.get_json()["cards"]) == 3
    listed = client.get("/cds-services", headers=bearer(token(claims("/cds-services"))), environ_base=ELSEWHERE)
    assert listed.get_json()["services"]


def test_a_slash_at_the_end_is_no_other_address_when_a_client_calls_with_it(app: Flask) -> None:
    listed = calling(app, "/cds-services/", **bearer(token(claims("/cds-services"))))
    assert listed.status_code == 200


def test_the_public_address_counts_when_a_proxy_names_another_host(app: Flask) -> None:
    sent = bearer(token(for_caller())) | {"Host": "internal:8000", "X-Forwarded-Host": "evil.example.org"}
    assert known(calling(app, **sent)) == KNOWN
    told_nothing(calling(app, **(sent | bearer(token(for_caller(aud="http://internal:8000/caller"))))))


def test_the_configuration_is_handed_on_when_the_entry_has_one(tmp_path: Path) -> None:
    wanted = {"max-cards": 2, "coverage-info": False}
    app = application(production(clients_file(tmp_path, entry(**{"card-configuration": wanted}))))
    assert calling(app, **bearer(token(for_caller()))).get_json()["configuration"] == wanted


@pytest.mark.parametrize(
    "sent", [{}, {"Authorization": ""}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/cds-services"),
        ("HEAD", "/cds-services"),
        ("POST", SERVICE),
        ("POST", FEEDBACK),
        ("GET", "/fhir/PlanDefinition"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
        ("DELETE", "/health/nothing"),
    ],
)
@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.7", "127.0.0.1"])
def test_nobody_is_let_in_without_a_token_when_it_is_production(
    app: Flask, sent: dict[str, str], method: str, path: str, address: str
) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "Origin": ORIGIN} | sent
    response = app.test_client().open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": address})
    if method == "HEAD":
        assert response.status_code == 401
    else:
        told_nothing(response)


def test_health_is_open_when_it_is_production(app: Flask) -> None:
    assert calling(app, "/health/live").status_code == 200
    assert calling(app, "/health/ready").status_code == 200


def test_metrics_are_for_this_machine_and_for_clients_when_it_is_production(app: Flask) -> None:
    assert app.test_client().get("/metrics").status_code == 200
    assert calling(app, "/metrics", **bearer(token(claims("/metrics")))).status_code == 200
    told_nothing(calling(app, "/metrics"))
    told_nothing(app.test_client().get("/cds-services", headers={"Origin": ORIGIN}))


@pytest.mark.parametrize("path", ["/cds-services", SERVICE, FEEDBACK])
def test_a_preflight_needs_no_token_when_it_is_production(app: Flask, path: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    response = calling(app, path, "OPTIONS", **asked)
    assert response.status_code != 401
    assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()


# ---------------------------------------------------------------------------------------- used before


def test_a_token_is_refused_when_it_was_used_before(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    sent = bearer(token(for_caller()))
    assert known(calling(app, **sent)) == KNOWN
    told_nothing(calling(app, **sent))
    assert reason(caplog) == "used-before (client General Hospital, kid ec)"


def test_a_token_is_refused_when_only_its_id_was_used_before(app: Flask) -> None:
    jti = str(uuid4())
    assert known(calling(app, **bearer(token(for_caller(jti=jti))))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(jti=jti, exp=int(time.time()) + 200)))))


def test_an_id_is_still_free_when_a_bad_token_named_it(app: Flask) -> None:
    jti = str(uuid4())
    told_nothing(calling(app, **bearer(token(for_caller(jti=jti), ec_key("other")))))
    told_nothing(calling(app, **bearer(token(for_caller(jti=jti, aud="x")))))
    assert known(calling(app, **bearer(token(for_caller(jti=jti))))) == KNOWN


def test_a_token_may_come_again_when_the_entry_is_for_a_test_kit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(production(clients_file(tmp_path, entry(**{"reuse-tokens": True}))))
    assert "client General Hospital: its tokens may be used again until they expire (reuse-tokens)" in caplog.text
    sent = bearer(token(for_caller()))
    assert [known(calling(app, **sent)) for _ in range(3)] == [KNOWN] * 3
    with time_machine.travel(time.time() + 400):
        told_nothing(calling(app, **sent))


class Away:
    """A memory that cannot be reached."""

    def first_time(self, issuer: str, jti: str, until: int) -> bool:
        raise TechnicalError("The service cannot tell whether this token was used before", remedy="Try again")


def test_nobody_is_let_in_when_used_tokens_cannot_be_looked_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.extensions["therapy-cds"].callers, "_seen", Away())
    response = calling(app, **bearer(token(for_caller())))
    assert response.status_code == 503
    assert response.get_json()["issue"][0]["details"]["coding"][0]["code"] == "CDS-400"
    told_nothing(calling(app, **bearer(token(for_caller(), ec_key("other")))))


# --------------------------------------------------------------------------------------- development


def here(app: Flask, **headers: str) -> TestResponse:
    return app.test_client().get("/caller", headers={"Origin": ORIGIN} | headers)


def test_this_machine_needs_no_token_when_it_is_development(tmp_path: Path) -> None:
    for settings in (Settings(), development(clients_file(tmp_path))):
        app = application(settings)
        assert known(here(app)) == {"name": "development", "iss": ""}
        told_nothing(calling(app))


def test_any_token_is_let_through_when_development_knows_no_clients() -> None:
    app = application(Settings())
    assert known(here(app, **bearer("garbage")))["name"] == "development"
    told_nothing(calling(app, **bearer(token(for_caller()))))


def test_a_token_is_looked_at_when_development_knows_clients(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = application(development(clients_file(tmp_path)))
    assert known(here(app, **bearer(token(for_caller())))) == KNOWN
    told_nothing(here(app, **bearer(token(for_caller(), ec_key("other")))))
    told_nothing(here(app, **bearer(token(for_caller(aud="x")))))
    told_nothing(here(app, **bearer("garbage")))
    with caplog.at_level(logging.INFO):
        assert known(here(app, **bearer(token(for_caller(iss="http://localhost:8080/"))))) == {
            "name": "development",
            "iss": "",
        }
    assert "nobody knows the issuer" in caplog.text
    assert "localhost:8080" not in caplog.text


def test_a_client_may_call_from_elsewhere_when_development_knows_it(tmp_path: Path) -> None:
    app = application(development(clients_file(tmp_path)))
    assert known(calling(app, **bearer(token(for_caller())))) == KNOWN
    told_nothing(calling(app, **bearer(token(for_caller(iss="http://localhost:8080/")))))


def test_the_sandboxes_own_token_works_when_it_signs_as_it_does(tmp_path: Path) -> None:
    sandbox = entry(name="Sandbox", iss="https://sandbox.example.org", keys=jwks(jwk(ec_key(), "ec")))
    app = application(production(clients_file(tmp_path, sandbox)))
    client: FlaskClient = app.test_client()
    for method, path in (("GET", "/cds-services"), ("POST", SERVICE)):
        said = claims(path, iss="https://sandbox.example.org")
        headers = bearer(token(said, header={"jku": "https://sandbox.example.org/.well-known/jwks.json"}))
        body = request() if method == "POST" else None
        answer = client.open(path, method=method, json=body, headers=headers, environ_base=ELSEWHERE)
        assert answer.status_code == 200
