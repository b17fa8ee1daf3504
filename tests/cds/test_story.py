"""The story of a recorded assessment: as it was said, with the record as it was read, and anew with something more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from cds.as_json import visits_json
from cds.errors import InputError
from cds.story import Bases, story_of
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import EXAMPLES, draft
from tests.hooks.hook_calls import active, body, bundle, on, record, told
from tests.hooks.smart.story.stories import bases_of, deployment_of, recorded, score, signed, with_more

Json = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> Flask:
    """The real application with its ledger."""
    return create_app(Settings())


@pytest.mark.parametrize("name", EXAMPLES)
def test_record_counts_as_it_was_said_when_the_story_reads_it_again(app: Flask, name: str) -> None:
    story = signed(app, name)
    assert story.case is not None
    counted = visits_json(replace(story.case.visits, limit=story.said["visits"]["limit"]))
    assert json.loads(json.dumps(counted)) == story.said["visits"]
    assert story.patient == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_otherwise_when_nothing_is_added(app: Flask, name: str) -> None:
    story = signed(app, name)
    before, after = story.with_added([])
    assert json.loads(json.dumps(before)) == story.said
    assert after == before


def test_criteria_turn_when_an_improved_measure_is_added(app: Flask) -> None:
    story = signed(app)
    before, after = story.with_added([score("ihot-12", "2024-08-12", 40), score("ihot-12", "2025-03-01", 60, 2)])
    results = [{each["id"]: each["result"] for each in told["criteria"]} for told in (before, after)]
    assert [each["objective-progress"] for each in results] == ["not-met", "met"]
    assert [each["current-outcome-measure"] for each in results] == ["not-met", "met"]
    assert [each["visits-within-benchmark"] for each in results] == ["not-met", "not-met"]


def test_measure_is_of_no_avail_when_it_was_taken_after_the_day_of_the_order(app: Flask) -> None:
    before, after = signed(app).with_added([score("ihot-12", "2025-03-11", 60)])
    assert after["criteria"] == before["criteria"]


@pytest.mark.parametrize("hook", ["order-select", "encounter-start", "order-dispatch"])
def test_same_part_is_weighed_again_when_the_hook_weighed_a_part(app: Flask, hook: str) -> None:
    contexts: Json = {
        "order-select": {"selections": ["ServiceRequest/f000-order"], "draftOrders": bundle(draft("f000"))},
        "encounter-start": {"encounterId": "f000-visit-18"},
        "order-dispatch": {"dispatchedOrders": ["ServiceRequest/f000-order"], "performer": "Organization/1"},
    }
    held = record("f000") if hook == "order-select" else record("f000", active("f000"))
    with on("2025-03-10"):
        answer = told(app.test_client(), body(hook, "f000", contexts[hook], held))
    name = answer["extension"]["example.therapy-cds.assessments"][0]["id"]
    place = deployment_of(app)
    entry = place.ledger.find(name)
    assert entry is not None
    assert entry.body is not None
    story = story_of(entry.body, entry.recorded, name, place.ledger.content, bases_of(app))
    assert story.is_whole == (hook == "order-dispatch")
    assert json.loads(json.dumps(story.with_added([])[0])) == story.said


def test_story_has_no_case_when_no_policy_applied(app: Flask) -> None:
    entry, moment, name = recorded(app)
    said = entry["assessments"][0]["is"] | {"policy": None, "policyVersion": None, "count": None, "criteria": []}
    altered = entry | {"assessments": [{"id": name, "is": said}]}
    story = story_of(altered, moment, name, deployment_of(app).ledger.content, bases_of(app))
    assert story.case is None
    assert len(story.record.visits) == 18


def test_story_is_refused_when_the_entry_has_no_such_assessment(app: Flask) -> None:
    entry, moment, _ = recorded(app)
    with pytest.raises(InputError, match="no assessment of that id"):
        story_of(entry, moment, "another", deployment_of(app).ledger.content, bases_of(app))


def test_story_is_refused_when_its_grounds_are_gone(app: Flask) -> None:
    entry, moment, name = recorded(app)
    with pytest.raises(InputError, match="is gone"):
        story_of(entry, moment, name, lambda hashes: {}, bases_of(app))


def test_vocabularies_of_another_day_are_read_once_when_several_stories_rest_on_them(app: Flask) -> None:
    place = deployment_of(app)
    entry, moment, name = recorded(app)
    basis = entry["basis"]
    asked: list[str] = []

    def fetch(hashes: Any) -> dict[str, bytes]:
        asked.extend(hashes)
        return place.ledger.content(hashes)

    elsewhere = replace(place.basis, policies=b"{}", vocabularies=b"{}")
    bases = Bases(elsewhere, place.terms, ())
    first = story_of(entry, moment, name, fetch, bases)
    again = story_of(entry, moment, name, fetch, bases)
    assert asked.count(basis["vocabularies"]) == 1
    assert first.terms is again.terms
    assert first.terms is not place.terms
    assert first.policy is not None
    assert (first.policy.id, first.record) == (first.said["policy"], again.record)


def test_oldest_vocabularies_go_when_there_are_too_many_to_keep(app: Flask) -> None:
    place = deployment_of(app)
    entry, _, _ = recorded(app)
    vocabularies = place.ledger.content([entry["basis"]["vocabularies"]])[entry["basis"]["vocabularies"]]
    bases = bases_of(app)
    asked: list[int] = []

    def ask(number: int) -> None:
        def fetch(hashes: Any) -> dict[str, bytes]:
            asked.append(number)
            return dict(zip(hashes, (b"{}", vocabularies), strict=True))

        bases.of({"basis": {"policies": str(number), "vocabularies": "v"}}, fetch)

    for number in (0, 1, 2, 3, 4, 4, 0):
        ask(number)
    assert asked == [0, 1, 2, 3, 4, 0]
    assert bases.of(entry, place.ledger.content)[0] is place.terms


def test_measures_are_in_the_record_when_the_order_was_signed_with_them(app: Flask) -> None:
    story = with_more(app, score("ihot-12", "2024-08-12", 40))
    assert [(each.instrument, each.score) for each in story.record.measures] == [("ihot-12", 40.0)]
