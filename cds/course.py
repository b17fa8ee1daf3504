"""The course of an episode as pictures and tables tell it: therapy days in their order, and scores over time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from cds.instruments import Instrument
from cds.model import Days, Discipline, Measure, Site, Span, Timing, Visit
from cds.rules.change import Change, change_of, changes, read_change
from cds.rules.episode import surgeries_of
from cds.story import Story

_EVALUATIONS = ("therapy-evaluations", "therapy-re-evaluations")
_KINDS = ("function", "pain", "mental-health", "range-of-motion", "strength")
# What an episode rule that is wider than an episode counts from (cds/rules/episode.py).
_SCOPES = {
    "injury": "it reaches back to the injury",
    "calendar-year": "it is of the calendar year",
    "plan-year": "it is of the plan's year",
}


@dataclass(frozen=True)
class TherapyDay:
    """One attended therapy day. `counts`: towards this order's episode, or None where that cannot be told.

    `number` is how many days have counted up to it, `since` how many days lie between it and the one before.
    """

    day: date
    what: str
    counts: bool | None
    number: int | None
    since: int | None
    evaluated: bool
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Happening:
    """Something else on the time line: `surgery`, `booked` or `missed`; its day as it is known."""

    kind: str
    what: str
    day: Days
    source: str


@dataclass(frozen=True)
class Course:
    """The visits of an order on a time line. Numbers are those of the recorded assessment; None is not known.

    `projected` is where a plan of care leads, None without one or while the count is not sure.
    `asked` are the days that the order names, `end` the last day of its plan of care, `began` why the count begins
    where it does.
    """

    as_of: date
    days: tuple[TherapyDay, ...]
    happenings: tuple[Happening, ...]
    completed: Span | None
    requested: Span | None
    total: Span | None
    projected: Span | None
    limit: int | None
    asked: tuple[date, ...]
    end: date | None
    began: str

    @property
    def counted(self) -> tuple[TherapyDay, ...]:
        """The days that count for certain."""
        return tuple(each for each in self.days if each.counts)

    @property
    def widest(self) -> tuple[TherapyDay, TherapyDay] | None:
        """The two days between which therapy paused longest; None with fewer than two."""
        pairs = list(zip(self.counted, self.counted[1:], strict=False))
        return max(pairs, key=lambda pair: pair[1].since or 0, default=None)


def course_of(story: Story) -> Course:
    """The course of the order's episode, as the assessment saw it."""
    count = story.said["count"] or {}
    case = story.case
    spell = case.spell if case else None
    return Course(
        as_of=story.as_of,
        days=tuple(_days(story)),
        happenings=tuple(_happenings(story)),
        completed=_span(count.get("completed")),
        requested=_span(count.get("requested")) or story.order.requested,
        total=_span(count.get("total")),
        projected=_span(count.get("projected")) if count.get("complete") and story.record.plans else None,
        limit=count.get("limit"),
        asked=tuple(sorted(story.order.proposed)),
        end=_end(story),
        began=_SCOPES.get(spell.reset_by, spell.reset_by) if spell else "",
    )


def _span(pair: tuple[int, int | None] | None) -> Span | None:
    return Span(pair[0], pair[1]) if pair is not None else None


def _days(story: Story) -> Iterable[TherapyDay]:
    spell = story.case.spell if story.case else None
    sure = {id(visit) for visit in spell.visits} if spell else set()
    unsure = {id(visit) for visit in spell.unsure} if spell else set()
    evaluated = _evaluated(story)
    number = 0
    before: date | None = None
    for visit in sorted(story.record.visits, key=lambda each: each.day):
        counts = True if id(visit) in sure else None if spell is None or id(visit) in unsure else False
        since = (visit.day - before).days if counts and before else None
        if counts:
            number, before = number + 1, visit.day
        yield TherapyDay(
            visit.day,
            _what(visit.discipline, visit.sites),
            counts,
            number if counts else None,
            since,
            visit.day in evaluated or _has_code(story, visit),
            visit.sources,
        )


def _evaluated(story: Story) -> set[date]:
    """The days of procedures that are evaluations."""
    return {
        done.day.exact
        for done in story.record.procedures
        if done.day.exact and any(story.terms.in_set(done.concept, name) for name in _EVALUATIONS)
    }


def _has_code(story: Story, visit: Visit) -> bool:
    return any(code in visit.codes for name in _EVALUATIONS for _, code in story.terms.valueset(name).codes)


def _what(discipline: Discipline | None, sites: Sequence[Site]) -> str:
    """`physical therapy, left hip`."""
    return ", ".join([discipline.label if discipline else "therapy", *(site.label for site in sites)])


def _happenings(story: Story) -> Iterable[Happening]:
    for done in surgeries_of(story.order, story.record.procedures):
        yield Happening("surgery", done.concept.label, done.day, done.source)
    for booking in story.record.appointments:
        kind = "missed" if booking.missed else "booked"
        yield Happening(kind, _what(booking.discipline, booking.sites), booking.day, booking.source)


