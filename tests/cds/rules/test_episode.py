"""Which visits count, and how many: the regression set of example patient f000, and the edges of an episode."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from cds.fhir.bundles import parse_answer
from cds.model import EvidenceState, VisitCount
from tests.cds.build import (
    ACT,
    ICD10,
    LEFT_KNEE,
    OCCUPATIONAL,
    RIGHT_HIP,
    SNOMED,
    THERAPY,
    Json,
    about,
    appointment,
    assess,
    bundle,
    care_plan,
    changed,
    claim,
    concept,
    condition,
    encounter,
    example,
    period,
    procedure,
    results,
    service_request,
    surgery,
    visits,
    visits_of,
    weekly,
    weigh,
)

ME: Json = {"subject": about("f000")}
LAST = "f000-visit-18"


def count(resources: list[Json], **how: Any) -> VisitCount:
    found = assess(*resources, **how).visits
    assert found is not None
    return found


def numbers(resources: list[Json], **how: Any) -> tuple[int | None, int | None]:
    """Completed and total, None where they are not known."""
    found = count(resources, **how)
    assert found.total is not None
    return (found.completed.exact if found.complete else None), (found.total.exact if found.complete else None)


def counted(*resources: Json, **how: Any) -> VisitCount:
    found = weigh(*resources, **how).visits
    assert found is not None
    return found


# ------------------------------------------------------------------------------------- the set of example f000


def test_eighteen_visits_count_when_nothing_is_changed() -> None:
    assert numbers(example("f000")) == (18, 20)


def test_eighteen_visits_count_when_encounter_procedures_and_claims_tell_of_each_day() -> None:
    record = example("f000")
    days = [r["period"]["start"][:10] for r in record if r["resourceType"] == "Encounter"]
    claims = [claim(day, patient=about("f000")) for day in days]
    again = [r | {"id": f"again-{r['id']}"} for r in record if r["resourceType"] == "Encounter"]
    assert numbers([*record, *claims, *again]) == (18, 20)


def test_nineteen_in_all_when_the_eighteenth_visit_is_the_first_of_those_asked_for() -> None:
    def moved(visit: Json) -> Json:
        return visit | {"period": {"start": "2025-03-10T10:00:00-04:00", "end": "2025-03-10T10:45:00-04:00"}}

    found = count(changed(example("f000"), LAST, moved))
    assert (found.completed.exact, found.overlap) == (18, 1)
    assert found.total is not None
    assert found.total.exact == 19


@pytest.mark.parametrize("status", ["cancelled", "noshow", "entered-in-error"])
def test_a_visit_is_not_counted_when_it_did_not_take_place(status: str) -> None:
    assert numbers(changed(example("f000"), LAST, lambda visit: visit | {"status": status})) == (17, 19)


def test_occupational_therapy_is_apart_when_it_falls_on_a_day_of_physical_therapy() -> None:
    other = encounter("2025-03-05", id="ot", service=OCCUPATIONAL, **ME)
    assert numbers([*example("f000"), other]) == (18, 20)


def test_a_visit_for_the_right_hip_is_apart_when_the_order_is_for_the_left() -> None:
    other = encounter("2025-02-28", id="right", reason=RIGHT_HIP, **ME)
    assert numbers([*example("f000"), other]) == (18, 20)


def test_a_telehealth_visit_counts_when_its_class_says_virtual() -> None:
    virtual = {"class": {"system": ACT, "code": "VR"}}
    assert numbers(changed(example("f000"), LAST, lambda visit: visit | virtual)) == (18, 20)


def test_two_sessions_are_one_visit_when_they_fall_on_one_day() -> None:
    afternoon = encounter("2025-03-05T16:00:00-05:00", id="afternoon", **ME)
    assert numbers([*example("f000"), afternoon]) == (18, 20)


def test_an_evening_visit_counts_on_its_local_day_when_in_utc_it_is_the_next() -> None:
    # 23:30-05:00 on 9 March is 10 March in UTC, where it would be taken for the first of those asked for.
    def late(visit: Json) -> Json:
        return visit | {"period": {"start": "2025-03-09T23:30:00-05:00"}}

    found = count(changed(example("f000"), LAST, late))
    assert (found.completed.exact, found.overlap) == (18, 0)


def test_prior_visits_are_unknown_with_a_lower_bound_when_encounters_are_one_page_of_more() -> None:
    found = count(example("f000"), failing={"encounters": EvidenceState.CUT})
    assert not found.complete
    assert found.completed.high is None


@pytest.mark.parametrize("state", [EvidenceState.REFUSED, EvidenceState.FAILED, EvidenceState.LATE, EvidenceState.NULL])
def test_prior_visits_are_unknown_and_never_none_when_encounters_cannot_be_searched(state: EvidenceState) -> None:
    without = [r for r in example("f000") if r["resourceType"] != "Procedure"]
    assessment = assess(*without, failing={"encounters": state})
    assert assessment.visits is not None
    assert not assessment.visits.complete
    assert assessment.visits.completed.exact is None
    assert results(assessment)["visits-within-benchmark"] == "unknown"


def test_the_count_is_of_all_pages_when_a_server_sends_several() -> None:
    # Paging itself is tested with a real server; here: what page 2 held is counted with page 1.
    record = example("f000")
    pages = [[r for r in record if r["id"] != LAST], [r for r in record if r["id"] == LAST]]
    held = [parse_answer(json.dumps(bundle(*page)).encode()).resources for page in pages]
    assert len(held[0]) + len(held[1]) == len(record)
    assert numbers([*pages[0], *pages[1]]) == (18, 20)


# -------------------------------------------------------------------------------------------- more on f000


def test_a_series_counts_by_its_procedures_when_one_encounter_stands_for_all_visits() -> None:
    record = example("f000")
    first, *others = visits_of(record)
    kept = [r for r in record if r["id"] not in others]
    for resource in kept:
        if resource["id"] == first:
            resource["period"] = period("2024-08-12", "2025-03-09")
        elif resource.get("encounter"):
            resource["encounter"] = {"reference": f"Encounter/{first}"}
    assert numbers(kept) == (18, 20)


def test_visits_count_by_procedures_alone_when_no_encounter_is_on_file() -> None:
    record = [r for r in example("f000") if r["resourceType"] != "Encounter"]
    for resource in record:
        resource.pop("encounter", None)
    assert numbers(record) == (18, 20)


@pytest.mark.parametrize("code", ["IMP", "EMER"])
def test_a_visit_is_not_counted_when_it_was_in_hospital(code: str) -> None:
    inpatient = {"class": {"system": ACT, "code": code}}
    assert numbers(changed(example("f000"), LAST, lambda visit: visit | inpatient)) == (17, 19)


def test_a_visit_in_progress_counts_only_when_it_began_before_the_day() -> None:
    def running(start: str) -> list[Json]:
        return changed(example("f000"), LAST, lambda visit: visit | {"status": "in-progress", "period": period(start)})

    assert numbers(running("2025-03-05T10:00:00-05:00")) == (18, 20)
    assert numbers(running("2025-03-10T08:00:00-04:00")) == (17, 19)


def test_a_visit_of_the_order_is_not_counted_twice_when_both_days_asked_for_are_over() -> None:
    done = [encounter(f"2025-03-{day}", id=f"done-{day}", **ME) for day in (10, 12)]
    assert numbers([*example("f000"), *done]) == (19, 20)


# ------------------------------------------------------------------------------------------- where it begins

TWICE = service_request(quantityQuantity=visits(2))


@pytest.mark.parametrize(("gap", "completed"), [(59, 2), (60, 1), (61, 1)])
def test_a_new_episode_begins_when_sixty_days_passed_without_therapy(gap: int, completed: int) -> None:
    last = date(2025, 3, 3)
    found = counted(encounter(str(last - timedelta(days=gap))), encounter(str(last)))
    assert found.completed.exact == completed


@pytest.mark.parametrize(("gap", "completed"), [(59, 1), (60, 0)])
def test_nothing_is_completed_yet_when_the_last_visit_was_sixty_days_ago(gap: int, completed: int) -> None:
    found = counted(encounter(str(date(2025, 3, 10) - timedelta(days=gap))))
    assert (found.completed.exact, found.complete) == (completed, True)


@pytest.mark.parametrize(
    ("day", "completed"), [("2025-02-20", 1), ("2025-02-19", 1), ("2025-02-18", 1), ("2025-02-10", 2)]
)
def test_the_count_begins_anew_when_there_was_surgery_of_the_region(day: str, completed: int) -> None:
    visits_ = [encounter("2025-02-10"), encounter("2025-02-20")]
    assert counted(*visits_, surgery(day)).completed.exact == completed


def test_the_count_goes_on_when_the_surgery_was_elsewhere_or_not_done() -> None:
    visits_ = [encounter("2025-02-10"), encounter("2025-02-20")]
    knee = surgery("2025-02-15", reasonCode=[concept(ICD10, LEFT_KNEE)], bodySite=[])
    assert counted(*visits_, knee).completed.exact == 2
    assert counted(*visits_, surgery("2025-02-15", status="not-done")).completed.exact == 2


def test_the_count_goes_on_when_the_day_of_surgery_is_too_vague_to_part_the_visits() -> None:
    assert counted(encounter("2025-02-10"), encounter("2025-02-20"), surgery("2025-02")).completed.exact == 2


def test_the_count_begins_anew_when_there_was_an_injury_of_the_region() -> None:
    strain = condition("S76.012A", "2025-02-15")
    assert counted(encounter("2025-02-10"), encounter("2025-02-20"), strain).completed.exact == 1
    shoulder = condition("S46.012A", "2025-02-15")
    assert counted(encounter("2025-02-10"), encounter("2025-02-20"), shoulder).completed.exact == 2


def episode(start: str, **more: Any) -> Json:
    return {
        "resourceType": "EpisodeOfCare",
        "id": "episode",
        "status": "active",
        "patient": about(),
        "period": period(start),
        "type": [concept(SNOMED, THERAPY)],
    } | more


def test_the_stated_episode_is_counted_when_the_record_holds_one() -> None:
    visits_ = [encounter("2024-11-01"), encounter("2025-02-10"), encounter("2025-02-20")]
    assert counted(*visits_, episode("2024-11-01")).completed.exact == 3
    assert counted(*visits_, episode("2025-02-15")).completed.exact == 1
    assert counted(*visits_, episode("2025-02-15")).start == date(2025, 2, 15)


@pytest.mark.parametrize(
    "more",
    [
        {"period": period("2025-02")},
        {"period": period("2025-02-15", "2025-02-18")},
        {"period": period("2025-03-11")},
        {"type": [concept(SNOMED, OCCUPATIONAL)]},
        {"diagnosis": [{"condition": {"reference": f"Condition/co-{LEFT_KNEE}"}}]},
        {"status": "finished"},
    ],
    ids=["vague", "over", "later", "other discipline", "other region", "finished"],
)
def test_the_stated_episode_is_left_aside_when_it_is_vague_over_or_of_something_else(more: Json) -> None:
    visits_ = [encounter("2025-02-10"), encounter("2025-02-20"), condition(LEFT_KNEE)]
    assert counted(*visits_, episode("2025-02-15", **more)).completed.exact == 2


# --------------------------------------------------------------------------------------------- whose visits


def test_a_vague_visit_counts_when_no_other_therapy_goes_on() -> None:
    found = counted(encounter("2025-02-10", reason=None), encounter("2025-02-20"))
    assert (found.completed.exact, found.complete) == (2, True)


def test_the_count_is_unknown_when_a_vague_visit_may_be_of_another_region() -> None:
    found = counted(
        encounter("2025-02-10", reason=None), encounter("2025-02-20"), encounter("2025-02-12", reason=LEFT_KNEE)
    )
    assert (found.completed.low, found.completed.high, found.complete) == (1, 2, False)


def test_a_vague_visit_counts_when_the_other_course_was_long_ago() -> None:
    knee = encounter("2024-10-01", reason=LEFT_KNEE)
    assert counted(encounter("2025-02-10", reason=None), encounter("2025-02-20"), knee).completed.exact == 2


def test_a_vague_visit_counts_when_only_another_discipline_treats_elsewhere() -> None:
    other = encounter("2025-02-12", reason=LEFT_KNEE, service=OCCUPATIONAL)
    found = counted(encounter("2025-02-10", reason=None), encounter("2025-02-20"), other)
    assert (found.completed.exact, found.complete) == (2, True)


def test_a_bilateral_visit_counts_when_the_order_is_for_one_side() -> None:
    assert counted(encounter("2025-02-20", reason="M16.0")).completed.exact == 1


def test_visits_after_the_day_are_not_completed_when_the_day_is_chosen() -> None:
    found = weigh(encounter("2025-02-10"), encounter("2025-02-20"), as_of=date(2025, 2, 15)).visits
    assert found is not None
    assert found.completed.exact == 1


# --------------------------------------------------------------------------------------- of the order itself


def overlap(visit: Json, **order: Any) -> int:
    asked = service_request(quantityQuantity=visits(4), **order)
    return counted(visit, order=asked, as_of=date(2025, 3, 20)).overlap


def test_a_visit_is_of_the_order_when_it_is_linked_by_based_on() -> None:
    assert overlap(encounter("2025-03-01", basedOn=[{"reference": "ServiceRequest/order"}])) == 1


def test_a_visit_is_of_the_order_when_it_falls_on_a_day_or_into_the_period_asked_for() -> None:
    days = {"occurrenceTiming": {"event": ["2025-03-12", "2025-03-14"]}}
    weeks = {"occurrencePeriod": period("2025-03-11", "2025-04-11")}
    assert [overlap(encounter(day), **days) for day in ("2025-03-12", "2025-03-13")] == [1, 0]
    assert [overlap(encounter(day), **weeks) for day in ("2025-03-10", "2025-03-11", "2025-03-18")] == [0, 1, 1]


def test_a_visit_is_of_the_order_when_it_came_after_the_order_was_written() -> None:
    assert [overlap(encounter(day)) for day in ("2025-03-09", "2025-03-10", "2025-03-12")] == [0, 1, 1]


def test_a_visit_is_not_of_the_order_when_it_is_linked_to_another_order() -> None:
    linked = encounter("2025-03-12", basedOn=[{"reference": "ServiceRequest/earlier"}])
    assert overlap(linked) == 0
    assert overlap(linked, occurrencePeriod=period("2025-03-11", "2025-04-11")) == 0
    assert overlap(linked, occurrenceTiming={"event": ["2025-03-12"]}) == 1


def test_no_more_overlap_is_taken_off_than_was_asked_for_when_many_visits_followed() -> None:
    done = [encounter(f"2025-03-{day}") for day in range(11, 19)]
    found = counted(*done, order=service_request(quantityQuantity=visits(4)), as_of=date(2025, 3, 20))
    assert found.total is not None
    assert (found.completed.exact, found.total.exact, found.overlap) == (8, 8, 4)


# ------------------------------------------------------------------------------------- booked and projected


def test_bookings_are_told_apart_when_they_lie_ahead() -> None:
    found = counted(
        appointment("2025-03-12T10:00:00-04:00"),
        appointment("2025-03-03T10:00:00-05:00"),
        appointment("2025-03-13T10:00:00-04:00", "cancelled"),
        appointment("2025-03-14T10:00:00-04:00", serviceType=[concept(SNOMED, OCCUPATIONAL)]),
    )
    assert (found.scheduled, found.completed.exact) == (1, 0)


def projected(*resources: Json, order: Json = TWICE) -> tuple[int, int | None] | None:
    span = counted(*resources, order=order).projected
    return None if span is None else (span.low, span.high)


def test_nothing_is_projected_when_nobody_says_how_often_and_for_how_long() -> None:
    assert projected(encounter("2025-03-03")) is None
    assert projected(encounter("2025-03-03"), care_plan(weekly(2))) is None


def test_the_plans_visits_are_added_when_it_begins_after_those_asked_for() -> None:
    plan = care_plan(weekly(1, 2, boundsPeriod=period("2025-03-13", "2025-05-08")))
    order = service_request(occurrenceTiming={"event": ["2025-03-10", "2025-03-12"]}, quantityQuantity=visits(2))
    assert projected(encounter("2025-03-03"), plan, order=order) == (1 + 2 + 8, 1 + 2 + 16)


def test_visits_asked_for_are_not_added_twice_when_they_lie_within_the_plan() -> None:
    plan = care_plan(weekly(2, boundsPeriod=period("2025-03-10", "2025-04-07")))
    inside = service_request(quantityQuantity=visits(8), occurrencePeriod=period("2025-03-10", "2025-04-07"))
    assert projected(encounter("2025-03-03"), plan, order=inside) == (9, 9)
    days = service_request(quantityQuantity=visits(2), occurrenceTiming={"event": ["2025-03-10", "2025-03-12"]})
    assert projected(encounter("2025-03-03"), plan, order=days) == (9, 9)


def test_visits_done_are_not_added_twice_when_the_plan_has_already_begun() -> None:
    plan = care_plan(weekly(2, boundsPeriod=period("2025-03-03", "2025-03-31")))
    done = [encounter("2025-03-03"), encounter("2025-03-05")]
    assert projected(*done, plan) == (8, 8)


def test_the_orders_own_timing_is_projected_when_it_asks_for_more_than_its_quantity() -> None:
    order = service_request(
        quantityQuantity=visits(4), occurrenceTiming=weekly(2, boundsPeriod=period("2025-03-10", "2025-04-07"))
    )
    assert projected(encounter("2025-03-03"), order=order) == (9, 9)


def test_a_plan_is_left_aside_when_it_is_over() -> None:
    plan = care_plan(weekly(2, boundsPeriod=period("2025-01-06", "2025-02-03")))
    assert projected(encounter("2025-03-03"), plan) is None
    done = care_plan(weekly(2, boundsPeriod=period("2025-03-10", "2025-04-07"))) | {"status": "completed"}
    assert projected(encounter("2025-03-03"), done) is None


def test_the_plan_that_the_order_names_is_meant_when_there_are_several() -> None:
    mine = care_plan(weekly(1, boundsPeriod=period("2025-03-13", "2025-04-10")))
    other = care_plan(weekly(5, boundsPeriod=period("2025-03-13", "2025-04-10"))) | {"id": "other"}
    order = service_request(
        quantityQuantity=visits(2),
        occurrenceTiming={"event": ["2025-03-10", "2025-03-12"]},
        supportingInfo=[{"reference": "CarePlan/plan"}],
    )
    assert projected(mine, other, order=order) == (6, 6)


# ---------------------------------------------------------------------------------------------- vague days


@pytest.mark.parametrize(
    ("when", "complete"),
    [("2019", True), ("2024-11", True), ("2024-12", False), ("2025-02", False), ("2025-03", False), ("2025-04", True)],
)
def test_therapy_of_a_vague_day_leaves_a_doubt_only_when_it_may_belong_to_the_episode(
    when: str, complete: bool
) -> None:
    # The first visit is of 10 February: no visit before 13 December could belong to its episode.
    done = counted(encounter("2025-02-10"), procedure(when))
    assert (done.completed.low, done.complete) == (1, complete)
    series = counted(encounter("2025-02-10"), encounter("x", period=period(when, when)))
    assert (series.completed.low, series.complete) == (1, complete)


def test_therapy_without_any_day_leaves_a_doubt_when_nothing_says_that_it_is_old() -> None:
    assert not counted(encounter("2025-02-10"), procedure("x") | {"performedDateTime": None}).complete
    assert not counted(encounter("2025-02-10"), procedure("last spring")).complete
