"""The pictures of a story, each with the words and the tables that tell the same to those who cannot see it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from cds.course import Course, TherapyDay, Trend
from cds.model import Measure, Span
from hooks.smart.story.drawing import Series, drawing

_WORDS = {"surgery": "surgery", "booked": "booked", "missed": "missed"}


@dataclass(frozen=True)
class Table:
    """A table: its caption, the head of its columns, its rows. The first cell of a row is its head."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A picture in a page. `says` tells what it shows in a sentence or two; `keys` are class, sign and meaning.

    `svg` is empty where there is nothing to draw: no day, or a single score.
    """

    id: str
    title: str
    says: str
    svg: Markup
    keys: tuple[tuple[str, str, str], ...]
    tables: tuple[Table, ...]


# ------------------------------------------------------------------------------------------------ visits


def visits_picture(course: Course) -> Picture:
    """How the visits add up over time, against the limit."""
    series = _visit_series(course)
    numbers = [number for each in series for _, number in each.points]
    top = max([*numbers, course.limit or 0, 1])
    spans = (course.total, course.projected, course.completed)
    ends = [end for span in spans if span for end in (span.high, span.low)]
    marks = [float(n) for n in (course.limit, *ends, 0) if n is not None and n <= top]
    drawn = drawing("visits", series, marks, (0, top)) if numbers else Markup()
    keys = [key for key in _visit_keys(course) if any(each.name == key[0] for each in series)]
    tables = (_numbers_table(course), *([_days_table(course)] if course.days or course.happenings else []))
    return Picture("visits", "Visits over time", _visits_say(course), drawn, tuple(keys), tables)


def _visit_series(course: Course) -> list[Series]:
    counted = [(each.day, float(each.number or 0)) for each in course.counted]
    asked = _asked_points(course)
    start = (asked or counted or [(course.as_of, 0.0)])[-1]
    days = [day for day, _ in (*counted, *asked)] + [course.end or course.as_of]
    level = 0.0
    evaluated = [(each.day, float(each.number or 0)) for each in course.counted if each.evaluated]
    series = [
        Series("visits", counted, "circle"),
        Series("evaluated", evaluated, "square", line=False),
        Series("asked", asked, "triangle", line=False),
        Series("surgery", [(day, level) for day in _days_of(course, "surgery")], "diamond", line=False),
        Series("missed", [(day, level) for day in _days_of(course, "missed")], "cross", line=False),
        Series("booked", [(day, level) for day in _days_of(course, "booked")], "triangle", line=False),
        Series("pause", _pause(course)),
        *_projections(course, start),
    ]
    series = [each for each in series if each.points]
    if course.limit is not None and series:
        days += [day for each in series for day, _ in each.points]
        series.append(Series("limit", [(min(days), float(course.limit)), (max(days), float(course.limit))]))
    return series


def _asked_points(course: Course) -> list[tuple[date, float]]:
    """The visits that the order asks for, on the days that it names or, naming none, on its own day."""
    if course.total is None:
        return []
    done = {each.day for each in course.counted}
    days = [day for day in course.asked if day not in done]
    total = course.total.low
    return [(day, float(total - len(days) + 1 + at)) for at, day in enumerate(days)] or [(course.as_of, float(total))]


def _days_of(course: Course, kind: str) -> list[date]:
    return sorted(each.day.exact for each in course.happenings if each.kind == kind and each.day.exact)


def _pause(course: Course) -> list[tuple[date, float]]:
    pair = course.widest
    return [(each.day, float(each.number or 0)) for each in pair] if pair else []


def _projections(course: Course, start: tuple[date, float]) -> list[Series]:
    """From the last visit asked for to the plan's end, at its least and at its most."""
    if course.projected is None or course.end is None or course.end <= start[0]:
        return []
    ends = sorted({float(end) for end in (course.projected.low, course.projected.high) if end is not None})
    lines = [Series("projected", [start, (course.end, end)]) for end in ends]
    return [*lines, Series("projected", [(course.end, end) for end in ends], "circle", line=False)]


def _visit_keys(course: Course) -> Iterable[tuple[str, str, str]]:
    yield "visits", "●", "therapy days that count, added up"
    yield "evaluated", "■", "with an evaluation"
    yield "asked", "▲", f"asked for by this order: {_known(course.total)} in all"
    if course.limit is not None:
        yield "limit", "━", f"the limit: {course.limit}"
    yield "projected", "┄", f"the plan of care, to {course.end}: {_known(course.projected)} in all"
    yield "surgery", "◆", "surgery"
    yield "missed", "✕", "missed appointment"
    yield "booked", "△", "booked appointment"
    if (pair := course.widest) is not None:
        yield "pause", "━", f"the longest pause: {pair[1].since} days"


def _visits_say(course: Course) -> str:
    if course.completed is None:
        return "Visits were not counted, since no policy applied."
    parts = [f"{_known(course.total)} visits in all" if course.total else f"{_known(course.completed)} visits so far"]
    if course.limit is not None:
        parts.append(f"against a limit of {course.limit}")
    if course.projected is not None:
        parts.append(f"and {_known(course.projected)} by the end of the plan of care")
    began = f" Where the count begins: {course.began}." if course.began else ""
    return f"{' '.join(parts)}.{began}"


def _known(span: Span | None) -> str:
    return "an unknown number" if span is None else str(span)


