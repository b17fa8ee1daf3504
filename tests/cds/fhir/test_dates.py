from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.fhir.dates import parse_days, parse_period
from cds.model import day_of

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
KOLKATA = ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2025-02", date(2025, 2, 1), date(2025, 2, 28)),
        ("2025-12", date(2025, 12, 1), date(2025, 12, 31)),
        ("2025-03-05", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05T23:30:00-05:00", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05T23:30:00+0530", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05T23:30:00", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05T23:30", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05T23:30Z", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05 23:30:00", date(2025, 3, 5), date(2025, 3, 5)),
        ("2025-03-05T23:30:00.123456789Z", date(2025, 3, 5), date(2025, 3, 5)),
        ("  2025-03-05 ", date(2025, 3, 5), date(2025, 3, 5)),
    ],
)
def test_every_day_that_a_date_may_mean_is_kept_when_it_is_partial_or_a_moment(
    text: str, first: date, last: date
) -> None:
    days = parse_days(text)
    assert (days.first, days.last) == (first, last)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "03/05/2025",
        "2025-3-5",
        "2025-13",
        "2025-00-01",
        "2025-02-30",
        "20250305",
        "0000",
        "0000-01",
        "2025-03-05T",
        "2025-03-05T9:00",
        "2025-03-05Z",
        "None",
        "2025-03-05T10:00 EST",
    ],
)
def test_a_date_is_refused_when_it_is_not_written_as_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_days(text)


def test_the_zone_is_kept_when_the_source_wrote_one() -> None:
    assert parse_days("2025-03-05T23:30:00-05:00").zone == "-05:00"
    assert parse_days("2025-03-05T23:30:00").zone is None


@pytest.mark.parametrize("zone", ["Z", "+00:00", "-00:00", "+0000"])
def test_a_moment_moves_to_the_sites_day_when_it_was_written_in_utc(zone: str) -> None:
    evening = f"2025-03-06T04:30:00{zone}"  # 20:30 on the 5th in Los Angeles, 10:00 on the 6th in Kolkata
    assert parse_days(evening, LOS_ANGELES).exact == date(2025, 3, 5)
    assert parse_days(evening, KOLKATA).exact == date(2025, 3, 6)
    assert parse_days(evening).exact == date(2025, 3, 6)


@pytest.mark.parametrize("time", ["T20:00Z", "T20:00:00Z", "T20:00:00.5Z", "T20:00:00.1234567Z"])
def test_a_moment_moves_to_the_sites_day_when_seconds_are_missing_or_many(time: str) -> None:
    assert parse_days(f"2025-03-05{time}", KOLKATA).exact == date(2025, 3, 6)


@pytest.mark.parametrize("text", ["2025-03-05T00:00:00Z", "2025-03-05T00:00Z", "2025-03-05T00:00:00.000+00:00"])
def test_midnight_utc_stays_its_own_day_when_the_site_is_elsewhere(text: str) -> None:
    assert parse_days(text, LOS_ANGELES).exact == date(2025, 3, 5)


@pytest.mark.parametrize(
    "text", ["2025-03-05T23:30:00-05:00", "2025-03-05T23:30:00", "2025-03-05", "2025-03-05T01:00+09:00"]
)
def test_no_day_is_moved_when_the_moment_is_local_or_has_no_zone(text: str) -> None:
    assert parse_days(text, LOS_ANGELES).exact == date(2025, 3, 5)


def test_a_moment_is_refused_when_the_clock_has_no_such_time_and_it_would_have_to_be_moved() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_days("2025-03-05T25:99:00Z", LOS_ANGELES)


def test_a_period_is_open_when_an_end_is_missing() -> None:
    start, end = parse_days("2025-03-05"), parse_days("2025-04")
    whole = parse_period(start, end)
    assert whole is not None
    assert (whole.first, whole.last) == (date(2025, 3, 5), date(2025, 4, 30))
    until = parse_period(None, end)
    since = parse_period(start, None)
    assert until is not None
    assert since is not None
    assert (until.first, until.last) == (None, date(2025, 4, 30))
    assert (since.first, since.last) == (date(2025, 3, 5), None)
    assert parse_period(None, None) is None


@given(st.dates(min_value=date(1, 1, 1)))
def test_a_day_comes_back_when_it_is_written_in_iso(day: date) -> None:
    assert parse_days(day.isoformat()) == day_of(day)


@given(st.text())
def test_anything_else_is_a_value_error_when_it_is_no_date(text: str) -> None:
    try:
        days = parse_days(text, LOS_ANGELES)
    except ValueError:
        return
    assert days.first is not None
    assert days.last is not None
    assert days.first <= days.last
