"""A run with marked values: no token, name or birth date is in the ledger, the log or the answer of an error."""

from __future__ import annotations

import json
import logging
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds.ledger.evidence import unpack
from hooks.app import Deployment, create_app
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import misbehaving, replying
from tests.hooks import signing
from tests.hooks.calls import draft, post, request, resources, with_context, with_prefetch

Json = dict[str, Any]
# Each kind of secret has its own mark, so that a find says what was let through.
NAME, BIRTH, PHONE, STREET = "Marked-Name", "1931-02-03", "555-4711-22", "Marked-Street"
DOCTOR, NARRATIVE, NOTE, WORDS = "Marked-Doctor", "Marked-Narrative", "Marked-Note", "Marked-Words"
TOKEN = "marked-access-token-4711"
MARKS = (NAME, BIRTH, PHONE, STREET, DOCTOR, NARRATIVE, NOTE, WORDS, TOKEN)
PERSON: Json = {
    "name": [{"family": NAME, "text": NAME}],
    "birthDate": BIRTH,
    "telecom": [{"value": PHONE}],
    "address": [{"line": [STREET]}],
}
NARRATED: Json = {"text": {"status": "generated", "div": f"<div>{NARRATIVE}</div>"}}


def marked(resource: Json) -> Json:
    """A resource with everything in it that names somebody."""
    found = resource | NARRATED | {"contained": [{"resourceType": "Patient", "id": "inner"} | PERSON]}
    if resource["resourceType"] == "Patient":
        return found | PERSON
    for member in ("subject", "patient", "beneficiary"):
        if isinstance(found.get(member), dict):
            found[member] = found[member] | {"display": NAME}
    return found | {"note": [{"text": NOTE}], "performer": [{"display": DOCTOR}], "recorder": {"display": DOCTOR}}


def record() -> list[Json]:
    """The example patient, marked, with a form that asks who they are and a document that says so."""
    form = {
        "resourceType": "QuestionnaireResponse",
        "id": "who",
        "status": "completed",
        "subject": {"reference": "Patient/f000", "display": NAME},
        "authored": "2025-03-01",
        "item": [
            {"linkId": "1", "text": "What is your name?", "answer": [{"valueString": NAME}]},
            {"linkId": "2", "text": "Date of birth", "answer": [{"valueDate": BIRTH}]},
            {"linkId": "3", "item": [{"linkId": "4", "answer": [{"valueString": PHONE}]}]},
        ],
    }
    document = {
        "resourceType": "DocumentReference",
        "id": "letter",
        "status": "current",
        "subject": {"reference": "Patient/f000"},
        "description": f"Progress note about {NAME}",
        "date": "2025-03-01T10:00:00Z",
        "content": [{"attachment": {"contentType": "text/plain", "data": b64encode(WORDS.encode()).decode()}}],
    }
    observation = {
        "resourceType": "Observation",
        "id": "contact",
        "status": "final",
        "subject": {"reference": "Patient/f000"},
        "code": {"text": "Emergency contact"},
        "category": [{"coding": [{"code": "survey"}]}],
        "valueString": NAME,
    }
    practitioner = {"resourceType": "Practitioner", "id": "example"} | PERSON | {"name": [{"family": DOCTOR}]}
    found = [resource for resource in resources() if resource.get("status") != "draft"]
    return [*map(marked, found), form, document, observation, practitioner]


