"""A small picture of a patient's visits over time: coordinates only, the template draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

WIDTH = 290
MARGIN = 8


@dataclass(frozen=True)
class Mark:
    """One mark on the line: where, what kind, and what it stands for."""

    x: float
    kind: str
    title: str


@dataclass(frozen=True)
class Timeline:
    """The marks, and the months below them."""

    marks: tuple[Mark, ...]
    months: tuple[Mark, ...]
    width: int = WIDTH


def full_date(text: str) -> date | None:
    """Read a whole date; a partial one has no one place on a line.

    >>> full_date("2024-08-05")
    datetime.date(2024, 8, 5)
    >>> full_date("2024") is None
    True
    """
    try:
        return date.fromisoformat(text[:10]) if len(text) >= 10 else None
    except ValueError:
        return None


def timeline_of(visits: Sequence[str], procedures: Sequence[str], orders: Sequence[str]) -> Timeline | None:
    """Place visits, procedures near them and the order's start on one line; nothing without two dates."""
    seen = [day for text in visits if (day := full_date(text))]
    asked = [day for text in orders if (day := full_date(text))]
    if not seen:
        return None
    first, last = min(seen), max([*seen, *asked])
    earliest = first - timedelta(days=120)
    near = [day for text in procedures if (day := full_date(text)) and earliest <= day <= last]
    first = min([first, *near])
    span = max((last - first).days, 1)

    def place(day: date) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (day - first).days / span, 1)

    marks = [Mark(place(day), "procedure", f"procedure {day}") for day in near]
    marks += [Mark(place(day), "visit", f"visit {day}") for day in seen]
    marks += [Mark(place(day), "order", f"ordered from {day}") for day in asked if day >= first]
    return Timeline(tuple(marks), tuple(_months(first, last, place)))


def _months(first: date, last: date, place: Callable[[date], float]) -> list[Mark]:
    step = 1 if (last - first).days < 150 else 2 if (last - first).days < 400 else 6
    day, found = date(first.year, first.month, 1), []
    while day <= last:
        if day >= first and (day.month - 1) % step == 0:
            found.append(Mark(place(day), "month", f"{day:%b} {day.year}" if day.month == 1 else f"{day:%b}"))
        day = (day + timedelta(days=32)).replace(day=1)
    return found
