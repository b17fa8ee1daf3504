"""Which visits belong to the order's episode of care, and how many there are.

An episode begins with the first visit after a gap, after a new surgery or injury of the region, or where
the record states an EpisodeOfCare of this therapy. Visits that say another region, side or discipline do
not belong; visits that say none belong, unless the record also tells of therapy for something else: then
they may or may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from cds.model import (
    Appointment,
    Condition,
    Coverage,
    Days,
    Discipline,
    Done,
    Fact,
    Order,
    Record,
    Site,
    Span,
    Timing,
    Visit,
    VisitCount,
    add_months,
)
from cds.rules.policy import EpisodeRule


@dataclass(frozen=True)
class Spell:
    """An episode as counted: sure visits, unsure ones, where it starts, and the visit before it.

    No visit before `since` could belong to it, whatever else there may have been.
    """

    visits: tuple[Visit, ...]
    unsure: tuple[Visit, ...]
    start: date | None
    previous: date | None
    reset_by: str = ""
    reference: str | None = None
    since: date | None = None

    @property
    def last(self) -> date | None:
        """The day of the latest visit."""
        return self.visits[-1].day if self.visits else None


def belongs(order: Order, sites: Sequence[Site], discipline: Discipline | None, elsewhere: bool) -> bool | None:
    """Whether a visit is of the order's discipline and body site; None where it may or may not be."""
    if discipline and order.discipline and discipline is not order.discipline:
        return False
    same_place = any(site.may_be(mine) for site in sites for mine in order.sites)
    if sites and order.sites and not same_place:
        return False
    told = (not order.sites or bool(sites)) and (not order.discipline or discipline is not None)
    return True if told or not elsewhere else None


def _placed(order: Order, visits: Sequence[Visit], gap_days: int) -> list[tuple[Visit, bool | None]]:
    """Each visit with whether it belongs; vague ones are in doubt while other therapy goes on around them."""
    others = [visit for visit in visits if belongs(order, visit.sites, visit.discipline, False) is False]
    return [
        (v, belongs(order, v.sites, v.discipline, any(_may_be_of(v, other, gap_days) for other in others)))
        for v in visits
    ]


def _may_be_of(visit: Visit, other: Visit, gap_days: int) -> bool:
    """Whether a vague visit can be part of the course of treatment that another visit tells of."""
    near = abs((other.day - visit.day).days) <= gap_days
    same_work = None in (visit.discipline, other.discipline) or visit.discipline is other.discipline
    same_place = not visit.sites or not other.sites or any(a.may_be(b) for a in visit.sites for b in other.sites)
    return near and same_work and same_place


def find_spell(order: Order, record: Record, as_of: date, gap_days: int) -> Spell:
    """The episode of an order as of a day; visits in progress count only when they began before it."""
    attended = [v for v in record.visits if v.day <= as_of and not (v.in_progress and v.day >= as_of)]
    placed = _placed(order, attended, gap_days)
    mine = [visit for visit, belonging in placed if belonging is not False]
    vague = {id(visit) for visit, belonging in placed if belonging is None}
    stated = _stated_episode(order, record, as_of)
    reference: str | None = None
    first: date | None
    if stated is not None:
        reference, start = stated
        mine = [visit for visit in mine if visit.day >= start]
        first, previous, reset = start, None, "the record states this episode of care"
    else:
        mine, previous, reset = _since_break(order, record, mine, as_of, gap_days)
        first = mine[0].day if mine else None
    sure = tuple(visit for visit in mine if id(visit) not in vague)
    unsure = tuple(visit for visit in mine if id(visit) in vague)
    since = first if stated is not None else (first or as_of) - timedelta(days=gap_days - 1)
    return Spell(sure, unsure, first, previous, reset, reference, since)


def _stated_episode(order: Order, record: Record, as_of: date) -> tuple[str, date] | None:
    starts: list[tuple[date, str]] = []
    for episode in record.episodes:
        start, end = episode.start.exact, episode.end
        over = end is not None and end.last is not None and end.last < as_of
        if start is None or start > as_of or over:
            continue
        if belongs(order, episode.sites, episode.discipline, elsewhere=False):
            starts.append((start, episode.reference))
    if not starts:
        return None
    latest, reference = max(starts)
    return reference, latest


def _since_break(
    order: Order, record: Record, visits: Sequence[Visit], as_of: date, gap_days: int
) -> tuple[list[Visit], date | None, str]:
    """Walk back from the order to the first visit after a gap, a surgery or an injury."""
    breaks = _resets(order, record)
    following = as_of
    kept: list[Visit] = []
    for visit in reversed(visits):
        if (following - visit.day).days >= gap_days:
            return kept, visit.day, f"{(following - visit.day).days} days without therapy"
        reset = next((why for days, why in breaks if days.surely_after(visit.day) and _by(days, following)), None)
        if reset:
            return kept, visit.day, reset
        kept.insert(0, visit)
        following = visit.day
    return kept, None, ""


