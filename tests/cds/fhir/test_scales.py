from __future__ import annotations

from typing import Any

import pytest

from cds.fhir.scales import Told, scale_of
from cds.model import Fact, Measure
from tests.cds.build import LOINC, Json, concept, observation, reasons, record_of, terms

DAY = "2025-03-05"
NDI_CODE = concept(LOINC, "82237-9")


def told(name: str, score: float, unit: str = "", said: str | None = None, part: str | None = None) -> Told:
    return scale_of(terms().instruments[name], part, score, unit, said)


def quantity(value: float, unit: str = "") -> Json:
    return {"valueQuantity": {"value": value, **({"unit": unit, "code": unit} if unit else {})}}


def one(code: Json, **value: Any) -> Measure:
    (found,) = record_of(observation(DAY, code, **value)).measures
    return found


@pytest.mark.parametrize("name", ["ndi"])
def test_the_scale_is_not_told_when_no_unit_says_whether_it_is_percent_or_points(name: str) -> None:
    assert "no unit" in told(name, 36).problem
    assert "no unit" in told(name, 36, "{score}").problem
    assert told(name, 36, "%") == Told()
    assert told(name, 51) == Told()
    assert told(name, 50).problem


def test_the_scale_is_raw_when_the_code_or_the_unit_says_so() -> None:
    assert told("ndi", 22, said="raw") == Told("raw")
    assert told("ndi", 22, "points") == Told("raw")
    assert told("ndi", 22, "%", said="raw") == Told()
    assert told("ndi", 60, said="raw").impossible


def test_a_raw_score_stays_in_words_when_no_change_is_known_on_its_scale() -> None:
    found = told("odi", 22, "points")
    assert (found.impossible, found.text) == (False, "22 (raw)")


@pytest.mark.parametrize(
    ("name", "part", "score", "other"),
    [
        ("fabq", "physical-activity", 26, "all physical activity items"),
        ("fabq", "work", 50, "all work items"),
        ("lefs", None, 81, "percent"),
        ("nprs", None, 45, "millimetres"),
    ],
)
def test_a_score_is_impossible_but_its_scale_is_guessed_when_it_fits_another(
    name: str, part: str | None, score: float, other: str
) -> None:
    found = told(name, score, part=part)
    assert found.impossible
    assert other in found.problem


@pytest.mark.parametrize(
    ("name", "part", "score"), [("fabq", "physical-activity", 24), ("fabq", "work", 42), ("lefs", None, 80)]
)
def test_a_score_is_used_when_it_is_the_highest_of_its_scale(name: str, part: str | None, score: float) -> None:
    assert told(name, score, part=part) == Told()


@pytest.mark.parametrize(
    ("name", "unit"), [("lefs", "%"), ("nprs", "mm"), ("six-minute-walk", "[ft_i]"), ("muscle-strength", "N")]
)
def test_a_score_is_not_used_when_its_unit_is_of_another_scale(name: str, unit: str) -> None:
    found = told(name, 5, unit)
    assert "another scale" in found.problem
    assert found.text


def test_a_distance_is_not_used_when_it_has_no_unit() -> None:
    assert told("six-minute-walk", 400).problem
    assert told("six-minute-walk", 400, "m") == Told()
    assert told("six-minute-walk", 400, "meters") == Told()


@pytest.mark.parametrize(("code", "score"), [("82323-7", 20), ("82332-8", 20), ("91721-1", 25)])
def test_the_usual_scale_holds_when_the_code_itself_says_so(code: str, score: float) -> None:
    assert one(concept(LOINC, code), **quantity(score)).score == score


def test_a_name_alone_does_not_tell_the_scale_when_a_raw_sum_runs_the_other_way() -> None:
    assert one({"text": "HOOS JR"}, **quantity(20)).score is None


def test_a_score_stays_on_file_in_words_when_its_scale_is_not_told() -> None:
    record = record_of(observation(DAY, {"text": "NDI"}, **quantity(36)))
    (found,) = record.measures
    assert (found.score, found.text) == (None, "36 (scale not told)")
    assert any("no unit" in reason for reason in reasons(record))
    assert not record.doubts(Fact.MEASURES)


def test_points_and_percent_are_kept_apart_when_both_are_on_file() -> None:
    record = record_of(
        observation(DAY, NDI_CODE, **quantity(22)), observation("2025-02-01", {"text": "NDI"}, **quantity(44, "%"))
    )
    assert {(m.score, m.scale) for m in record.measures} == {(22, "raw"), (44, "")}


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("3-/5", 2.67),
        ("4+", 4.33),
        ("good plus", 4.33),
        ("Good Plus", 4.33),
        ("MMT 4/5", 4),
        ("5 / 5", 5),
        ("5", 5),
        ("moderate deficit", None),
        ("within normal limits", None),
        ("4+ with pain", None),
    ],
)
def test_a_grade_is_ranked_when_its_sign_or_words_are_in_the_catalogue(text: str, grade: float | None) -> None:
    assert one({"text": "Hip strength"}, valueString=text).score == grade
