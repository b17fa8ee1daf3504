"""How much one call may ask: each resource once, and of all only so many. Pure.

The numbers are choices of this project (docs/errors.md, CDS-109): far above what anybody signs or books at once, and
low enough that an answer stays quick and an entry of the ledger small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from cds.errors import TooMany
from cds.fhir.bookings import Booking
from cds.model import Order

MOST_ORDERS = 50
MOST_APPOINTMENTS = 200
MOST_REFERENCES = 200
MOST_PROBLEMS = 10
Sent = tuple[str, Mapping[str, Any]]
T = TypeVar("T", Order, Booking)


def without_copies(resources: Iterable[Sent]) -> list[Sent]:
    """Resources (`where`, resource) without those that came before under the same reference.

    One that differs from the first of its reference stays, so that it can be told of; a third does not.
    """
    kept: list[Sent] = []
    first: dict[tuple[Any, Any], Mapping[str, Any]] = {}
    differs: set[tuple[Any, Any]] = set()
    for where, resource in resources:
        key = (resource["resourceType"], resource.get("id"))
        if key[1] and key in first:
            if key in differs or resource == first[key]:
                continue
            differs.add(key)
        first.setdefault(key, resource)
        kept.append((where, resource))
    return kept


def each_once(read: Iterable[T], most: int, where: str) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """The first of each reference, and in words which came again as something else.

    TooMany (422) where there are more than `most`; `where` is the member of the request that holds them. What has no
    id is never taken for something else without one.
    """
    kept: list[T] = []
    again: dict[str, None] = {}
    seen: set[str] = set()
    for each in read:
        if each.resource.get("id") and each.reference in seen:
            again[each.reference] = None
            continue
        seen.add(each.reference)
        kept.append(each)
    check_number(len(kept), most, where)
    return tuple(kept), tuple(f"{name} came twice, as two different ones; only the first was read" for name in again)


def check_number(found: int, most: int, where: str) -> None:
    """TooMany (422) where there is more than the most."""
    if found > most:
        raise TooMany(
            f"There are {found} orders or visits to weigh in one call",
            where=where,
            remedy=f"Send at most {most} in one call",
        )


def few(problems: Sequence[str]) -> tuple[str, ...]:
    """The first problems in their own words, and how many more there are."""
    if (more := len(problems) - MOST_PROBLEMS) <= 0:
        return tuple(problems)
    return (*problems[:MOST_PROBLEMS], f"the same goes for {more} more, which are not told one by one")
