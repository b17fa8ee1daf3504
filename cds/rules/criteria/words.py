"""Small words that several tests use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def plural(number: int, noun: str) -> str:
    """`1 visit`, `2 visits`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(items: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    names = list(items)
    return f" {last} ".join(part for part in (", ".join(names[:-1]), names[-1] if names else "") if part)


def because(doubts: Sequence[str]) -> str:
    """The first reasons of a doubt, as the end of a sentence."""
    more = f" (and {len(doubts) - 2} more)" if len(doubts) > 2 else ""
    return "; ".join(doubts[:2]) + more


def span_days(low: int | None, high: int | None) -> str:
    """`217 days`, `69 to 434 days`."""
    if low == high:
        return plural(low or 0, "day")
    return f"{'…' if low is None else low} to {'…' if high is None else high} days"
