"""What therapy is for where neither an order nor the booking says so: the one problem that the record leaves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cds.fhir.queries import queries_for
from cds.fhir.record import gaps_of, read_record, start_reading
from cds.model import Days, Discipline, Fact, Need, Order, Record, Site
from cds.service import Ports

NEEDS = (Need(Fact.VISITS), Need(Fact.CONDITIONS))
# Therapy that paused for longer is over (a choice of this project, docs/hooks.md).
_DAYS = 90


@dataclass(frozen=True)
class Problem:
    """The Conditions that therapy is for, and in words why they were taken."""

    conditions: tuple[str, ...]
    why: str


def problem_of(order: Order, day: date, active: Iterable[Order], ports: Ports, patient: str) -> Problem | None:
    """The one problem that an order made of bookings can be for; None where there are several, or where it is unclear.

    The places under therapy of this discipline decide: visits of the last 90 days, episodes that go on, active
    orders. Where there are none, the places of the problem list do. What could not be read whole leaves it unclear.
    """
    if order.discipline is None:
        return None
    evidence = ports.source.gather(queries_for(NEEDS, ports.terms))
    if any(gap.fact in (Fact.VISITS, Fact.CONDITIONS) for gap in gaps_of(evidence)):
        return None
    reading, by_type = start_reading(ports.terms, patient, evidence, ports.zone)
    record = read_record(reading, by_type, evidence)
    known = [order.sites, *_treated(order.discipline, day, record, active)]
    places = [site for sites in known for site in sites]
    listed = [condition for condition in record.conditions if condition.active is not False]
    places = places or [site for condition in listed for site in condition.sites]
    if not places or not _are_one(places):
        return None
    mine = [c for c in listed if c.active and any(site.may_be(place) for site in c.sites for place in places)]
    if not mine:
        return None
    named = max((site for c in mine for site in c.sites), key=lambda site: (site.side is not None, site.label))
    why = f"No order and no reason is named: this is taken for therapy of the {named.label}, the only one on record."
    return Problem(tuple(condition.source for condition in mine), why)


def _treated(discipline: Discipline, day: date, record: Record, active: Iterable[Order]) -> Iterable[Sequence[Site]]:
    """The body sites that therapy of a discipline goes on for."""
    since = day - timedelta(days=_DAYS)
    visits = [v.sites for v in record.visits if since <= v.day <= day and v.discipline in (None, discipline)]
    episodes = [e.sites for e in record.episodes if e.discipline in (None, discipline) and not _is_over(e.end, day)]
    orders = [o.sites for o in active if o.discipline in (None, discipline)]
    return [*visits, *episodes, *orders]


def _is_over(end: Days | None, day: date) -> bool:
    return end is not None and end.last is not None and end.last < day


def _are_one(places: Sequence[Site]) -> bool:
    """Whether all can be the same place."""
    return all(one.may_be(other) for one in places for other in places)
