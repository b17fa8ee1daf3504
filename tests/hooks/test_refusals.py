"""Calls that were refused: on record, slim, and never so many that they fill the disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from cds.errors import InputError
from cds.ledger.database import engine_of
from cds.ledger.ledger import REFUSAL, Ledger
from cds.replay import recorded_call
from cds.reporting.of_ledger import choice_of, report_of
from hooks.app import create_app
from hooks.refusals import MINUTE, MOST_A_MINUTE, Refusals, names_in
from hooks.routes.discovery import HOOKS
from hooks.settings import Settings
from tests.hooks.calls import HOOK_INSTANCE, URL, Json, draft, post, refused, request, with_context
from tests.hooks.signing import ELSEWHERE, SERVICE, bearer, claims, clients_file, production, token

MARK = "Jane-Doe-4711"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """A service with a ledger of its own."""
    return create_app(Settings(database_url=f"sqlite:///{tmp_path / 'ledger.sqlite3'}", max_body_mib=1))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def ledger_of(app: Flask) -> Ledger:
    found: Ledger = app.extensions["therapy-cds"].ledger
    return found


def bodies(app: Flask) -> list[Json]:
    return [entry.body or {} for entry in ledger_of(app).entries(REFUSAL)]


NOT_FOR_US = request(draft(subject={"reference": f"Patient/{MARK}"}), hookInstance=HOOK_INSTANCE)
CASES: dict[str, tuple[object, str, Json]] = {
    "no JSON": (b"{" + MARK.encode(), URL, {"status": 400, "code": "CDS-101", "where": "body", "hook": None}),
    "another patient": (NOT_FOR_US, URL, {"status": 400, "code": "CDS-101", "hookInstance": HOOK_INSTANCE}),
    "a strange key": (
        request() | {"prefetch": {MARK: MARK}}, URL, {"status": 400, "where": "prefetch", "hook": "order-sign"},
    ),
    "a hook of a name": (request(hook=MARK, hookInstance=MARK), URL, {"status": 400, "hook": None}),
    "no code": (request(draft(code=None)), URL, {"status": 422, "code": "CDS-105"}),
    "no data": (with_context(request(prefetch=None), userId=MARK), URL, {"status": 412, "code": "CDS-103"}),
    "too large": (b" " * 2**21, URL, {"status": 413, "code": "CDS-104", "hook": None}),
    "no such service": (
        request(), f"/cds-services/{MARK}", {"status": 404, "code": "CDS-102", "service": "unknown"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_on_record_without_body_and_patient_when_a_known_client_is_refused(
    app: Flask, client: FlaskClient, case: str
) -> None:
    sent, url, expected = CASES[case]
    refused(post(client, sent, url), expected["status"])
    (entry,) = ledger_of(app).entries()
    assert entry.kind == REFUSAL
    body = entry.body or {}
    assert body | expected == body
    assert body["client"] == "development"
    assert body["milliseconds"] > 0
    assert set(body) == {
        "client", "service", "hook", "hookInstance", "status", "code", "where", "began", "milliseconds",
    }  # fmt: skip
    assert MARK not in json.dumps(body)
    assert "f000" not in json.dumps(body)


def test_the_client_is_named_when_production_refuses_its_call_and_strangers_are_not_recorded(tmp_path: Path) -> None:
    app = create_app(production(clients_file(tmp_path), database_url=f"sqlite:///{tmp_path / 'ledger.sqlite3'}"))
    client = app.test_client()
    client.post(SERVICE, json={}, headers=bearer(token()), environ_base=ELSEWHERE)
    assert client.post(SERVICE, json={}, environ_base=ELSEWHERE).status_code == 401
    assert client.get("/cds-services/x", headers=bearer(token(claims("/cds-services/x")))).status_code == 405
    assert [(each["client"], each["status"]) for each in bodies(app)] == [("General Hospital", 400)]


def test_a_refusal_stays_a_refusal_when_the_ledger_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "ledger.sqlite3"
    app = create_app(Settings(database_url=f"sqlite:///{file}"))
    other = create_engine(f"sqlite:///{file}")
    with other.connect() as connection, caplog.at_level(logging.WARNING, "hooks.refusals"):
        connection.execute(text("BEGIN IMMEDIATE"))  # another writer that does not end
        refused(post(app.test_client(), b"no"), 400, "CDS-101")
    other.dispose()
    assert "a refusal of development is on no record: The ledger could not be written" in caplog.text
    refused(post(app.test_client(), b"no"), 400, "CDS-101")
    assert [each.get("more") for each in bodies(app)] == [1]


def test_the_rest_of_a_flood_is_counted_when_a_client_is_refused_very_often(tmp_path: Path) -> None:
    ledger = Ledger(engine_of(f"sqlite:///{tmp_path / 'ledger.sqlite3'}"))
    now = [0.0]
    refusals = Refusals(ledger, lambda: now[0])
    said: Json = {"status": 400, "code": "CDS-101"}
    for _ in range(MOST_A_MINUTE + 500):
        refusals.add("flood", lambda: said)
    refusals.add("other", lambda: said)
    assert len(list(ledger.entries(REFUSAL))) == MOST_A_MINUTE + 1
    now[0] += MINUTE
    refusals.add("flood", lambda: said)
    *_, last = ledger.entries(REFUSAL)
    assert last.body == said | {"client": "flood", "more": 500}
    report = report_of(ledger, choice_of(None, None, None), (), ()).report
    assert report.refusals == {
        ("flood", "400", "CDS-101"): MOST_A_MINUTE + 1, ("flood", "", ""): 500, ("other", "400", "CDS-101"): 1,
    }  # fmt: skip
    assert report.calls == 0
    ledger.close()


def test_the_report_shows_who_was_refused_and_why_when_calls_were_refused(app: Flask, client: FlaskClient) -> None:
    for sent in (b"no", b"no", request(draft(code=None))):
        post(client, sent)
    found = report_of(ledger_of(app), choice_of(None, None, None), (), ())
    assert found.table("refusals").rows == (
        ("development", "400", "CDS-101", 2),
        ("development", "422", "CDS-105", 1),
    )
    post(client, request())
    page = client.get("/insights").text
    assert "Refused calls" in page
    assert "CDS-105" in page


def test_it_is_said_what_it_is_when_a_refusal_is_to_be_replayed(app: Flask, client: FlaskClient) -> None:
    post(client, b"no")
    (entry,) = ledger_of(app).entries()
    with pytest.raises(InputError, match=r"a call that was refused \(400, CDS-101\)"):
        recorded_call(ledger_of(app), entry.id)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"hook": 4, "hookInstance": []}', b'{"hook": "x", "hookInstance": "y"}', b"[" * 10_000, b"\xff"],
)
def test_nothing_is_named_when_a_body_does_not_say_it_well(body: bytes) -> None:
    assert names_in(body, HOOKS.values()) == (None, None)
