from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import (
    LEFT_KNEE,
    Json,
    appointment,
    care_plan,
    encounter,
    found,
    period,
    result,
    service_request,
    visits,
    weekly,
)

REFUSED = {"encounters": EvidenceState.REFUSED}
LIMIT: dict[str, Any] = {"params": {"limit": "limit"}, "figures": {"limit": 5}}
SHARE: dict[str, Any] = {"params": {"limit": "limit", "share": "share"}, "figures": {"limit": 10, "share": 80}}
PLANNED: dict[str, Any] = {"params": {"limit": "limit", "count": "projected"}, "figures": {"limit": 10}}
DAYS = ["2025-02-10", "2025-02-17", "2025-02-24", "2025-03-03", "2025-03-05"]


def prior(number: int) -> list[Json]:
    return [encounter(day) for day in DAYS[:number]]


def asking(number: int, **more: Any) -> Json:
    return service_request(quantityQuantity=visits(number), **more)


@pytest.mark.parametrize(
    ("done", "asked", "outcome"),
    [(0, 5, "met"), (3, 2, "met"), (3, 3, "not-met"), (5, 1, "not-met"), (0, 6, "not-met")],
)
def test_the_limit_is_kept_when_completed_and_requested_do_not_exceed_it(done: int, asked: int, outcome: str) -> None:
    assert result("visits-within", *prior(done), order=asking(asked), **LIMIT) == outcome


def test_the_numbers_are_told_when_visits_are_weighed() -> None:
    weighed = found("visits-within", *prior(3), order=asking(3), **LIMIT)
    assert weighed.says == "6 of 5 visits: 3 completed and 3 requested"
    assert weighed.would_change == ("met if the order asks for no more than 2 visits",)
    assert len(weighed.evidence) == 3


@pytest.mark.parametrize(("asked", "outcome"), [(5, "unknown"), (6, "not-met")])
def test_only_an_excess_is_certain_when_prior_visits_cannot_be_read(asked: int, outcome: str) -> None:
    assert result("visits-within", order=asking(asked), failing=REFUSED, **LIMIT) == outcome


@pytest.mark.parametrize(("done", "outcome"), [(4, "unknown"), (5, "unknown")])
def test_it_is_unknown_when_the_order_does_not_say_how_many(done: int, outcome: str) -> None:
    assert result("visits-within", *prior(done), order=service_request(), **LIMIT) == outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"), [(1, 3, "met"), (2, 4, "unknown"), (4, 6, "not-met"), (2, None, "unknown")]
)
def test_a_range_is_weighed_by_both_its_ends_when_the_order_gives_one(low: int, high: int | None, outcome: str) -> None:
    wanted: Json = {"low": {"value": low}} | ({"high": {"value": high}} if high else {})
    assert result("visits-within", *prior(2), order=service_request(quantityRange=wanted), **LIMIT) == outcome


def test_it_is_unknown_when_vague_visits_straddle_the_limit() -> None:
    vague = [encounter("2025-03-04", id="v", reason=None), encounter("2025-03-01", reason=LEFT_KNEE)]
    assert result("visits-within", *prior(3), *vague, order=asking(2), **LIMIT) == "unknown"
    assert result("visits-within", *prior(3), *vague, order=asking(3), **LIMIT) == "not-met"


@pytest.mark.parametrize(
    ("often", "until", "outcome"),
    [((2, None), "2025-04-08", "met"), ((2, None), "2025-04-15", "not-met"), ((1, 2), "2025-04-15", "unknown")],
)
def test_the_plans_end_is_weighed_when_it_is_projected(often: tuple[int, int | None], until: str, outcome: str) -> None:
    plan = care_plan(weekly(*often, boundsPeriod=period("2025-03-11", until)))
    order = asking(1, occurrenceDateTime="2025-03-10")
    assert result("visits-within", *prior(1), plan, order=order, **PLANNED) == outcome


