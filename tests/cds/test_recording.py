"""What an entry of a call holds, and by which names it is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from cds.fhir.queries import queries_for
from cds.ledger.evidence import keep, resources_of
from cds.ledger.ledger import Ledger
from cds.model import Evidence, EvidenceState, Fact, Need, Resource
from cds.terminology import packaged
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import HOOK_INSTANCE, answered, draft, post, request

Json = dict[str, Any]


def test_an_entry_says_what_was_asked_and_answered_when_a_call_is_recorded(
    database_url: str, open_ledger: Callable[..., Ledger]
) -> None:
    app = create_app(Settings(database_url=database_url))
    order = draft(note=[{"text": "as agreed"}])
    told = answered(app.test_client(), request(order))
    app.extensions["therapy-cds"].ledger.close()
    ledger = open_ledger(database_url)
    (entry,) = ledger.entries()
    body = entry.body
    assert body is not None
    assert (body["service"], body["hook"], body["hookInstance"]) == ("order-sign-therapy", "order-sign", HOOK_INSTANCE)
    (asked,) = body["question"]["orders"]
    assert asked["sha256"] == hashlib.sha256(json.dumps(order, separators=(",", ":")).encode()).hexdigest()
    assert "note" not in asked["resource"]
    assert [card["uuid"] for card in body["cards"]] == [card["uuid"] for card in told["cards"]]
    names = [card["uuid"] for card in told["cards"]]
    names += [each["uuid"] for card in told["cards"] for each in card.get("suggestions", [])]
    names += [each["id"] for each in told["extension"]["example.therapy-cds.assessments"]]
    assert {found.id for name in names if (found := ledger.find(name))} == {entry.id}
    assert len(names) > 2
    assert body["milliseconds"] > 0


def test_the_bytes_that_were_sent_are_proved_when_somebody_kept_them(
    database_url: str, open_ledger: Callable[..., Ledger]
) -> None:
    app = create_app(Settings(database_url=database_url))
    received = post(app.test_client(), request()).get_data()
    app.extensions["therapy-cds"].ledger.close()
    (entry,) = open_ledger(database_url).entries()
    assert entry.body is not None
    assert entry.body["response"] == {"sha256": hashlib.sha256(received).hexdigest(), "bytes": len(received)}


def test_each_answer_is_kept_once_when_a_hook_looks_at_the_record_twice() -> None:
    query = queries_for((Need(Fact.PATIENT),), packaged())["patient"]
    payload = b'{"resourceType":"Patient","id":"p","name":[{"family":"Marked"}]}'
    found = Evidence(query, EvidenceState.SUPPLIED, (Resource("Patient", "p", memoryview(payload)),))
    kept, packed = keep([("gather", found), ("gather", found), ("held", found)], packaged())
    assert [(each.how, each.key, each.count) for each in kept] == [("gather", "patient", 1), ("held", "patient", 1)]
    assert {each.blob for each in kept} == set(packed)
    (content,) = packed.values()
    assert hashlib.sha256(payload).hexdigest().encode() in content
    (resource,) = resources_of(content)
    assert (resource.type, resource.id, bytes(resource.payload)) == ("Patient", "p", b'{"id":"p"}')


def test_a_resource_is_as_unreadable_as_it_was_when_it_is_taken_from_the_ledger() -> None:
    query = queries_for((Need(Fact.PATIENT),), packaged())["patient"]
    payload = b'{"id": 4, "x": "\x01"'
    found = Evidence(query, EvidenceState.FETCHED, (Resource("Patient", "p", memoryview(payload)),))
    _, packed = keep([("gather", found)], packaged())
    (content,) = packed.values()
    (resource,) = resources_of(content)
    assert bytes(resource.payload) == b"{"