def order() -> Json:
    return draft(
        subject={"reference": "Patient/f000", "display": NAME, "identifier": {"value": PHONE}},
        requester={"reference": "Practitioner/example", "display": DOCTOR},
        performer=[{"display": DOCTOR}],
        note=[{"text": NOTE}],
        patientInstruction=NOTE,
        contained=[{"resourceType": "Patient", "id": "inner"} | PERSON],
        extension=[{"url": "https://example.org/x", "valueString": NAME}],
        **NARRATED,
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture
def client(url: str) -> FlaskClient:
    return create_app(Settings(database_url=url)).test_client()


def stored(url: str) -> Iterator[tuple[str, bytes]]:
    """All that the ledger holds, packed and unpacked, and its files as they are."""
    path = Path(url.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as connection:
        for (body,) in connection.execute("SELECT body FROM entries"):
            yield "an entry", body.encode()
        for (body,) in connection.execute("SELECT body FROM blobs"):
            yield "a blob", unpack(body)
    connection.close()
    for each in path.parent.iterdir():
        if each.is_file():
            yield each.name, each.read_bytes()


def check_nothing_is_told(url: str, log: str, answers: list[str]) -> None:
    found = [(mark, place) for place, content in stored(url) for mark in MARKS if mark.encode() in content]
    found += [(mark, "the log") for mark in MARKS if mark in log]
    found += [(mark, answer) for mark in MARKS for answer in answers if mark in answer]
    assert found == []


def close(client: FlaskClient) -> None:
    """Let go of the file, so that it can be read here: a second opening would undo its locks."""
    deployment: Deployment = client.application.extensions["therapy-cds"]
    deployment.ledger.close()


def test_nobody_is_named_when_everything_is_prefetched(
    client: FlaskClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = post(client, request(order(), record=record()))
    assert answer.status_code == 200
    close(client)
    check_nothing_is_told(url, caplog.text, [])
    # It was all looked at: what is kept of the form and of the letter is there.
    kept = b"".join(content for _, content in stored(url))
    assert b"What is your name?" in kept
    assert b'"Practitioner"' in kept or b"requester" in kept


def test_nobody_is_named_when_a_resource_does_not_fit(
    client: FlaskClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [resource | {"status": ["final"], "id": None, "meta": 7} for resource in record()]
    with caplog.at_level(logging.DEBUG):
        answer = post(client, request(order(), record=broken))
    close(client)
    check_nothing_is_told(url, caplog.text, [answer.get_data(as_text=True)] if answer.status_code != 200 else [])


def test_nobody_is_named_when_calls_fail(client: FlaskClient, url: str, caplog: pytest.LogCaptureFixture) -> None:
    good = request(order(), record=record(), fhirAuthorization={"access_token": TOKEN}, fhirServer="https://x.example")
    bodies: list[Any] = [
        good | {"hook": "order-review"},
        with_context(good, patientId="somebody-else"),
        with_context(good, draftOrders={"resourceType": "Bundle", "entry": [{"resource": order() | {"code": None}}]}),
        with_prefetch(good, coverages=[NAME]),
        good | {"prefetch": None},
        good | {"fhirAuthorization": TOKEN},
        json.dumps(good).encode()[:-20],
    ]
    with caplog.at_level(logging.DEBUG):
        answers = [post(client, body) for body in bodies]
        answers.append(post(client, good, "/cds-services/order-sign-therapy/feedback"))
    assert all(answer.status_code >= 400 for answer in answers), [answer.status_code for answer in answers]
    close(client)
    check_nothing_is_told(url, caplog.text, [answer.get_data(as_text=True) for answer in answers])


def test_nobody_is_named_when_the_fhir_server_fails(url: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": f"{NAME} {TOKEN} {BIRTH}"}]}
    with misbehaving(replying(outcome, 500)) as server, caplog.at_level(logging.DEBUG):
        client = create_app(Settings(database_url=url, fhir_servers=(server.base,))).test_client()
        body = request(order(), prefetch=None, fhirServer=server.base, fhirAuthorization={"access_token": TOKEN})
        answer = post(client, body)
    assert answer.status_code == 200
    assert any(seen.headers.get("Authorization") == f"Bearer {TOKEN}" for seen in server.seen)
    close(client)
    check_nothing_is_told(url, caplog.text, [answer.get_data(as_text=True)])


def test_the_clients_own_token_is_not_kept_when_it_was_verified(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = signing.clients_file(tmp_path)
    client = create_app(signing.development(file, database_url=url)).test_client()
    token = signing.token()
    with caplog.at_level(logging.DEBUG):
        headers = signing.bearer(token) | {"Content-Type": "application/json"}
        payload = json.dumps(request(order(), record=record()))
        answer = client.post(signing.SERVICE, data=payload, headers=headers)
        again = client.post(signing.SERVICE, data=payload, headers=headers)
    assert (answer.status_code, again.status_code) == (200, 401)
    close(client)
    for part in token.split("."):
        assert part not in caplog.text
        assert part not in again.get_data(as_text=True)
        assert not any(part.encode() in content for _, content in stored(url))
    check_nothing_is_told(url, caplog.text, [again.get_data(as_text=True)])
