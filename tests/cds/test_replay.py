"""A recorded call comes out the same again, byte for byte, also where the record was odd; and what changed is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from cds.as_json import whole_assessment
from cds.errors import InputError
from cds.ledger.database import engine_of, writing
from cds.ledger.ledger import Ledger
from cds.replay import recorded_call, replay, replay_then
from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import EXAMPLES, is_draft, post, request, resources

Json = dict[str, Any]
Change = Callable[[Json], Json]
ODD: dict[str, Change] = {
    "as it is": lambda r: r,
    "nulls": lambda r: r | {"status": None, "code": None, "type": [None]},
    "a list for an object": lambda r: r | {"code": [r.get("code")], "period": [r.get("period")]},
    "an object for a list": lambda r: r | {"reasonCode": {"text": "hip"}, "category": {"text": "therapy"}},
    "numbers in quotes": lambda r: r | {"valueQuantity": {"value": "7"}, "valueInteger": "7"},
    "R5": lambda r: r | {"actualPeriod": r.get("period"), "code": {"concept": r.get("code")}},
    "odd dates": lambda r: (
        r | {"period": {"start": "last week"}, "effectiveDateTime": 2025, "onsetDateTime": "2025-13"}
    ),
    "somebody else's": lambda r: r | {"subject": {"reference": "Patient/other"}},
    "no id": lambda r: {name: value for name, value in r.items() if name != "id"},
}


def recorded(ledger: Ledger, body: Json, url: str) -> tuple[Json, Any]:
    """The answer of a call, and its entry."""
    app = create_app(Settings(database_url=url))
    answer = post(app.test_client(), body)
    app.extensions["therapy-cds"].ledger.close()
    assert answer.status_code == 200, answer.get_data(as_text=True)
    told: Json = answer.get_json()
    return told, recorded_call(ledger, told["extension"]["example.therapy-cds.assessments"][0]["id"])


def as_bytes(assessments: Any) -> bytes:
    return msgspec.json.encode([whole_assessment(each) for each in assessments])


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_assessment_is_the_same_byte_for_byte_when_it_is_replayed(
    name: str, database_url: str, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger(database_url)
    told, entry = recorded(ledger, request(name=name), database_url)
    found = replay(ledger, entry, packaged(), load_policies([packaged_policies()], packaged()))
    assert (found.differences, found.today) == ((), ())
    kept = [each["is"] for each in entry.body["assessments"]]
    assert as_bytes(found.assessments) == msgspec.json.encode(kept)
    for card in told["cards"]:
        assert recorded_call(ledger, card["uuid"]).id == entry.id


@pytest.mark.parametrize("odd", ODD)
def test_an_assessment_is_the_same_when_the_record_was_odd(
    odd: str, tmp_path: Any, open_ledger: Callable[..., Ledger]
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger = open_ledger(url)
    record = [r if is_draft(r) or r["resourceType"] == "Coverage" else ODD[odd](r) for r in resources("f000")]
    _, entry = recorded(ledger, request(record=record), url)
    found = replay_then(ledger, entry)
    assert found.differences == ()
    assert as_bytes(found.assessments) == msgspec.json.encode([each["is"] for each in entry.body["assessments"]])


def test_it_is_told_when_what_a_call_rested_on_is_gone(database_url: str, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger(database_url)
    _, entry = recorded(ledger, request(), database_url)
    engine = engine_of(database_url)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM blobs WHERE kind = 'policies'"))
    engine.dispose()
    with pytest.raises(InputError, match="gone or was changed"):
        replay_then(ledger, entry)


def test_it_is_told_when_a_policy_has_been_changed_since(database_url: str, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger(database_url)
    _, entry = recorded(ledger, request(), database_url)
    today = replay(ledger, entry, packaged(), ())
    assert today.differences == ()
    changed = {each.where: (each.then, each.now) for each in today.today}
    assert changed["outcome"] == ("criteria-not-met", "no-policy")


def test_it_is_told_when_nothing_of_that_id_is_on_record(database_url: str, open_ledger: Callable[..., Ledger]) -> None:
    with pytest.raises(InputError, match="nothing of that id"):
        recorded_call(open_ledger(database_url), json.dumps("no"))
