from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import LOINC, Json, claim, concept, encounter, found, ihot, observation, result

START = encounter("2025-01-13")
VISITS = [START, *(encounter(f"2025-02-{day:02}") for day in (3, 10, 17, 24))]
BASELINE: dict[str, Any] = {
    "params": {"window": "baseline", "days-before": "before", "days-after": "after"},
    "figures": {"before": 14, "after": 14},
}
CURRENT: dict[str, Any] = {
    "params": {"window": "current", "days": "days", "visits": "visits"},
    "figures": {"days": 30, "visits": 10},
}
FAILED = {"observations": EvidenceState.FAILED}
REFUSED = {"encounters": EvidenceState.REFUSED}


@pytest.mark.parametrize(
    ("day", "outcome"),
    [
        ("2024-12-29", "not-met"),
        ("2024-12-30", "met"),
        ("2025-01-13", "met"),
        ("2025-01-27", "met"),
        ("2025-01-28", "not-met"),
    ],
)
def test_a_baseline_counts_when_it_lies_within_fourteen_days_of_the_start(day: str, outcome: str) -> None:
    assert result("outcome-measure-on-file", START, ihot(day, 41), **BASELINE) == outcome


@pytest.mark.parametrize(
    ("day", "outcome"),
    [("2025-02-07", "not-met"), ("2025-02-08", "met"), ("2025-03-10", "met"), ("2025-03-11", "not-met")],
)
def test_a_score_is_current_when_it_is_of_the_last_thirty_days(day: str, outcome: str) -> None:
    assert result("outcome-measure-on-file", *VISITS, ihot(day, 41), **CURRENT) == outcome


def test_a_score_is_current_when_it_is_of_the_last_ten_visits() -> None:
    ten = [encounter(f"2025-01-{day:02}") for day in range(6, 16)]
    assert result("outcome-measure-on-file", *ten, ihot("2025-01-06", 41), **CURRENT) == "met"
    assert (
        result("outcome-measure-on-file", *ten, encounter("2025-02-20"), ihot("2025-01-06", 41), **CURRENT) == "not-met"
    )


@pytest.mark.parametrize(
    ("score", "outcome"),
    [
        (ihot("2025-01", 41), "unknown"),
        (ihot("2025-01-13", 41, status="preliminary"), "unknown"),
        (ihot("2025-01-13", 410), "unknown"),
        (ihot("2025-01-13", None, dataAbsentReason={"text": "declined"}), "not-met"),
        (observation("2025-01-13", concept(LOINC, "72514-3"), 6), "not-met"),
        (observation("2025-01-13", concept(LOINC, "97909-6"), 30), "not-met"),
        (observation("2025-01-13", concept(LOINC, "72097-9"), 60), "met"),
    ],
    ids=["month", "preliminary", "out of range", "declined", "pain only", "back", "HOOS"],
)
def test_only_a_final_dated_score_of_a_suited_instrument_settles_it_when_others_are_on_file(
    score: Json, outcome: str
) -> None:
    assert result("outcome-measure-on-file", START, score, **BASELINE) == outcome


@pytest.mark.parametrize("key", ["observations", "measures", "questionnaireResponses"])
@pytest.mark.parametrize("window", [BASELINE, CURRENT])
def test_absence_is_unknown_when_a_search_for_measures_failed(key: str, window: dict[str, Any]) -> None:
    assert result("outcome-measure-on-file", START, failing={key: EvidenceState.FAILED}, **window) == "unknown"


def test_a_baseline_is_unknown_when_the_start_of_care_cannot_be_told() -> None:
    later = claim("2025-02-24")
    assert result("outcome-measure-on-file", START, later, ihot("2025-02-24", 41), **BASELINE) == "not-met"
    assert (
        result("outcome-measure-on-file", START, later, ihot("2025-02-24", 41), failing=REFUSED, **BASELINE)
        == "unknown"
    )


