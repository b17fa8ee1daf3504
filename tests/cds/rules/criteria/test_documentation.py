from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import Json, care_plan, concept, observation, result, terms

STATEMENTS = "https://therapy-cds.example/CodeSystem/clinical-statements"
SKILL: dict[str, Any] = {"params": {"set": "skilled-need"}}
PRESCRIBED: dict[str, Any] = {"params": {"set": "exercise-prescription-elements"}}


def stated(day: str, **value: Any) -> Json:
    return observation(day, concept(STATEMENTS, "skilled-need"), **value)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ({"valueBoolean": True}, "met"),
        ({"valueBoolean": False}, "not-met"),
        ({"valueString": "yes, closed chain"}, "met"),
        ({"valueString": "No"}, "not-met"),
        ({"valueCodeableConcept": {"text": "none"}}, "not-met"),
    ],
)
def test_a_statement_settles_it_when_somebody_made_one(value: Json, outcome: str) -> None:
    assert result("stated", stated("2025-03-03", **value), **SKILL) == outcome


def test_silence_is_unknown_when_nobody_stated_it() -> None:
    assert result("stated", **SKILL) == "unknown"
    assert result("stated", stated("2025-03-11", valueBoolean=True), **SKILL) == "unknown"


def test_the_latest_statement_counts_when_they_differ_in_any_order() -> None:
    yes, no = stated("2025-02-01", valueBoolean=True), stated("2025-03-01", valueBoolean=False)
    assert result("stated", yes, no, **SKILL) == "not-met"
    assert result("stated", no, yes, **SKILL) == "not-met"


def elements() -> list[Json]:
    codes = [code for _, code in terms().valueset("exercise-prescription-elements").codes]
    system = "https://therapy-cds.example/CodeSystem/exercise-prescription"
    return [observation("2025-03-03", concept(system, code), valueString="3 x 12") for code in codes]


def test_a_prescription_is_described_when_every_part_of_it_is_recorded() -> None:
    parts = elements()
    assert result("exercise-prescribed", *parts, **PRESCRIBED) == "met"
    assert result("exercise-prescribed", *parts[1:], **PRESCRIBED) == "not-met"
    assert result("exercise-prescribed", **PRESCRIBED) == "unknown"
    assert result("exercise-prescribed", care_plan(None), **PRESCRIBED) == "unknown"


def test_a_missing_part_is_unknown_when_a_search_failed() -> None:
    failing = {"carePlans": EvidenceState.FAILED}
    assert result("exercise-prescribed", *elements()[1:], failing=failing, **PRESCRIBED) == "unknown"
