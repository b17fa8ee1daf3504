"""A call of each hook is replayed from the ledger, whatever its context names and however it names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds.ledger.ledger import Ledger
from cds.replay import recorded_call, replay
from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import Json, draft, request
from tests.hooks.hook_calls import active, appointment, body, bundle, on, record, told, visit

DAY = "2025-03-10"
HIP = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M25.552"}
CONDITION: Json = {
    "resourceType": "Condition",
    "id": "hip",
    "clinicalStatus": {"coding": [{"code": "active"}]},
    "code": {"coding": [HIP]},
    "subject": {"reference": "Patient/f000"},
}


@pytest.fixture
def client() -> FlaskClient:
    """A client of an application whose calls are in the session's ledger."""
    return create_app(Settings()).test_client()


def with_urls(whole: Json) -> Json:
    """A Bundle whose entries are named as a transaction's are, by `urn:uuid:`."""
    entries = [entry | {"fullUrl": f"urn:uuid:{number}"} for number, entry in enumerate(whole["entry"])]
    return whole | {"entry": entries}


def booked(*more: Json, held: Json | None = None, **changes: Any) -> Json:
    """An appointment-book call whose Appointment is the first entry of its Bundle."""
    context = {"appointments": with_urls(bundle(appointment("f000", 1, DAY, **changes), *more))}
    return body("appointment-book", "f000", context, record("f000", *([held] if held else []), CONDITION))


def signed() -> Json:
    sent = request(draft(subject={"reference": "urn:uuid:1"}))
    patient = {"resourceType": "Patient", "id": "f000"}
    return sent | {"context": sent["context"] | {"draftOrders": with_urls(bundle(draft(), patient))}}


CALLS: dict[str, Callable[[], Json]] = {
    "order-sign": signed,
    "appointment-book, its order by urn:uuid": lambda: booked(
        active("f000"), held=active("f000"), basedOn=[{"reference": "urn:uuid:1"}]
    ),
    "appointment-book, its reason by urn:uuid": lambda: booked(
        CONDITION, reasonReference=[{"reference": "urn:uuid:1"}]
    ),
    "appointment-book, only the record tells what for": booked,
    "appointment-book, its patient by urn:uuid": lambda: booked(
        {"resourceType": "Patient", "id": "f000"},
        held=active("f000"),
        participant=[{"actor": {"reference": "urn:uuid:1"}, "status": "accepted"}],
    ),
    "appointment-book, only it tells the body site": lambda: booked(
        held=active("f000", reasonCode=None, bodySite=None),
        basedOn=[{"reference": "ServiceRequest/f000-order"}],
        reasonCode=[{"coding": [HIP]}],
    ),
    "order-dispatch": lambda: body(
        "order-dispatch",
        "f000",
        {"dispatchedOrders": ["ServiceRequest/f000-order"], "performer": "Organization/x"},
        record("f000", active("f000")),
    ),
    "order-dispatch, each order with its own day": lambda: body(
        "order-dispatch",
        "f000",
        {"dispatchedOrders": ["ServiceRequest/f000-order", "ServiceRequest/later"], "performer": "Organization/x"},
        record("f000", active("f000"), active("f000", id="later", occurrenceTiming={"event": ["2025-04-02"]})),
    ),
    "encounter-start": lambda: body(
        "encounter-start", "f000", {"encounterId": "now"}, record("f000", visit("f000", DAY), active("f000"))
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_comes_out_the_same_when_it_is_replayed(
    client: FlaskClient, ledger_url: str, open_ledger: Callable[..., Ledger], name: str
) -> None:
    with on(DAY):
        answer = told(client, CALLS[name]())
    briefs = answer["extension"]["example.therapy-cds.assessments"]
    ledger, terms = open_ledger(ledger_url), packaged()
    entry = recorded_call(ledger, briefs[0]["id"])
    again = replay(ledger, entry, terms, load_policies([packaged_policies()], terms))
    assert [str(each) for each in again.differences] == []
    assert [each.policy for each in again.assessments] == [brief.get("policy") for brief in briefs]
    assert [each.as_of.isoformat() for each in again.assessments] == [brief["asOf"] for brief in briefs]


def test_what_an_entry_names_by_urn_uuid_is_known_when_it_is_booked(client: FlaskClient) -> None:
    with on(DAY):
        answer = told(client, CALLS["appointment-book, its reason by urn:uuid"]())
    (card,) = answer["cards"]
    assert card["summary"].startswith("Left hip: ")