@pytest.mark.parametrize("limit", [9, 8])
def test_no_plan_of_care_is_told_of_when_the_orders_own_timing_alone_is_projected(limit: int) -> None:
    timing = weekly(2, boundsPeriod=period("2025-03-11", "2025-04-08"))
    how = PLANNED | {"figures": {"limit": limit}}
    alone = found("visits-within", *prior(1), order=asking(8, occurrenceTiming=timing), **how)
    assert alone.says == f"With this order 9 visits in all are projected, against {limit}"
    assert alone.would_change == (() if limit == 9 else ("met if the order ends at 8 visits in all",))
    planned = found("visits-within", *prior(1), care_plan(timing), order=asking(8, occurrenceTiming=timing), **how)
    assert planned.says.startswith("The plan of care projects ")


def test_the_plans_end_is_unknown_when_nobody_says_how_often_or_visits_cannot_be_read() -> None:
    order = asking(1, occurrenceDateTime="2025-03-10")
    plan = care_plan(weekly(1, boundsPeriod=period("2025-03-11", "2025-03-25")))
    assert result("visits-within", *prior(1), order=order, **PLANNED) == "unknown"
    assert result("visits-within", plan, order=order, failing=REFUSED, **PLANNED) == "unknown"
    assert result("visits-within", plan, order=service_request(), **PLANNED) == "unknown"


@pytest.mark.parametrize(("asked", "outcome"), [(7, "met"), (8, "not-met"), (9, "not-met")])
def test_four_fifths_are_reached_when_eight_of_ten_are_completed_or_requested(asked: int, outcome: str) -> None:
    assert result("visits-below-share", order=asking(asked), **SHARE) == outcome


def test_whole_visits_are_told_when_a_share_of_the_limit_is_none() -> None:
    weighed = found("visits-below-share", order=asking(12), params=SHARE["params"], figures={"limit": 14, "share": 80})
    assert weighed.says == "12 of 14 visits (80 % is reached with 12)"
    assert weighed.would_change == ("met if fewer than 12 visits are completed and requested",)


@pytest.mark.parametrize(("asked", "outcome"), [(7, "unknown"), (8, "not-met")])
def test_staying_below_is_unknown_when_prior_visits_cannot_be_read(asked: int, outcome: str) -> None:
    assert result("visits-below-share", order=asking(asked), failing=REFUSED, **SHARE) == outcome


def test_therapy_has_begun_when_one_visit_counts() -> None:
    assert result("prior-visit", *prior(1)) == "met"
    assert result("prior-visit") == "not-met"
    assert result("prior-visit", failing=REFUSED) == "unknown"
    assert result("prior-visit", encounter("2025-03-03", reason=LEFT_KNEE)) == "not-met"


KEPT: dict[str, Any] = {"params": {"share": "share"}, "figures": {"share": 75}}


def missed(number: int) -> list[Json]:
    return [appointment(f"2025-02-{day:02}T10:00:00-05:00", "noshow") for day in range(11, 11 + number)]


@pytest.mark.parametrize(("number", "outcome"), [(1, "met"), (2, "not-met")])
def test_attendance_is_weighed_when_bookings_were_kept_and_missed(number: int, outcome: str) -> None:
    assert result("attendance", *prior(4), *missed(number), **KEPT) == outcome


def test_attendance_is_unknown_or_does_not_apply_when_there_is_nothing_to_judge() -> None:
    assert result("attendance", *prior(4), **KEPT) == "unknown"
    assert result("attendance", **KEPT) == "not-applicable"


@pytest.mark.parametrize("key", ["encounters", "appointments"])
def test_attendance_is_unknown_when_a_search_that_tells_of_it_failed(key: str) -> None:
    booked = [*missed(2), encounter("2025-02-20", status="cancelled")]
    how = {"failing": {key: EvidenceState.REFUSED}}
    assert result("attendance", *prior(4), *booked, **how, **KEPT) in ("unknown", "not-applicable")