def _by(days: Days, day: date) -> bool:
    return days.last is not None and days.last <= day


def _resets(order: Order, record: Record) -> list[tuple[Days, str]]:
    """Surgeries and injuries of the order's region: a new course of treatment begins after them."""
    surgeries = [(p.day, f"surgery on {p.day}") for p in record.procedures if p.surgical and _here(order, p.sites)]
    injuries = [
        (c.onset, f"a new injury on {c.onset}")
        for c in record.conditions
        if c.onset is not None and c.sites and _here(order, c.sites) and _is_injury(c)
    ]
    return surgeries + injuries


def _here(order: Order, sites: Sequence[Site]) -> bool:
    return any(site.may_be(mine) for site in sites for mine in order.sites)


def _is_injury(condition: Condition) -> bool:
    return any(code.system == "icd-10-cm" and code.code.startswith(("S", "T")) for code in condition.concept.codes)


def find_scope(order: Order, coverage: Coverage | None, record: Record, as_of: date, rule: EpisodeRule) -> Spell:
    """The visits of a scope wider than an episode: since the injury, in the calendar year or the plan year."""
    start = _scope_start(order, coverage, record, as_of, rule.scope)
    sites = () if rule.sites == "any" else order.sites
    discipline = None if rule.disciplines == "combined" else order.discipline
    wanted = replace(order, sites=sites, discipline=discipline)
    attended = [v for v in record.visits if v.day <= as_of and not (v.in_progress and v.day >= as_of)]
    unpaid = set() if rule.deductible_visits else _unpaid_days(record)
    mine = [v for v in attended if (start is None or v.day >= start) and v.day not in unpaid]
    placed = [(visit, belongs(wanted, visit.sites, visit.discipline, elsewhere=False)) for visit in mine]
    sure = tuple(visit for visit, belonging in placed if belonging)
    return Spell(sure, (), sure[0].day if sure else None, None, rule.scope, since=start)


def _unpaid_days(record: Record) -> set[date]:
    """Days of which claims tell that all went to the deductible and the plan paid nothing."""
    days: dict[date, float] = {}
    for line in record.claim_lines:
        if line.day.exact is not None and not line.proposed and (line.deductible or line.paid is not None):
            days[line.day.exact] = days.get(line.day.exact, 0.0) + (line.paid or 0.0)
    return {day for day, paid in days.items() if paid == 0.0}


def _scope_start(order: Order, coverage: Coverage | None, record: Record, as_of: date, scope: str) -> date | None:
    """The first day of a scope; None reaches back as far as the record does."""
    if scope == "calendar-year":
        return date(as_of.year, 1, 1)
    if scope == "plan-year":
        return _anniversary(coverage, as_of)
    if coverage is not None and coverage.injury is not None:
        return coverage.injury
    onsets = [c.onset.first for c in record.conditions if c.onset and c.onset.first and _here(order, c.sites)]
    return min(onsets, default=None)


def _anniversary(coverage: Coverage | None, as_of: date) -> date:
    """The last day on which a plan year began: the coverage's own day and month, else 1 January."""
    began = coverage.period.first if coverage and coverage.period and coverage.period.first else date(as_of.year, 1, 1)
    this_year = add_months(began, 12 * (as_of.year - began.year))
    return this_year if this_year <= as_of else add_months(began, 12 * (as_of.year - began.year - 1))


# ------------------------------------------------------------------------------------------------- counting


def fulfils(order: Order, visit: Visit) -> bool:
    """Whether a visit is part of the order under review, so that it must not be counted twice."""
    if order.reference in visit.based_on:
        return True
    if order.proposed:
        return visit.day in order.proposed
    if any(reference.startswith("ServiceRequest/") for reference in visit.based_on):
        return False  # it says that it belongs to another order
    if order.period is not None and order.period.first is not None:
        return order.period.within_reach(visit.day)
    authored = order.authored.exact if order.authored else None
    return authored is not None and visit.day >= authored


