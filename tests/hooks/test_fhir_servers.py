"""The FHIR servers of a deployment, end to end: a dead one, and one that the service may enter in its own name."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cds.ehr.breaker import FAILURES
from cds.model import Assessment
from cds.service import assess_orders
from hooks.app import create_app
from hooks.routes import services
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving, replying
from tests.cds.ehr.misbehaving import searchset as page
from tests.hooks.calls import TOKEN, answered, request, resources
from tests.hooks.signing import BASE, ELSEWHERE, SERVICE, bearer, claims, clients_file, entry, token

BACKEND_TOKEN = "backend-token-0816"


def call(base: str, **changes: Any) -> dict[str, Any]:
    return request(prefetch=None, fhirServer=base, fhirAuthorization={"access_token": TOKEN}, **changes)


def test_a_call_costs_milliseconds_and_is_technical_when_the_server_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    assessed: list[Assessment] = []
    real = assess_orders

    def keep(*given: Any) -> tuple[Assessment, ...]:
        assessed[:] = real(*given)
        return tuple(assessed)

    monkeypatch.setattr(services, "assess_orders", keep)
    with misbehaving(replying({}, 500)) as dead:
        client = create_app(Settings(fhir_servers=(dead.base,))).test_client()
        for _ in range(FAILURES):
            answered(client, call(dead.base))
        asked = len(dead.seen)
        began = time.monotonic()
        cards = answered(client, call(dead.base))["cards"]
        assert time.monotonic() - began < 0.25
        assert len(dead.seen) == asked
    assert all(each.technical for each in assessed)
    assert "has not answered lately and is asked again at " in json.dumps(cards)
    figures = client.get("/metrics").get_data(as_text=True)
    assert f'therapy_cds_fhir_breaker{{server="{dead.base}",state="open"}} 1.0' in figures
    assert f'therapy_cds_fhir_breaker{{server="{dead.base}",state="closed"}} 0.0' in figures
    assert TOKEN not in figures


def test_no_server_is_named_in_metrics_when_only_a_call_named_it() -> None:
    with misbehaving(replying({}, 500)) as dead:
        client = create_app(Settings()).test_client()
        for _ in range(FAILURES):
            answered(client, call(dead.base))
        assert dead.base not in client.get("/metrics").get_data(as_text=True)


def test_the_record_is_read_with_the_services_own_access_when_the_caller_gives_none(tmp_path: Path) -> None:
    record = [resource for resource in resources() if resource["resourceType"] != "ServiceRequest"]

    def answer(handler: Handler) -> None:
        kind, _, name = handler.path.partition("?")[0].removeprefix("/fhir/").partition("/")
        if handler.path == "/token":
            handler.reply({"access_token": BACKEND_TOKEN, "token_type": "bearer", "expires_in": 300})
        elif handler.headers.get("Authorization") != f"Bearer {BACKEND_TOKEN}":
            handler.reply({}, 401)
        else:
            mine = [resource for resource in record if resource["resourceType"] == kind]
            handler.reply(next(resource for resource in mine if resource["id"] == name) if name else page(*mine))

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with misbehaving(answer) as running:
        entry = {
            "server": running.base,
            "client_id": "therapy-cds",
            "key_file": "key.pem",
            "token_endpoint": f"{running.base.removesuffix('/fhir')}/token",
        }
        file = tmp_path / "backend.yaml"
        file.write_text(json.dumps({"servers": [entry]}), encoding="utf-8")
        client = create_app(Settings(fhir_servers=(running.base,), backend_clients=file)).test_client()
        own = answered(client, request(prefetch=None, fhirServer=running.base))
        given = answered(client, call(running.base))
        assert sum(seen.path == "/token" for seen in running.seen) == 1
    sent = answered(client, request())
    assert [card["summary"] for card in own["cards"]] == [card["summary"] for card in sent["cards"]]
    assert [card["summary"] for card in given["cards"]] == [card["summary"] for card in sent["cards"]]


@pytest.mark.parametrize(
    ("servers", "own_token", "is_asked"),
    [("its own", True, True), ("unsaid", False, True), ("another's", False, False)],
)
def test_the_services_own_access_serves_a_client_only_when_the_server_is_its_own(
    tmp_path: Path, servers: str, own_token: bool, is_asked: bool
) -> None:
    def answer(handler: Handler) -> None:
        grant = {"access_token": BACKEND_TOKEN, "token_type": "bearer", "expires_in": 300}
        handler.reply(grant if handler.path == "/token" else page())

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with misbehaving(answer) as running:
        token_endpoint = f"{running.base.removesuffix('/fhir')}/token"
        backend = {"server": running.base, "client_id": "cds", "key_file": "key.pem", "token_endpoint": token_endpoint}
        (tmp_path / "backend.yaml").write_text(json.dumps({"servers": [backend]}), encoding="utf-8")
        named = {"its own": running.base, "unsaid": None, "another's": "https://b.example.org/fhir"}[servers]
        settings = Settings(
            base_url=BASE,
            fhir_servers=(running.base, "https://b.example.org/fhir"),
            backend_clients=tmp_path / "backend.yaml",
            clients=clients_file(tmp_path, entry(**{"fhir-servers": named})),
            database_url=f"sqlite:///{tmp_path / 'ledger.sqlite3'}",
        )
        app = create_app(settings)
        headers = bearer(token(claims()))
        sent = request(prefetch=None, fhirServer=running.base)
        app.test_client().post(SERVICE, json=sent, headers=headers, environ_base=ELSEWHERE)
        asked = [seen for seen in running.seen if seen.path != "/token" and "metadata" not in seen.path]
    assert bool(asked) is is_asked
    assert any(seen.headers.get("Authorization") == f"Bearer {BACKEND_TOKEN}" for seen in asked) is own_token
    entries = list(app.extensions["therapy-cds"].ledger.entries("call"))
    assert [each.body["fhirServer"] for each in entries if each.body] == [running.base] * len(entries)