def test_current_is_told_by_days_alone_when_visits_cannot_be_read() -> None:
    billed = [claim(f"2025-01-{day:02}") for day in range(6, 16)]
    assert result("outcome-measure-on-file", *billed, ihot("2025-01-06", 41), failing=REFUSED, **CURRENT) == "unknown"
    assert result("outcome-measure-on-file", *billed, ihot("2025-03-01", 41), failing=REFUSED, **CURRENT) == "met"


def test_the_last_score_is_told_when_it_is_too_old() -> None:
    weighed = found("outcome-measure-on-file", *VISITS, ihot("2025-01-13", 41), **CURRENT)
    assert "last seen iHOT-12 41 on 2025-01-13" in weighed.says


# --------------------------------------------------------------------------------------------------- change


def improved(*scores: Json, **how: Any) -> str:
    return result("outcome-measure-improved", *VISITS, *scores, **how)


@pytest.mark.parametrize(
    ("latest", "outcome"), [(60, "met"), (55, "met"), (54, "not-met"), (41, "not-met"), (27, "not-met")]
)
def test_a_change_is_important_when_it_reaches_the_instruments_figure(latest: float, outcome: str) -> None:
    assert improved(ihot("2025-01-13", 41), ihot("2025-02-24", latest)) == outcome


def test_the_change_is_told_when_a_score_became_worse() -> None:
    weighed = found("outcome-measure-improved", *VISITS, ihot("2025-01-13", 41), ihot("2025-02-24", 27))
    assert weighed.says == "iHOT-12 41 to 27, worse (MCII 14)"


@pytest.mark.parametrize(
    "scores",
    [
        [],
        [ihot("2025-01-13", 41)],
        [ihot("2025-01-13", 41), ihot("2025-01-13", 60, id="same day")],
        [ihot("2025-01-13", 41), observation("2025-02-24", concept(LOINC, "72097-9"), 90)],
        [ihot("2025-01-13", 41), ihot("2025-02", 60)],
        [ihot("2025-01-13", 41), ihot("2025-02-24", 60, status="preliminary")],
        [ihot("2024-11-01", 41), ihot("2025-02-24", 60)],
        [ihot("2025-01-13", 41), ihot("2025-03-11", 60)],
    ],
    ids=["none", "one", "same day", "other instrument", "vague", "preliminary", "before the episode", "after the day"],
)
def test_a_change_is_unknown_when_two_comparable_scores_are_not_on_file(scores: list[Json]) -> None:
    assert improved(*scores) == "unknown"
    assert improved(*scores, params={"when-absent": "not-met"}) == "not-met"
    assert improved(*scores, params={"when-absent": "not-met"}, failing=FAILED) == "unknown"


def test_a_change_does_not_apply_when_the_baseline_is_too_near_the_best() -> None:
    assert improved(ihot("2025-01-13", 95), ihot("2025-02-24", 99)) == "not-applicable"


def test_one_improvement_is_enough_when_another_instrument_shows_none() -> None:
    hoos = [observation(day, concept(LOINC, "72097-9"), 60) for day in ("2025-01-13", "2025-02-24")]
    assert improved(ihot("2025-01-13", 41), ihot("2025-02-24", 60), *hoos) == "met"


def test_only_first_and_last_count_when_there_are_more_scores_between() -> None:
    assert improved(ihot("2025-01-13", 41), ihot("2025-02-03", 70), ihot("2025-02-24", 45)) == "not-met"


def test_a_score_told_twice_does_not_hide_a_change_when_the_second_is_in_words() -> None:
    twice = ihot("2025-02-24", None, id="texted", valueString="60")
    assert improved(ihot("2025-01-13", 41), ihot("2025-02-24", 60), twice) == "met"


def test_the_baseline_is_in_doubt_when_visits_cannot_be_read_and_an_older_score_is_on_file() -> None:
    billed = [claim("2025-02-10"), claim("2025-02-24")]
    scores = [ihot("2025-01-13", 60), ihot("2025-02-10", 40), ihot("2025-02-24", 60)]
    assert result("outcome-measure-improved", START, *billed, *scores) == "not-met"
    assert result("outcome-measure-improved", START, *billed, *scores, failing=REFUSED) == "unknown"
    assert result("outcome-measure-improved", START, *billed, *scores[1:], failing=REFUSED) == "met"