def count_visits(order: Order, record: Record, spell: Spell, as_of: date) -> VisitCount:
    """The numbers of one order: completed, requested, scheduled, total, projected; unknown where unknown."""
    doubts = record.doubts(Fact.VISITS, first=spell.since, last=as_of)
    completed = Span(len(spell.visits), None if doubts else len(spell.visits) + len(spell.unsure))
    if spell.unsure and not doubts:
        doubts = (f"{len(spell.unsure)} therapy visits do not say what they were for",)
    overlap = sum(fulfils(order, visit) for visit in spell.visits)
    if order.requested is not None and order.requested.high is not None:
        overlap = min(overlap, order.requested.high)
    total = _total(completed, order.requested, overlap)
    scheduled = [a for a in record.appointments if not a.missed and a.day.surely_after(as_of) and _booked(order, a)]
    return VisitCount(
        completed=completed,
        requested=order.requested,
        scheduled=len(scheduled),
        total=total,
        projected=_projected(order, record, spell, total, as_of),
        complete=not doubts and completed.exact is not None,
        overlap=overlap,
        doubts=doubts,
        start=spell.start,
    )


def _booked(order: Order, appointment: Appointment) -> bool:
    return belongs(order, appointment.sites, appointment.discipline, elsewhere=False) is True


def _total(completed: Span, requested: Span | None, overlap: int) -> Span | None:
    if requested is None:
        return None
    high = None if requested.high is None else max(0, requested.high - overlap)
    return completed.plus(Span(max(0, requested.low - overlap), high))


def _projected(order: Order, record: Record, spell: Spell, total: Span | None, as_of: date) -> Span | None:
    """The total once the plan of care has run: what the plan holds beyond what is already in the total."""
    timings = [timing for timing in _plan_timings(order, record, as_of) if timing.visits is not None]
    if order.timing is not None and order.timing.visits is not None:
        timings.append(order.timing)
    if total is None or not timings:
        return None
    extras = [_beyond(order, spell, timing, as_of) for timing in timings]
    highs = [extra.high for extra in extras]
    high = None if None in highs else max(h for h in highs if h is not None)
    return total.plus(Span(max(extra.low for extra in extras), high))


def plan_tells(order: Order, record: Record, as_of: date) -> bool:
    """Whether a plan of care, and not the order's own timing alone, says how many visits there are to be."""
    return any(timing.visits is not None for timing in _plan_timings(order, record, as_of))


def _plan_timings(order: Order, record: Record, as_of: date) -> list[Timing]:
    """Timings of the plans that the order names; else of the active plans that reach past the day."""
    named = [plan for plan in record.plans if plan.source in order.plans]
    plans = named or [plan for plan in record.plans if plan.active]
    reach = [
        t for plan in plans for t in plan.timings for bounds in (t.bounds or plan.period,) if _reaches(bounds, as_of)
    ]
    return [t for t in reach if t.bounds is None or not t.bounds.surely_before(as_of)]


def _reaches(bounds: Days | None, as_of: date) -> bool:
    return bounds is None or not bounds.surely_before(as_of)


def _beyond(order: Order, spell: Spell, timing: Timing, as_of: date) -> Span:
    """Visits of a plan that are neither completed nor requested yet."""
    if timing.visits is None:
        return Span(0, 0)
    done = [v for v in spell.visits if timing.bounds is None or timing.bounds.within_reach(v.day)]
    asked_low, asked_high = _asked_within(order, timing, spell, as_of)
    low = max(0, timing.visits.low - len(done) - asked_high)
    high = None if timing.visits.high is None else max(0, timing.visits.high - len(done) - asked_low)
    return Span(low, high)


def _asked_within(order: Order, timing: Timing, spell: Spell, as_of: date) -> tuple[int, int]:
    """Fewest and most of the requested visits, not completed yet, that lie within a plan's bounds."""
    if order.requested is None:
        return 0, 0
    overlap = sum(fulfils(order, visit) for visit in spell.visits)
    low = max(0, order.requested.low - overlap)
    high = max(0, (order.requested.high or order.requested.low) - overlap)
    if timing is order.timing:
        return low, high
    if timing.bounds is None:
        return 0, high
    if order.proposed:
        done = {visit.day for visit in spell.visits}
        within = sum(timing.bounds.within_reach(day) for day in order.proposed if day not in done)
        return within, within
    start = order.period.first if order.period and order.period.first else as_of
    return (low, high) if timing.bounds.within_reach(start) else (0, 0)


def earliest_current(spell: Spell, as_of: date, days: int, visits: int | None) -> date:
    """The first day of "current": `days` back, or the day of the `visits`-th last visit if that is earlier."""
    by_days = as_of - timedelta(days=days)
    if visits is None or len(spell.visits) < visits:
        return by_days
    return min(by_days, spell.visits[-visits].day)


def surgeries_of(order: Order, procedures: Sequence[Done]) -> list[Done]:
    """Surgeries of the order's own region and side."""
    return [done for done in procedures if done.surgical and (_here(order, done.sites) or not order.sites)]
