"""How two scores are read: improved, unchanged, worse, or not comparable."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.model import Measure, Result
from cds.rules.change import change_of, read_change
from tests.cds.build import (
    LOINC,
    MEASURES,
    Json,
    concept,
    encounter,
    found,
    ihot,
    observation,
    record_of,
    service_request,
    terms,
)

VISITS = (encounter("2025-01-13"), encounter("2025-02-10"))
FIRST, LAST = "2025-01-13", "2025-03-05"
NECK = service_request(reasonCode=[concept("http://hl7.org/fhir/sid/icd-10-cm", "M54.2")])
FAMILIES: Json = {"families": ["range-of-motion", "strength", "functional-task"]}


def read(*scores: Json, kind: str = "outcome-measure-improved", **how: Any) -> tuple[str, str]:
    finding = found(kind, *VISITS, *scores, **how)
    return finding.result.value, finding.says


def ndi(day: str, value: float, unit: str = "", code: Json | None = None) -> Json:
    score = observation(day, code or {"text": "NDI"}, value, id=f"n-{day}-{value}-{unit}")
    score["valueQuantity"]["unit"] = unit
    return score


def neck(*scores: Json) -> tuple[str, str]:
    visits = [encounter(day, reason="M54.2") for day in (FIRST, "2025-02-10")]
    finding = found("outcome-measure-improved", *visits, *scores, order=NECK)
    return finding.result.value, finding.says


@pytest.mark.parametrize(
    ("first", "last", "outcome", "words"),
    [
        (41, 55, "met", "improved"),
        (41, 54, "not-met", "no important change"),
        (41, 40, "not-met", "slightly worse"),
        (41, 27, "not-met", ", worse"),
        (41, 90, "met", "near the best possible score"),
        (90, 95, "not-applicable", "near the best possible score"),
        (90, 20, "not-met", ", worse"),
    ],
)
def test_a_change_is_read_by_direction_and_size_when_two_scores_are_comparable(
    first: float, last: float, outcome: str, words: str
) -> None:
    result, says = read(ihot(FIRST, first), ihot(LAST, last))
    assert result == outcome
    assert words in says


def test_the_interval_is_flagged_when_the_scores_are_less_than_two_weeks_apart() -> None:
    assert "only 13 days apart" in read(ihot("2025-02-20", 41), ihot(LAST, 60))[1]
    assert "apart" not in read(ihot("2025-02-19", 41), ihot(LAST, 60))[1]


def test_what_got_worse_is_told_too_when_something_else_improved() -> None:
    hoos = [observation(day, concept(LOINC, "72095-3"), v) for day, v in ((FIRST, 70), (LAST, 50))]
    result, says = read(ihot(FIRST, 41), ihot(LAST, 60), *hoos)
    assert result == "met"
    assert "but HOOS Function in daily living 70 to 50, worse" in says


def test_subscales_are_not_compared_when_they_differ() -> None:
    mixed = (observation(FIRST, concept(LOINC, "72095-3"), 20), observation(LAST, concept(LOINC, "72094-6"), 90))
    assert read(*mixed)[0] == "unknown"


def test_sides_are_not_compared_when_they_differ() -> None:
    mixed = (ihot(FIRST, 20, bodySite={"text": "left hip"}), ihot(LAST, 90, bodySite={"text": "right hip"}))
    assert read(*mixed)[0] == "unknown"


@pytest.mark.parametrize(
    ("first", "last", "outcome"),
    [
        (("%", 50), ("%", 36), "met"),
        (("%", 50), ("%", 37), "not-met"),
        (("points", 30), ("points", 23), "met"),
        (("points", 30), ("points", 24), "not-met"),
        (("%", 60), ("points", 20), "unknown"),
        (("points", 20), ("%", 60), "unknown"),
        (("", 40), ("", 10), "unknown"),
        (("%", 60), ("", 20), "unknown"),
    ],
)
def test_percent_and_points_are_never_compared_when_a_neck_score_is_read(
    first: tuple[str, float], last: tuple[str, float], outcome: str
) -> None:
    assert neck(ndi(FIRST, first[1], first[0]), ndi(LAST, last[1], last[0]))[0] == outcome


def test_points_are_compared_by_their_own_change_when_the_code_says_points() -> None:
    code = concept(LOINC, "82237-9")
    result, says = neck(ndi(FIRST, 30, code=code), ndi(LAST, 23, code=code))
    assert result == "met"
    assert "NDI (raw) 30 to 23" in says


def test_a_grade_is_ranked_and_shown_as_told_when_strength_is_compared() -> None:
    scores = [observation(d, {"text": "Hip strength"}, valueString=v) for d, v in ((FIRST, "3-/5"), (LAST, "4+"))]
    result, says = read(*scores, kind="impairment-improved", params=FAMILIES)
    assert result == "unknown"  # the catalogue's figure is not verified
    assert "3-/5 to 4+" in says
    worse = [observation(d, {"text": "Hip strength"}, valueString=v) for d, v in ((FIRST, "good plus"), (LAST, "fair"))]
    result, says = read(*worse, kind="impairment-improved", params=FAMILIES)
    assert (result, "worse" in says) == ("not-met", True)


@pytest.mark.parametrize(
    ("first", "last"),
    [("moderate deficit", "mild deficit"), ("moderate deficit", "5/5"), ("3", "within normal limits")],
)
def test_a_deficit_in_words_is_never_compared_when_strength_is_read(first: str, last: str) -> None:
    scores = [observation(d, {"text": "Hip strength"}, valueString=v) for d, v in ((FIRST, first), (LAST, last))]
    assert read(*scores, kind="impairment-improved", params=FAMILIES)[0] == "unknown"


def test_muscle_groups_are_not_compared_when_they_differ() -> None:
    scores = [
        observation(FIRST, {"text": "Quadriceps strength"}, valueString="2"),
        observation(LAST, {"text": "Hip abductor strength"}, valueString="5"),
    ]
    assert read(*scores, kind="impairment-improved", params=FAMILIES)[0] == "unknown"


def test_the_change_is_unknown_when_a_response_has_only_a_raw_sum() -> None:
    response = {
        "resourceType": "QuestionnaireResponse", "id": "qr", "status": "completed", "authored": LAST,
        "subject": {"reference": "Patient/p"}, "questionnaire": "http://loinc.org/q/72092-0",
        "item": [{"linkId": "1", "answer": [{"valueInteger": 3}]}],
    }  # fmt: skip
    result, says = read(response, params={"when-absent": "not-met"})
    assert result == "unknown"
    assert "raw sum 3" in says


# ----------------------------------------------------------------------------------------------- what always holds

SCORES = st.integers(0, 100)
USUAL = [i for i in terms().instruments.values() if i.range(None) and not i.impairment]


def coded(day: str, score: int, way: int) -> Json:
    """One iHOT-12 score, coded in one of four ways."""
    if way == 0:
        return ihot(day, score, id=f"{day}-0")
    if way == 1:
        return observation(day, {"text": "iHOT 12"}, None, id=f"{day}-1", valueString=str(score))
    if way == 2:
        part = {"code": concept(MEASURES, "ihot-12"), "valueInteger": score}
        return observation(day, {"text": "Hip form"}, id=f"{day}-2", component=[part])
    parts = [
        {"code": concept(LOINC, "89195-2"), "valueString": "IHOT-12"},
        {"code": concept(LOINC, "89194-5"), "valueQuantity": {"value": score}},
    ]
    return observation(day, concept(LOINC, "89196-0"), id=f"{day}-3", component=parts)


@given(SCORES, SCORES, st.sets(st.integers(0, 3), min_size=1), st.integers(0, 3))
def test_a_reading_is_the_same_when_scores_are_coded_otherwise_or_told_twice(
    first: int, last: int, ways: set[int], way: int
) -> None:
    plain = [(m.score, m.day) for m in record_of(ihot(FIRST, first), ihot(LAST, last)).measures]
    others = [coded(FIRST, first, w) for w in ways] + [coded(LAST, last, way)]
    assert [(m.score, m.day) for m in record_of(*others, others[0]).measures] == plain


@given(st.lists(st.tuples(st.sampled_from([FIRST, "2025-02-01", LAST]), SCORES), min_size=2, max_size=4))
def test_a_reading_is_the_same_when_entries_come_in_another_order(told: list[tuple[str, int]]) -> None:
    scores = [ihot(day, score, id=f"s{n}") for n, (day, score) in enumerate(told)]
    readings = {record_of(*order).measures for order in list(permutations(scores))[:6]}
    assert len(readings) == 1


@given(st.sampled_from(USUAL), st.floats(0, 1), st.floats(0, 1))
def test_a_worse_score_never_reads_as_better_whatever_the_instrument(instrument: Any, a: float, b: float) -> None:
    low, high = instrument.range(None)
    first, last = (low + (high - low) * part for part in (a, b))
    (m1,) = record_of(ihot(FIRST, 1)).measures
    (m2,) = record_of(ihot(LAST, 1)).measures
    change = change_of(instrument, of(m1, instrument.id, first), of(m2, instrument.id, last))
    finding = read_change(change)
    worse = last < first if instrument.higher_is_better else last > first
    if worse or first == last:
        assert finding.result is not Result.MET
        assert "improved" not in finding.says
    if finding.result is Result.MET:
        assert change.verified


def of(measure: Measure, instrument: str, score: float) -> Measure:
    return Measure(instrument, None, score, measure.day, measure.sources)


@given(st.integers(0, 50), st.integers(51, 100), st.booleans())
def test_a_score_of_another_scale_is_never_compared_whatever_its_size(raw: int, percent: int, raw_first: bool) -> None:
    pair = [("points", raw), ("%", percent)]
    first, last = pair if raw_first else pair[::-1]
    scores = record_of(ndi(FIRST, first[1], first[0]), ndi(LAST, last[1], last[0])).measures
    assert len({m.scale for m in scores}) == 2
