from __future__ import annotations

from datetime import date

import pytest

from cds.model import Days, EvidenceState, Fact, Gap, Note, Record, Site, Span, add_months, day_of

MAY = Days(date(2024, 5, 1), date(2024, 5, 31), text="2024-05")


@pytest.mark.parametrize(
    ("first", "last", "inside"),
    [
        (date(2024, 5, 1), date(2024, 5, 31), True),
        (date(2024, 5, 2), date(2024, 5, 31), None),
        (date(2024, 5, 1), date(2024, 5, 30), None),
        (date(2024, 5, 31), None, None),
        (date(2024, 6, 1), None, False),
        (None, date(2024, 4, 30), False),
        (None, None, True),
    ],
)
def test_a_month_is_inside_outside_or_in_doubt_when_it_is_held_against_a_window(
    first: date | None, last: date | None, inside: bool | None
) -> None:
    assert MAY.within(first, last) is inside


def test_an_open_interval_is_never_surely_anywhere_when_its_end_is_missing() -> None:
    ever = Days(None, None)
    assert ever.within(date(2024, 1, 1), None) is None
    assert not ever.surely_before(date(2100, 1, 1))
    assert not ever.surely_after(date(1900, 1, 1))
    assert ever.within_reach(date(2024, 1, 1))
    assert ever.age(date(2024, 1, 1)) == (None, None)


def test_an_age_is_a_range_when_the_date_is_partial() -> None:
    assert MAY.age(date(2024, 6, 1)) == (1, 31)
    assert day_of(date(2024, 5, 1)).age(date(2024, 6, 1)) == (31, 31)


@pytest.mark.parametrize(
    ("day", "months", "there"),
    [
        (date(2025, 3, 31), -1, date(2025, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2025, 1, 15), -1, date(2024, 12, 15)),
        (date(2025, 3, 10), -12, date(2024, 3, 10)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2025, 12, 1), 1, date(2026, 1, 1)),
    ],
)
def test_months_are_calendar_months_when_they_are_added(day: date, months: int, there: date) -> None:
    assert add_months(day, months) == there


@pytest.mark.parametrize(
    ("one", "other", "possible"),
    [
        (Site("hip", "left"), Site("hip", "left"), True),
        (Site("hip", "left"), Site("hip", "right"), False),
        (Site("hip", "left"), Site("hip"), True),
        (Site("hip", "bilateral"), Site("hip", "right"), True),
        (Site("hip"), Site("knee"), False),
    ],
)
def test_two_sites_may_be_one_when_neither_region_nor_side_parts_them(one: Site, other: Site, possible: bool) -> None:
    assert one.may_be(other) is possible
    assert other.may_be(one) is possible


def test_a_sum_is_open_when_one_of_its_parts_is() -> None:
    assert Span(18, 18).plus(Span(2, 2)) == Span(20, 20)
    assert Span(18, None).plus(Span(2, 2)) == Span(20, None)
    assert [str(span) for span in (Span(20, 20), Span(28, 36), Span(18, None))] == ["20", "28 to 36", "at least 18"]


def test_doubts_are_those_of_the_fact_and_the_time_when_gaps_and_notes_are_on_file() -> None:
    record = Record(
        notes=(
            Note("Procedure/old", "vague", Fact.VISITS, MAY),
            Note("Procedure/none", "undated", Fact.VISITS),
            Note("Goal/g", "broken", Fact.GOALS),
            Note("Encounter/e", "of another patient"),
        ),
        gaps=(Gap(Fact.VISITS, "encounters", EvidenceState.REFUSED, "refused"),),
    )
    assert record.doubts(Fact.VISITS) == ("refused", "Procedure/old: vague", "Procedure/none: undated")
    assert record.doubts(Fact.VISITS, first=date(2024, 6, 1)) == ("refused", "Procedure/none: undated")
    assert record.doubts(Fact.VISITS, last=date(2024, 4, 30)) == ("refused", "Procedure/none: undated")
    assert record.doubts(Fact.GOALS, Fact.PLANS) == ("Goal/g: broken",)
    assert record.doubts(Fact.IMAGING) == ()
