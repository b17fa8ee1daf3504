"""The course of an episode: days that count, what else happened, the plan's end, and scores over time."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from flask import Flask

from cds.course import course_of, trends_of
from cds.model import Span
from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.build import appointment, claim, encounter, weekly
from tests.hooks.calls import draft, resources
from tests.hooks.smart.story.stories import score, signed, with_more

Json = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> Flask:
    """The real application with its ledger."""
    return create_app(Settings())


def about(name: str, resource: Json) -> Json:
    """A resource of another builder, about an example patient."""
    told = dict(resource)
    for member in ("subject", "patient"):
        if member in told:
            told[member] = {"reference": f"Patient/{name}"}
    if told["resourceType"] == "Appointment":
        told["participant"] = [{"actor": {"reference": f"Patient/{name}"}, "status": "accepted"}]
    return told


def test_days_add_up_to_the_numbers_of_the_assessment_when_f000_is_signed(app: Flask) -> None:
    course = course_of(signed(app))
    assert [day.number for day in course.counted] == list(range(1, 19))
    assert (course.completed, course.requested, course.total) == (Span(18, 18), Span(2, 2), Span(20, 20))
    assert (course.projected, course.limit) == (Span(28, 36), 14)
    assert course.asked == (date(2025, 3, 10), date(2025, 3, 12))
    assert course.end == date(2025, 5, 8)


def test_pauses_evaluations_and_surgery_are_seen_when_f000_is_signed(app: Flask) -> None:
    course = course_of(signed(app))
    assert [day.day for day in course.days if day.evaluated] == [date(2024, 8, 12)]
    assert [(each.kind, str(each.day)) for each in course.happenings] == [("surgery", "2024-08-05")]
    assert course.widest is not None
    before, after = course.widest
    assert (before.day, after.day, after.since) == (date(2024, 12, 18), date(2025, 1, 8), 21)
    assert course.days[0].since is None


@pytest.mark.parametrize(("name", "completed"), [("f001", 6), ("f003", 0), ("f004", 0)])
def test_counted_days_are_as_many_as_said_when_the_count_is_whole(app: Flask, name: str, completed: int) -> None:
    story = signed(app, name)
    assert len(course_of(story).counted) == completed == story.said["visits"]["completed"]


def test_count_says_where_it_begins_when_its_scope_is_the_injury(app: Flask) -> None:
    course = course_of(signed(app, "f002"))
    assert course.began == "it reaches back to the injury"
    assert course.completed == Span(0, None)


def test_nothing_is_projected_when_the_record_holds_no_plan_of_care(app: Flask) -> None:
    assert course_of(signed(app, "f000")).projected is not None
    assert [course_of(signed(app, name)).projected for name in ("f002", "f003", "f004")] == [None] * 3


def test_visit_does_not_count_when_it_was_for_another_region(app: Flask) -> None:
    other = about("f000", encounter("2025-02-01", reason="M25.511"))
    course = course_of(with_more(app, other))
    (day,) = [each for each in course.days if each.day == date(2025, 2, 1)]
    assert (day.counts, day.number, day.since) == (False, None, None)
    assert len(course.counted) == 18


def test_bookings_are_told_from_missed_ones_when_both_are_on_file(app: Flask) -> None:
    later = about("f000", appointment("2025-03-20T09:00:00-04:00"))
    missed = about("f000", appointment("2025-02-20T09:00:00-05:00", "noshow"))
    kinds = {each.kind: str(each.day.exact) for each in course_of(with_more(app, later, missed)).happenings}
    assert kinds == {"surgery": "2024-08-05", "booked": "2025-03-20", "missed": "2025-02-20"}


def test_visit_is_an_evaluation_when_its_claim_says_so(app: Flask) -> None:
    evaluated = about("f000", claim("2025-02-26", "97164"))
    course = course_of(with_more(app, evaluated))
    assert [str(day.day) for day in course.days if day.evaluated] == ["2024-08-12", "2025-02-26"]


def test_plan_has_no_end_when_no_timing_reaches_past_the_day(app: Flask) -> None:
    record = [each for each in resources("f000") if each["resourceType"] != "CarePlan"]
    course = course_of(signed(app, record=record))
    assert (course.end, course.projected) == (None, None)


def test_plan_ends_when_the_order_s_own_timing_does(app: Flask) -> None:
    record = [each for each in resources("f000") if each["resourceType"] != "CarePlan"]
    order = draft(
        "f000", occurrenceTiming=weekly(boundsPeriod={"start": "2025-03-10", "end": "2025-04-06"}), supportingInfo=None
    )
    course = course_of(signed(app, record=record, order=order))
    assert course.end == date(2025, 4, 6)


def test_scores_of_one_instrument_are_one_trend_when_they_can_be_compared(app: Flask) -> None:
    story = with_more(app, score("ihot-12", "2024-08-12", 40), score("ihot-12", "2025-03-01", 60, 2))
    (trend,) = trends_of(story)
    assert (trend.label, trend.unit, trend.limits) == ("iHOT-12", "", (0.0, 100.0))
    assert [measure.score for measure in trend.scores] == [40.0, 60.0]
    assert (trend.important, trend.mark) == ((14.0, "MCII", True), 54.0)
    assert trend.says == "iHOT-12 40 to 60, improved (MCII 14)"


def test_sides_are_trends_of_their_own_when_both_were_measured(app: Flask) -> None:
    trends = trends_of(signed(app, "f001"))
    flexion = {trend.label: [measure.score for measure in trend.scores] for trend in trends if "flexion" in trend.label}
    assert flexion == {"Hip flexion, left": [95.0], "Hip flexion, right": [120.0]}
    assert {trend.unit for trend in trends if "flexion" in trend.label} == {"degrees"}


def test_mark_is_the_change_itself_when_a_measure_tells_of_change(app: Flask) -> None:
    (trend,) = [each for each in trends_of(signed(app, "f001")) if each.is_change]
    assert (trend.baseline, trend.latest, trend.mark) == (None, None, 50.0)


def test_function_goes_before_pain_when_both_are_on_file(app: Flask) -> None:
    assert [trend.label for trend in trends_of(signed(app, "f003"))] == ["NPRS", "FABQ Physical activity"]
    story = with_more(app, score("ihot-12", "2025-03-01", 60, patient="f003"), name="f003")
    assert [trend.label for trend in trends_of(story)][:2] == ["iHOT-12", "NPRS"]


def test_lower_score_is_the_mark_when_lower_is_better(app: Flask) -> None:
    (pain, _) = trends_of(signed(app, "f003"))
    assert (pain.baseline is not None, pain.mark) == (True, 4.0)


def test_words_stand_beside_the_scores_when_a_grade_is_told_in_words(app: Flask) -> None:
    (strength,) = [each for each in trends_of(signed(app, "f001")) if each.instrument.id == "muscle-strength"]
    assert strength.scores == ()
    assert [each.text for each in strength.others] == ["moderate deficit compared with the other side"] * 2
