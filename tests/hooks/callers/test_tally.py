"""What is held against a limit when visits are booked: attended, booked already, being booked."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.hooks.calls import Json, draft
from tests.hooks.hook_calls import (
    HEART,
    TEN,
    appointment,
    body,
    booking,
    bundle,
    cards,
    on,
    summaries,
    with_yearly_limit,
)


def on_file(days: list[str], first: int = 90, **changes: Any) -> list[Json]:
    """Appointments of the example's patient that are booked already."""
    return [appointment("f001", first + n, day, **({"status": "booked"} | changes)) for n, day in enumerate(days)]


@pytest.mark.parametrize(
    ("days", "beyond"),
    [
        (["2025-09-06", "2025-09-09", "2025-09-11"], ["2025-09-19", "2025-09-22", "2025-09-29"]),
        (["2025-09-06", "2025-09-30", "2025-10-01"], ["2025-09-29", "2025-09-30", "2025-10-01"]),
    ],
)
def test_the_total_counts_when_others_are_booked_already(
    client: FlaskClient, days: list[str], beyond: list[str]
) -> None:
    others = [*TEN[:7], "2025-09-29"]
    with on("2025-09-05"):
        (card,) = cards(client, booking("f001", days, *on_file(others)))
    parts = "6 attended, 8 booked already, 3 being booked"
    assert card["summary"] == f"Left hip: 17 of 14 visits ({parts}); beyond the limit from {beyond[0]} on"
    told_days = ", ".join(day + " (booked already)" * (day in others) for day in beyond)
    assert f"Beyond the limit: {told_days}." in card["detail"]
    assert f"| ✗ not met | 17 of 14 visits: {parts} |" in card["detail"]


@pytest.mark.parametrize(
    "others",
    [on_file(TEN[:1]), on_file(["2025-09-03"]), on_file(["2025-09-04"]), on_file(["2025-09-06"], serviceType=[HEART])],
    ids=["on a day being booked", "on a day that was attended", "over", "for something else"],
)
def test_there_is_silence_when_another_booking_is_no_further_visit(client: FlaskClient, others: list[Json]) -> None:
    with on("2025-09-05"):
        assert cards(client, booking("f001", TEN[:8], *others)) == []


@pytest.mark.parametrize("discipline", ["physical", "occupational"])
def test_all_disciplines_count_together_when_the_limit_holds_for_both(client: FlaskClient, discipline: str) -> None:
    first = date(2025, 3, 10)
    days = [(first + timedelta(days=n)).isoformat() for n in range(14)]
    theirs = {"reasonCode": draft("f000")["reasonCode"]}
    occupational = theirs | {"serviceType": [{"text": "Occupational therapy"}]}
    proposed = [appointment("f000", n, day, **theirs) for n, day in enumerate(days[:13])]
    proposed += [appointment("f000", 50 + n, day, **occupational) for n, day in enumerate(days)]
    held = with_yearly_limit()
    with on("2025-03-09"):
        found = cards(client, body("appointment-book", "f000", {"appointments": bundle(*proposed)}, held))
    mine = found[("physical", "occupational").index(discipline)]
    text = "Left hip: 33 of 30 visits (6 attended, 27 being booked); beyond the plan's limit from 2025-03-22 on"
    assert (len(found), mine["summary"], mine["indicator"]) == (2, text, "warning")


def test_only_the_days_of_one_year_count_when_the_limit_is_for_a_year(client: FlaskClient) -> None:
    days = [(date(2025, 12, 8) + timedelta(days=n)).isoformat() for n in range(31)]  # 24 of them in December
    held = with_yearly_limit()
    theirs = {"reasonCode": draft("f000")["reasonCode"]}
    proposed = [appointment("f000", n, day, **theirs) for n, day in enumerate(days)]
    with on("2025-12-01"):
        sent = body("appointment-book", "f000", {"appointments": bundle(*proposed)}, held)
        assert cards(client, sent) == []


def test_an_appointment_counts_once_when_it_is_moved_to_another_day(client: FlaskClient) -> None:
    before = [appointment("f001", n, day, status="booked") for n, day in enumerate(TEN[:8])]
    with on("2025-09-05"):  # the first of them was for 2025-09-08
        assert cards(client, booking("f001", ["2025-10-01"], *before)) == []


def test_a_card_says_that_attended_visits_are_not_known_when_only_notes_tell_of_them(client: FlaskClient) -> None:
    days = [(date(2015, 6, 29) + timedelta(days=n)).isoformat() for n in range(25)]
    with on("2015-06-29"):
        found = summaries(client, booking("f002", days))
    text = "Right hip: at least 25 of 24 visits (an unknown number attended, 25 being booked); beyond the statutory cap"
    assert found == [("critical", f"{text} on {days[-1]}")]


@pytest.mark.parametrize("status", ["cancelled", "noshow"])
def test_other_bookings_do_not_count_when_nobody_comes(client: FlaskClient, status: str) -> None:
    before = appointment("f001", 90, "2025-09-06", status=status)
    with on("2025-09-05"):
        assert cards(client, booking("f001", TEN[:8], before)) == []