def _numbers_table(course: Course) -> Table:
    rows = [
        ("Completed", _known(course.completed)),
        ("Requested", _known(course.requested)),
        ("In all", _known(course.total)),
        ("Limit", "none" if course.limit is None else str(course.limit)),
        ("Projected by the plan of care", _known(course.projected) if course.projected else "not known"),
    ]
    if course.end is not None:
        rows.append(("The plan of care ends", str(course.end)))
    return Table("Visits in numbers", ("What", "Visits"), tuple(rows))


def _days_table(course: Course) -> Table:
    rows = [(str(each.day), *_day_cells(each)) for each in course.days]
    rows += [(str(each.day), f"{_WORDS[each.kind]}: {each.what}", "", "", each.source) for each in course.happenings]
    done = {each.day for each in course.counted}
    rows += [(str(day), "asked for by this order", "", "", "") for day in course.asked if day not in done]
    head = ("Day", "What", "Counts as", "Days since the one before", "Source")
    return Table("Day by day", head, tuple(sorted(rows)))


def _day_cells(each: TherapyDay) -> tuple[str, str, str, str]:
    counts = {True: f"number {each.number}", None: "not certain", False: "not counted"}[each.counts]
    what = f"{each.what}; evaluation" if each.evaluated else each.what
    return what, counts, "" if each.since is None else str(each.since), ", ".join(each.sources)


# ------------------------------------------------------------------------------------------------ scores


def score_picture(trend: Trend, as_of: date, number: int, *, drawn: bool = True) -> Picture:
    """The scores of one instrument until the order's day, with the band from baseline to an important change."""
    points = [(day, m.score) for m in trend.scores if (day := m.day.exact) is not None and m.score is not None]
    until = max([as_of, *(day for day, _ in points)])
    is_course = any(day < until for day, _ in points)
    svg = _draw_scores(trend, points, until, f"scores-{number}") if is_course and drawn else Markup()
    unit = f" {trend.unit}" if trend.unit else ""
    better = " (higher is better)" if trend.instrument.higher_is_better else " (lower is better)"
    rows = [
        (str(m.day), _shown(m, unit), _role(trend, m), ", ".join(m.sources)) for m in (*trend.scores, *trend.others)
    ]
    table = Table(f"{trend.label}, day by day", ("Day", "Score", "Which", "Source"), tuple(rows))
    says = f"{trend.says}." if trend.says else _no_pair(trend)
    return Picture(
        f"scores-{number}",
        f"{trend.label}{better if trend.limits else ''}",
        says,
        svg,
        tuple(_score_keys(trend)),
        (table,),
    )


def _draw_scores(trend: Trend, points: Sequence[tuple[date, float]], last: date, name: str) -> Markup:
    first = min(day for day, _ in points)
    values = [score for _, score in points]
    mark, base = trend.mark, trend.baseline.score if trend.baseline else None
    low, high = trend.limits or (min(values), max(values))
    low, high = min([low, *values]), max([high, *values])
    series: list[Series] = []
    if mark is not None and base is not None:
        mark = min(max(mark, low), high)
        series.append(Series("band", [(first, mark), (last, mark)], fill=True))
    elif mark is not None:
        series.append(Series("band", [(first, mark), (last, mark)]))
    if base is not None:
        series.append(Series("baseline", [(first, base), (last, base)]))
    series.append(Series("scores", points, "circle"))
    latest = trend.latest.score if trend.latest else None
    marks = [n for n in (latest, base, mark, low, high, *values) if n is not None]
    return drawing(name, series, marks, (low, high if high > low else low + 1), base or 0)


def _score_keys(trend: Trend) -> Iterable[tuple[str, str, str]]:
    unit = f" {trend.unit}" if trend.unit else ""
    if trend.scores:
        yield "scores", "●", "scores"
    if trend.baseline is not None:
        yield "baseline", "┄", f"baseline: {_shown(trend.baseline, unit)} on {trend.baseline.day}"
    if trend.latest is not None:
        yield "scores", "●", f"latest: {_shown(trend.latest, unit)} on {trend.latest.day}"
    if trend.important is None:
        yield "unknown", "?", "no important change is known for it"
        return
    amount, kind, verified = trend.important
    checked = "a verified figure" if verified else "a figure that nobody has verified"
    beyond = f"; improved from {trend.mark:g}" if trend.mark is not None and _reachable(trend) else ""
    yield "band", "▒", f"change that matters: {amount:g}{unit} ({kind or 'of no named kind'}), {checked}{beyond}"


def _reachable(trend: Trend) -> bool:
    return trend.limits is None or trend.limits[0] <= (trend.mark or 0) <= trend.limits[1]


def _no_pair(trend: Trend) -> str:
    days = {m.day.exact for m in trend.scores}
    if not days:
        return "Told in words, or on no certain day: there is no number to compare."
    if trend.is_change:
        return "It tells of a change since the start by itself."
    return "One score only: there is nothing to compare it with." if len(days) <= 1 else "Not compared for this order."


def _role(trend: Trend, measure: Measure) -> str:
    if measure.preliminary:
        return "preliminary"
    return "baseline" if measure is trend.baseline else "latest" if measure is trend.latest else ""


def _shown(measure: Measure, unit: str) -> str:
    return measure.text or "in words only" if measure.score is None else f"{measure.score:g}{unit}"
