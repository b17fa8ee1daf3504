from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import (
    LEFT_KNEE,
    Json,
    claim,
    condition,
    encounter,
    found,
    procedure,
    result,
    service_request,
    surgery,
    visits,
)

REFUSED = {"encounters": EvidenceState.REFUSED}
SIX_WEEKS: dict[str, Any] = {"params": {"days": "days"}, "figures": {"days": 42}}


@pytest.mark.parametrize(
    ("start", "outcome"), [("2025-01-27", "not-met"), ("2025-01-28", "met"), ("2025-01-26", "not-met")]
)
def test_an_episode_is_short_when_fewer_days_have_passed_since_its_first_visit(start: str, outcome: str) -> None:
    assert result("episode-shorter-than", encounter(start), **SIX_WEEKS) == outcome  # 27 January is day 42


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("2025-01-27", "Day 42 of the episode, which began on 2025-01-27; day 42 is reached"),
        ("2025-01-28", "Day 41 of the episode, which began on 2025-01-28; day 42 is not reached yet"),
    ],
)
def test_the_day_that_decides_is_told_when_an_episode_is_weighed(start: str, says: str) -> None:
    assert found("episode-shorter-than", encounter(start), **SIX_WEEKS).says == says


def test_an_episode_is_short_when_no_visit_has_been_yet() -> None:
    assert result("episode-shorter-than", **SIX_WEEKS) == "met"
    assert result("episode-shorter-than", failing=REFUSED, **SIX_WEEKS) == "unknown"
    assert result("episode-shorter-than", claim("2025-01-20"), failing=REFUSED, **SIX_WEEKS) == "not-met"


EVALUATIONS = ["therapy-evaluations", "therapy-re-evaluations"]
LATELY: dict[str, Any] = {
    "params": {"sets": EVALUATIONS, "days": "days", "visits": "visits"},
    "figures": {"days": 28, "visits": 3},
}
AFTER: dict[str, Any] = {"params": {"sets": ["therapy-re-evaluations"], "day": "day"}, "figures": {"day": 42}}


def evaluated(day: str, code: str = "97164") -> list[Json]:
    return [encounter(day), procedure(day, code, visit=f"Encounter/e-{day}")]


@pytest.mark.parametrize(
    ("day", "outcome"),
    [("2025-02-10", "met"), ("2025-02-09", "not-met"), ("2025-03-10", "met"), ("2025-03-11", "not-met")],
)
def test_an_evaluation_is_recent_when_it_was_within_the_days(day: str, outcome: str) -> None:
    assert result("re-evaluated", *evaluated(day), **LATELY) == outcome


@pytest.mark.parametrize(("since", "outcome"), [(3, "met"), (4, "not-met")])
def test_an_evaluation_is_recent_when_few_visits_followed_it(since: int, outcome: str) -> None:
    later = [encounter(f"2025-02-{day}") for day in range(20, 20 + since)]
    assert result("re-evaluated", *evaluated("2025-02-12"), *later, **LATELY) == outcome


def test_an_evaluation_is_in_doubt_when_visits_since_then_cannot_be_read() -> None:
    assert result("re-evaluated", procedure("2025-02-12", "97164"), failing=REFUSED, **LATELY) == "unknown"
    assert result("re-evaluated", failing=REFUSED, **LATELY) == "unknown"
    assert result("re-evaluated", failing={"procedures": EvidenceState.CUT}, **LATELY) == "unknown"


@pytest.mark.parametrize(("day", "outcome"), [("2025-02-23", "not-met"), ("2025-02-24", "met"), ("2025-03-10", "met")])
def test_a_re_evaluation_counts_when_it_was_on_or_after_the_day_of_the_episode(day: str, outcome: str) -> None:
    assert result("re-evaluated", encounter("2025-01-13"), *evaluated(day), **AFTER) == outcome  # day 42 is 24 February


def test_an_evaluation_is_known_when_only_a_claim_tells_of_it() -> None:
    assert result("re-evaluated", encounter("2025-01-13"), claim("2025-02-26", "97164"), **AFTER) == "met"