def _end(story: Story) -> date | None:
    """The last day of the order's own timing, or of the plans of care that it names or, naming none, that run."""
    named = [plan for plan in story.record.plans if plan.source in story.order.plans]
    plans = named or [plan for plan in story.record.plans if plan.active]
    ends = [_last(timing, plan.period) for plan in plans for timing in plan.timings]
    if story.order.timing is not None:
        ends.append(_last(story.order.timing, story.order.period))
    known = [end for end in ends if end is not None and end >= story.as_of]
    return max(known, default=None)


def _last(timing: Timing, period: Days | None) -> date | None:
    bounds = timing.bounds or period
    return bounds.last if bounds is not None and timing.visits is not None else None


# ------------------------------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class Trend:
    """The comparable scores of one instrument: same subscale, side, scale and muscle group, oldest first.

    `scores` have a day and a number, `others` are told in words or on a vague day. `important` is what the catalogue
    holds as change that matters: amount, kind, and whether somebody verified it. `says` is how the rules read
    baseline and latest; "" where there are no two.
    """

    label: str
    instrument: Instrument
    subscale: str | None
    unit: str
    scores: tuple[Measure, ...]
    others: tuple[Measure, ...]
    important: tuple[float, str, bool] | None
    baseline: Measure | None
    latest: Measure | None
    says: str

    @property
    def is_change(self) -> bool:
        """Whether each score already is a change: then two of them are not subtracted from one another."""
        return bool(self.instrument.data.get("is-change"))

    @property
    def limits(self) -> tuple[float, float] | None:
        """Lowest and highest possible score."""
        return self.instrument.range(self.subscale)

    @property
    def mark(self) -> float | None:
        """The score from which on the baseline has improved by the important change; None where none is known.

        Of a measure that tells of a change itself, it is the change that is important.
        """
        if self.important is not None and self.is_change:
            return self.important[0]
        if self.important is None or self.baseline is None or self.baseline.score is None:
            return None
        gain = self.important[0] if self.instrument.higher_is_better else -self.important[0]
        return round(self.baseline.score + gain, 6)


def trends_of(story: Story) -> tuple[Trend, ...]:
    """Every instrument of the record with its scores: function first, then pain, then impairments."""
    groups: dict[tuple[str | None, ...], list[Measure]] = {}
    for measure in story.record.measures:
        groups.setdefault(_alike(measure), []).append(measure)
    weighed: dict[tuple[str | None, ...], Change] = {}
    if story.case is not None:
        known = [story.terms.instruments[name] for name in dict.fromkeys(m.instrument for m in story.record.measures)]
        weighed = {_alike(change.baseline): change for change in changes(story.case, known)}
    trends = []
    for alike, several in groups.items():
        usual = story.terms.instruments[several[0].instrument]
        trends.append(_trend(story, usual, several, weighed.get(alike)))
    return tuple(sorted(trends, key=lambda trend: (_rank(trend.instrument), trend.label)))


def _trend(story: Story, usual: Instrument, several: Sequence[Measure], weighed: Change | None) -> Trend:
    first = several[0]
    instrument = usual.on_scale(first.scale, first.subscale)
    scores = tuple(m for m in several if m.day.exact and m.score is not None)
    final = [m for m in scores if not m.preliminary and m.day.within(None, story.as_of)]
    is_change = bool(usual.data.get("is-change"))
    change = weighed
    if change is None and len(final) > 1 and not is_change:
        change = change_of(usual, final[0], final[-1])
    return Trend(
        label=_label(usual, first),
        instrument=instrument,
        subscale=first.subscale,
        unit=_unit(instrument),
        scores=scores,
        others=tuple(m for m in several if m not in scores),
        important=instrument.important_change(first.subscale),
        baseline=change.baseline if change else None if is_change else next(iter(final), None),
        latest=change.latest if change else None,
        says=read_change(weighed).says if weighed else "",
    )


def _unit(instrument: Instrument) -> str:
    """The unit as people read it; what UCUM writes in braces counts, and has none."""
    unit = str(instrument.data.get("unit", ""))
    return "" if unit.startswith("{") else {"deg": "degrees"}.get(unit, unit)


def _alike(measure: Measure) -> tuple[str | None, ...]:
    return measure.instrument, measure.subscale, measure.side, measure.scale, measure.group


def _label(instrument: Instrument, measure: Measure) -> str:
    """`HOOS Pain`, `Hip flexion, left`, `NDI (raw)`."""
    part = f" {instrument.part(measure.subscale).get('name')}" if measure.subscale else ""
    scale = f" ({measure.scale})" if measure.scale else ""
    group = f", {measure.group}" if measure.group else ""
    return f"{instrument.name}{part}{scale}{group}{f', {measure.side}' if measure.side else ''}"


def _rank(instrument: Instrument) -> int:
    return _KINDS.index(instrument.measures) if instrument.measures in _KINDS else len(_KINDS)
