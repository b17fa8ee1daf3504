"""Therapy days against one limit: attended, booked already, being booked; each day once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cds.model import (
    Appointment,
    Assessment,
    Authorization,
    Coverage,
    CriterionResult,
    Discipline,
    Order,
    Visit,
    add_months,
)
from cds.rules.episode import belongs
from cds.rules.policy import EpisodeRule, Policy
from cds.terminology import Terminology
from hooks.callers.on_file import Planned

# A therapy day. The discipline tells days apart only where a limit holds for several disciplines together.
Slot = tuple[date, Discipline | None]


@dataclass(frozen=True)
class Diary:
    """What is on file beside the proposals: visits, other bookings, authorizations; `doubts`: what may be missing."""

    today: date
    visits: tuple[Visit, ...]
    booked: tuple[Appointment, ...]
    authorizations: tuple[Authorization, ...]
    policies: Mapping[str, Policy]
    doubts: tuple[str, ...]
    terms: Terminology


@dataclass(frozen=True)
class Tally:
    """What is held against `limit`: so many visits attended (`whole`: no more), days booked already and being booked.

    `undated`: how many of those being booked name no day.
    """

    limit: int
    attended: int
    whole: bool
    booked: tuple[date, ...]
    new: tuple[date, ...]
    undated: int

    @property
    def being_booked(self) -> int:
        """How many visits the call would add."""
        return len(self.new) + self.undated

    @property
    def total(self) -> int:
        """How many visits there will be, if nothing more comes."""
        return self.attended + len(self.booked) + self.being_booked

    @property
    def beyond(self) -> tuple[date | None, ...]:
        """The days still to come that the limit does not hold, in order; None for those that name no day."""
        days: list[date | None] = [*sorted((*self.booked, *self.new)), *([None] * self.undated)]
        return tuple(days[max(0, self.limit - self.attended) :])


def tally_of(
    result: CriterionResult, assessment: Assessment, plans: Mapping[str, Planned], diary: Diary
) -> Tally | None:
    """The visits of an order against the limit of one criterion; None where it states no limit or no count.

    A limit for several body sites or disciplines holds for all of them together, and one for a year for the days
    of that year. An appointment that is being moved is on file as it was, under the same id, and counts once.
    """
    limit, attended = result.facts.get("limit"), result.facts.get("completed")
    policy = diary.policies.get(result.policy)
    if limit is None or attended is None or policy is None:
        return None
    order, rule = assessment.order, policy.episode
    if plans[order.reference].made and not order.sites and rule.sites != "any":
        return None  # which visits are of this therapy, nobody says
    done = _attended(order, rule, diary.visits, assessment.as_of)
    proposed, undated = _proposed(order, rule, plans)
    year = _year(rule, assessment.coverage, assessment.as_of)
    new = _within(year, proposed) - done
    first = min(diary.today, assessment.as_of)  # proposals of the past are weighed as of their first day
    moved = {booking.reference for plan in plans.values() for booking in plan.bookings}
    on_file = [a for a in diary.booked if not a.missed and a.source not in moved]
    booked = _within(year, _booked(order, rule, on_file, first)) - done - new
    whole = bool(result.facts.get("completed_known"))
    return Tally(limit, attended, whole, _days(booked), _days(new), undated)


def _wanted(order: Order, rule: EpisodeRule) -> Order:
    """The order as far as the limit tells body sites and disciplines apart."""
    sites = () if rule.sites == "any" else order.sites
    return replace(order, sites=sites, discipline=None if rule.disciplines == "combined" else order.discipline)


def _slot(day: date, discipline: Discipline | None, order: Order, rule: EpisodeRule) -> Slot:
    return day, (discipline or order.discipline) if rule.disciplines == "combined" else None


def _attended(order: Order, rule: EpisodeRule, visits: Iterable[Visit], as_of: date) -> set[Slot]:
    """The days that the count of attended visits holds: a visit that goes on on its day is not among them."""
    wanted = _wanted(order, rule)
    counted = [v for v in visits if v.day <= as_of and not (v.in_progress and v.day >= as_of)]
    mine = [v for v in counted if None in (v.discipline, wanted.discipline) or v.discipline is wanted.discipline]
    return {_slot(visit.day, visit.discipline, order, rule) for visit in mine}


def _proposed(order: Order, rule: EpisodeRule, plans: Mapping[str, Planned]) -> tuple[set[Slot], int]:
    """The days being booked for an order, and for others of the call as far as the limit surely holds for them too."""
    wanted = _wanted(order, rule)
    found: set[Slot] = set()
    undated = 0
    for plan in plans.values():
        own = plan.order.reference == order.reference
        for booking in plan.bookings:
            sites, discipline = booking.sites or plan.order.sites, booking.discipline or plan.order.discipline
            if not own and belongs(wanted, sites, discipline, elsewhere=True) is not True:
                continue
            if booking.day is None or booking.day.exact is None:
                undated += 1
            else:
                found.add(_slot(booking.day.exact, None if own else discipline, order, rule))
    return found, undated


def _booked(order: Order, rule: EpisodeRule, on_file: Sequence[Appointment], first: date) -> set[Slot]:
    """Days of this therapy that are booked already, from a day on."""
    wanted = _wanted(order, rule)
    mine = [a for a in on_file if belongs(wanted, a.sites, a.discipline, elsewhere=False)]
    return {
        _slot(a.day.exact, a.discipline, order, rule) for a in mine if a.day.exact is not None and a.day.exact >= first
    }


def _year(rule: EpisodeRule, coverage: Coverage | None, as_of: date) -> tuple[date, date] | None:
    """The first day of the year for which a limit holds, and of the next; None where it is not for a year."""
    if rule.scope not in ("calendar-year", "plan-year"):
        return None
    began = date(as_of.year, 1, 1)
    if rule.scope == "plan-year" and coverage and coverage.period and coverage.period.first:
        began = coverage.period.first
    years = as_of.year - began.year
    years -= add_months(began, 12 * years) > as_of
    return add_months(began, 12 * years), add_months(began, 12 * (years + 1))


def _within(year: tuple[date, date] | None, slots: set[Slot]) -> set[Slot]:
    return {slot for slot in slots if year is None or year[0] <= slot[0] < year[1]}


def _days(slots: Iterable[Slot]) -> tuple[date, ...]:
    return tuple(sorted(day for day, _ in slots))
