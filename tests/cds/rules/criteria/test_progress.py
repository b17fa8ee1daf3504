from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import LOINC, SNOMED, Json, claim, concept, encounter, goal, observation, result

START = encounter("2025-01-13")
LATER = encounter("2025-02-24")
OURS = "https://therapy-cds.example/CodeSystem/impairment-measures"
LEFT = {"bodySite": concept(SNOMED, "287679003")}
FAMILIES: dict[str, Any] = {
    "params": {
        "families": ["range-of-motion", "strength", "functional-task"],
        "days-before": "before",
        "days-after": "after",
    },
    "figures": {"before": 14, "after": 14},
}
ABSENT = {"when-absent": "not-met"}


def motion(day: str, degrees: float, **more: Any) -> Json:
    return observation(day, concept(LOINC, "100293-0"), degrees, **LEFT) | more


def strength(day: str) -> Json:
    return observation(day, concept(OURS, "hip-strength"), valueString="4-/5")


def task(day: str) -> Json:
    return observation(day, concept(OURS, "functional-task"), valueString="stairs with a rail")


def test_the_baseline_is_whole_when_every_family_was_measured_at_the_start() -> None:
    three = [motion("2025-01-13", 95), strength("2025-01-14"), task("2025-01-20")]
    assert result("impairments-on-file", START, *three, **FAMILIES) == "met"
    assert result("impairments-on-file", START, *three[:2], **FAMILIES) == "not-met"
    assert result("impairments-on-file", START, *three[:2], task("2025-01-28"), **FAMILIES) == "not-met"
    assert result("impairments-on-file", START, **FAMILIES) == "not-met"


def test_the_baseline_is_unknown_when_measures_or_visits_cannot_be_read() -> None:
    three = [motion("2025-01-13", 95), strength("2025-01-14"), task("2025-01-20")]
    failing = {"encounters": EvidenceState.REFUSED}
    assert result("impairments-on-file", START, *three, failing=failing, **FAMILIES) == "unknown"
    assert result("impairments-on-file", START, failing=failing, **FAMILIES) == "unknown"
    failing = {"observations": EvidenceState.REFUSED, "measures": EvidenceState.REFUSED}
    assert result("impairments-on-file", START, *three, failing=failing, **FAMILIES) == "unknown"


def test_silence_stays_unknown_when_visits_cannot_be_read_and_progress_is_told_for_another_time() -> None:
    how: dict[str, Any] = {"failing": {"encounters": EvidenceState.REFUSED}}
    billed = claim("2025-03-03")
    assert result("goals-progressed", billed, goal("achieved", "2025-01-20"), params=ABSENT) == "not-met"
    assert result("goals-progressed", billed, goal("achieved", "2025-01-20"), params=ABSENT, **how) == "unknown"
    assert result("goals-progressed", billed, goal(), params=ABSENT, **how) == "not-met"
    assert result("reported-improvement", billed, reported("2025-01-20", 60), **how, **HALF) == "unknown"
    scores = [motion("2025-01-20", 95), motion("2025-03-03", 125)]
    params = {"families": ["range-of-motion"], **ABSENT}
    assert result("impairment-improved", billed, *scores, params=params) == "not-met"
    assert result("impairment-improved", billed, *scores, params=params, **how) == "unknown"


@pytest.mark.parametrize("latest", [60, 95, 96])
def test_motion_did_not_improve_when_the_gain_is_within_measuring_error(latest: float) -> None:
    params = {"families": ["range-of-motion"]}
    outcome = result(
        "impairment-improved", START, LATER, motion("2025-01-13", 95), motion("2025-02-24", latest), params=params
    )
    assert outcome in ("not-met", "unknown")


def test_motion_is_not_compared_when_the_sides_differ() -> None:
    right = motion("2025-02-24", 125, bodySite=concept(SNOMED, "287579007"))
    params = {"families": ["range-of-motion"], **ABSENT}
    assert result("impairment-improved", START, LATER, motion("2025-01-13", 95), right, params=params) == "not-met"


# ---------------------------------------------------------------------------------------------------- goals


@pytest.mark.parametrize("status", ["achieved", "improving"])
def test_a_goal_progressed_when_its_status_is_dated_within_the_episode(status: str) -> None:
    assert result("goals-progressed", START, goal(status, "2025-02-24")) == "met"


@pytest.mark.parametrize(
    ("goals", "outcome"),
    [
        ([], "unknown"),
        ([goal()], "unknown"),
        ([goal("in-progress", "2025-02-24")], "unknown"),
        ([goal("worsening", "2025-02-24")], "unknown"),
        ([goal("achieved")], "unknown"),
        ([goal("achieved", "2024-06-01")], "unknown"),
        ([goal("achieved", "2025")], "unknown"),
    ],
)
def test_progress_is_unknown_when_no_goal_tells_it_with_a_date(goals: list[Json], outcome: str) -> None:
    assert result("goals-progressed", START, *goals) == outcome


@pytest.mark.parametrize(
    ("goals", "outcome"),
    [
        ([], "not-met"),
        ([goal("in-progress", "2025-02-24")], "not-met"),
        ([goal("achieved", "2024-06-01")], "not-met"),
        ([goal("achieved")], "unknown"),
        ([goal("achieved", "2025-02-24")], "met"),
    ],
)
def test_silence_is_not_met_when_the_documentation_itself_is_asked_for(goals: list[Json], outcome: str) -> None:
    assert result("goals-progressed", START, *goals, params=ABSENT) == outcome


def test_silence_stays_unknown_when_goals_cannot_be_read() -> None:
    assert result("goals-progressed", START, params=ABSENT, failing={"goals": EvidenceState.FAILED}) == "unknown"


@pytest.mark.parametrize(
    ("goals", "outcome"),
    [
        ([goal()], "met"),
        ([goal("achieved", "2025-02-24"), goal()], "met"),
        ([goal("achieved", "2025-02-24")], "not-met"),
        ([], "unknown"),
        ([goal(lifecycleStatus="completed")], "not-met"),
    ],
)
def test_goals_are_open_when_one_is_still_to_be_reached(goals: list[Json], outcome: str) -> None:
    assert result("goals-open", *goals) == outcome


def test_open_goals_are_unknown_when_goals_cannot_be_read() -> None:
    assert result("goals-open", failing={"goals": EvidenceState.REFUSED}) == "unknown"


# ------------------------------------------------------------------------------------------------- reported


def reported(day: str, percent: float) -> Json:
    return observation(day, concept(OURS, "patient-reported-improvement"), percent)


HALF: dict[str, Any] = {"params": {"percent": "half", **ABSENT}, "figures": {"half": 50}}


@pytest.mark.parametrize(("percent", "outcome"), [(55, "met"), (50, "met"), (49, "not-met")])
def test_a_reported_improvement_counts_when_it_reaches_the_figure(percent: float, outcome: str) -> None:
    assert result("reported-improvement", START, reported("2025-02-24", percent), **HALF) == outcome


def test_the_latest_report_counts_when_there_are_several() -> None:
    assert (
        result("reported-improvement", START, reported("2025-02-24", 60), reported("2025-03-03", 20), **HALF)
        == "not-met"
    )


def test_a_report_does_not_count_when_it_is_older_than_the_episode() -> None:
    assert result("reported-improvement", START, reported("2024-10-01", 60), **HALF) == "not-met"
    assert result("reported-improvement", START, failing={"observations": EvidenceState.LATE}, **HALF) == "unknown"