# -------------------------------------------------------------------------------------------------- surgery

WINDOW: dict[str, Any] = {"params": {"set": "hip-surgery", "months": "months"}, "figures": {"months": 6}}


@pytest.mark.parametrize(
    ("day", "outcome"),
    [
        ("2024-09-09", "not-met"),
        ("2024-09-10", "met"),
        ("2025-03-10", "met"),
        ("2025-03-11", "not-applicable"),
        ("2024-09", "unknown"),
        ("2024", "unknown"),
        ("2024-08", "not-met"),
        ("2024-10", "met"),
        ("2023", "not-met"),
    ],
)
def test_the_order_is_inside_the_window_when_surgery_was_six_months_ago_or_less(day: str, outcome: str) -> None:
    assert result("surgery-within", surgery(day), **WINDOW) == outcome


def test_the_range_of_days_is_told_when_only_the_year_of_surgery_is_known() -> None:
    weighed = found("surgery-within", surgery("2024"), **WINDOW)
    assert weighed.says.startswith("69 to 434 days since")


def test_it_is_unknown_when_surgery_has_no_date_at_all() -> None:
    assert result("surgery-within", surgery("2024") | {"performedDateTime": None}, **WINDOW) == "unknown"


def test_the_window_does_not_apply_when_there_was_no_surgery_of_the_region() -> None:
    assert result("surgery-within", **WINDOW) == "not-applicable"
    assert result("surgery-within", procedure("2025-02-01", "29881"), **WINDOW) == "not-applicable"
    assert result("surgery-within", failing={"procedures": EvidenceState.REFUSED}, **WINDOW) == "unknown"


def test_the_later_surgery_counts_when_there_were_two() -> None:
    assert result("surgery-within", surgery("2023-01-01") | {"id": "old"}, surgery("2025-01-15"), **WINDOW) == "met"


# -------------------------------------------------------------------------------------------------- restart

GAP: dict[str, Any] = {"params": {"gap": "episode-gap", "sets": EVALUATIONS}}
BEFORE = encounter("2024-11-01")
AGAIN = encounter("2025-03-03")


def test_there_is_nothing_to_justify_when_therapy_did_not_pause() -> None:
    assert result("restart-justified", encounter("2025-02-10"), AGAIN, **GAP) == "not-applicable"
    assert result("restart-justified", **GAP) == "not-applicable"
    assert result("restart-justified", failing=REFUSED, **GAP) == "unknown"


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ([], "not-met"),
        ([condition(LEFT_KNEE, "2025-02-15")], "met"),
        ([condition(LEFT_KNEE, "2024-10-15")], "not-met"),
        ([condition(LEFT_KNEE, recordedDate="2025-02-15")], "met"),
        ([surgery("2025-02-20")], "met"),
        ([procedure("2025-03-03", "97164", visit="Encounter/e-2025-03-03")], "met"),
        ([procedure("2024-11-01", "97161", visit="Encounter/e-2024-11-01")], "not-met"),
    ],
    ids=["none", "new condition", "old condition", "newly recorded", "surgery", "evaluation", "old evaluation"],
)
def test_a_restart_is_justified_when_a_reason_is_on_file_since_the_pause(reason: list[Json], outcome: str) -> None:
    assert result("restart-justified", BEFORE, AGAIN, *reason, **GAP) == outcome


def test_a_restart_is_justified_when_the_order_asks_for_an_evaluation() -> None:
    order = service_request(
        quantityQuantity=visits(2),
        orderDetail=[{"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97161"}]}],
    )
    assert result("restart-justified", BEFORE, order=order, **GAP) == "met"


@pytest.mark.parametrize("key", ["conditions", "procedures", "encounters"])
def test_a_restart_is_in_doubt_when_what_may_tell_of_it_cannot_be_read(key: str) -> None:
    assert (
        result("restart-justified", BEFORE, AGAIN, claim("2024-11-01"), failing={key: EvidenceState.FAILED}, **GAP)
        == "unknown"
    )
