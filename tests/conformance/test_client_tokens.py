"""The tokens of real clients, as their entries in the file of clients have to be for them to be let in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from hooks.app import create_app
from tests.cds.ehr.misbehaving import misbehaving
from tests.conformance.test_clients import FEEDBACK
from tests.hooks.calls import URL, Json, request
from tests.hooks.signing import (
    ELSEWHERE,
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


def day_long_token(folder: Path, **given: Any) -> int:
    """A token that lives for a day, with a `jku` that holds no keys: by the keys of the client's entry."""
    keys = {"keys": jwks(jwk(rsa_key(), "rsa"))}
    with misbehaving(lambda handler: handler.reply(["https://generator.example.org"])) as generator:
        app = create_app(development(clients_file(folder, entry(**keys, **given)), base_url="http://127.0.0.1:8000"))
        now = int(time.time())
        said = claims(URL, aud=f"http://127.0.0.1:8000{URL}", iat=now, exp=now + 86_400)
        headers = bearer(token(said, rsa_key(), "RS256", {"kid": "rsa", "jku": f"{generator.base}/keys"}))
        answer = app.test_client().post(URL, json=request(), headers=headers, environ_base=ELSEWHERE)
        assert generator.seen == []
        return answer.status_code


def test_the_sandbox_is_let_in_when_production_knows_its_keys(tmp_path: Path) -> None:
    known = entry(iss="https://sandbox.example.org", keys=jwks(jwk(ec_key(), "ec")))
    client = create_app(production(clients_file(tmp_path, known))).test_client()
    for method, path in (("GET", "/cds-services"), ("POST", FEEDBACK)):
        said = claims(path, iss="https://sandbox.example.org")
        headers = bearer(token(said, header={"jku": "https://sandbox.example.org/.well-known/jwks.json"}))
        body: Json | None = None if method == "GET" else {"feedback": []}
        answer = client.open(path, method=method, json=body, headers=headers, environ_base=ELSEWHERE)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"algorithms": ["RS256"], "max-age-seconds": 86_400}, 200),
        ({"algorithms": ["RS256"]}, 401),
        ({"max-age-seconds": 86_400}, 401),
    ],
)
def test_the_request_generators_token_is_taken_when_its_entry_says_so(tmp_path: Path, given: Json, status: int) -> None:
    assert day_long_token(tmp_path, **given) == status
