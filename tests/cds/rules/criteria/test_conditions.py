from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import ICD10, LEFT_HIP, Json, concept, condition, encounter, result, service_request, visits

CLOT: dict[str, Any] = {"params": {"sets": ["deep-vein-thrombosis", "infection"]}}
BROKEN: dict[str, Any] = {"params": {"sets": ["fracture"], "of-region": True}}
NEW: dict[str, Any] = {"params": {"sets": ["new-neurological-deficit"], "new-only": True}}
START = encounter("2025-01-13")


@pytest.mark.parametrize(
    ("held", "outcome"),
    [
        ([], "met"),
        ([condition("I82.402")], "not-met"),
        ([condition("I82402")], "not-met"),
        ([condition("I82.402", status="resolved")], "met"),
        ([condition("I82.402", status=None)], "unknown"),
        ([condition("I82.402", status=None, abatementDateTime="2020")], "met"),
        ([condition("I10")], "met"),
        ([condition("I82.402") | {"code": {"text": "Deep vein thrombosis of left leg"}}], "not-met"),
    ],
    ids=["none", "active", "without dot", "resolved", "unsaid", "abated", "other", "words"],
)
def test_a_condition_speaks_against_therapy_when_it_is_active(held: list[Json], outcome: str) -> None:
    assert result("no-active-condition", *held, **CLOT) == outcome


def test_a_condition_speaks_against_therapy_when_it_is_the_orders_own_reason() -> None:
    order = service_request(
        quantityQuantity=visits(2), reasonCode=[concept(ICD10, LEFT_HIP), concept(ICD10, "I82.402")]
    )
    assert result("no-active-condition", order=order, **CLOT) == "not-met"


@pytest.mark.parametrize(
    "state", [EvidenceState.REFUSED, EvidenceState.FAILED, EvidenceState.CUT, EvidenceState.LATE, EvidenceState.NULL]
)
def test_nothing_found_is_unknown_when_conditions_cannot_be_read(state: EvidenceState) -> None:
    assert result("no-active-condition", failing={"conditions": state}, **CLOT) == "unknown"


def test_nothing_found_is_unknown_when_one_condition_could_not_be_read() -> None:
    assert result("no-active-condition", condition("I10") | {"code": 7}, **CLOT) == "unknown"


@pytest.mark.parametrize(
    ("held", "outcome"),
    [
        ([condition("S72.002A")], "not-met"),
        ([condition("S72.001A")], "met"),
        ([condition("S52.501A")], "met"),
        ([condition("S72.002D")], "met"),
    ],
    ids=["this hip", "other hip", "wrist", "healing"],
)
def test_a_fracture_speaks_against_therapy_when_it_is_of_the_region_and_fresh(held: list[Json], outcome: str) -> None:
    assert result("no-active-condition", *held, **BROKEN) == outcome


@pytest.mark.parametrize(
    ("onset", "outcome"),
    [
        ("2025-01-12", "met"),
        ("2025-01-13", "not-met"),
        ("2025-03-01", "not-met"),
        ("2025-01", "unknown"),
        ("2024", "met"),
        (None, "unknown"),
    ],
)
def test_a_deficit_is_new_when_it_began_after_the_episode_did(onset: str | None, outcome: str) -> None:
    assert result("no-active-condition", START, condition("R20.2", onset), **NEW) == outcome


def test_a_deficit_is_dated_by_its_recording_when_no_onset_is_told() -> None:
    assert result("no-active-condition", START, condition("R20.2", recordedDate="2024-12-01"), **NEW) == "met"
    assert result("no-active-condition", START, condition("R20.2", recordedDate="2025-02-01"), **NEW) == "not-met"
