"""Calls that clients sign, from elsewhere, and what comes back."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
from flask import Flask, g, jsonify
from werkzeug.test import TestResponse

from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import ORIGIN, Json
from tests.hooks.signing import (
    ELSEWHERE,
    ISS,
    SERVICE,
    claims,
    ec_key,
)

NOW = 1_800_000_000
FEEDBACK = f"{SERVICE}/feedback"
KNOWN = {"name": "General Hospital", "iss": ISS}
GOOD = {"alg": "ES384", "typ": "JWT", "kid": "ec"}
ec_256 = partial(ec_key, "ec-256", "secp256r1")
for_caller = partial(claims, "/caller")


def caller() -> Any:
    """Who the service thinks is calling."""
    client = g.client
    return jsonify({"name": client.name, "iss": client.iss, "configuration": dict(client.configuration)})


def application(settings: Settings) -> Flask:
    """The application, with an address that tells who called."""
    app = create_app(settings)
    app.add_url_rule("/caller", view_func=caller)
    return app


def calling(app: Flask, path: str = "/caller", method: str = "GET", **headers: str) -> TestResponse:
    """A call from elsewhere, as a browser's EHR makes it."""
    sent = {"Origin": ORIGIN} | headers
    return app.test_client().open(path, method=method, headers=sent, environ_base=ELSEWHERE)


def known(response: TestResponse) -> Json:
    """Who was let in."""
    assert response.status_code == 200, response.get_data(as_text=True)
    found: Json = response.get_json()
    return {name: found[name] for name in ("name", "iss")}


def told_nothing(response: TestResponse) -> None:
    """Check that a refusal is the one that all get."""
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    # What operators read is for no page's scripts.
    origin = None if response.request.path == "/metrics" else ORIGIN
    assert response.headers.get("Access-Control-Allow-Origin") == origin
    text = "This service does not know the caller"
    issue = {"severity": "error", "code": "login", "details": {"text": text}, "diagnostics": text}
    assert response.get_json() == {"resourceType": "OperationOutcome", "issue": [issue]}


def reason(caplog: pytest.LogCaptureFixture) -> str:
    """Why the only refusal was, as the log has it."""
    (found,) = [
        record for record in caplog.records if record.name == "hooks.auth" and record.levelno >= logging.WARNING
    ]
    return found.getMessage().removeprefix("refused a call: ")
