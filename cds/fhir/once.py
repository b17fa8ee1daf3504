"""The same measurement told twice is one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cds.model import Measure


def once(measures: Iterable[Measure], derived: Mapping[str, str]) -> tuple[Measure, ...]:
    """Every measurement once, oldest first: same instrument, day and score, or one derived from the other.

    `derived` names the Observation that was derived from a source, or holds it as a member. A response gives
    way to the Observations derived from it, and one without a score to any score of its instrument and day.
    """
    kept: dict[tuple[object, ...], Measure] = {}
    told = list(measures)
    scored = {(m.instrument, m.subscale, source) for m in told if m.score is not None for source in m.sources}
    for measure in told:
        if _gives_way(measure, derived, scored):
            continue
        key = _key(measure)
        if twin := kept.get(key):
            sources = tuple(sorted({*twin.sources, *measure.sources}))
            kept[key] = replace(twin, sources=sources, preliminary=twin.preliminary and measure.preliminary)
        else:
            kept[key] = measure
    known = {(m.instrument, m.day.first) for m in kept.values() if m.score is not None}
    whole = [m for m in kept.values() if not (_is_unscored(m) and (m.instrument, m.day.first) in known)]
    return tuple(sorted(whole, key=_order))


def is_response(measure: Measure) -> bool:
    """Whether it comes from answers to a questionnaire alone."""
    return all(source.startswith("QuestionnaireResponse/") for source in measure.sources)


def _is_unscored(measure: Measure) -> bool:
    return measure.score is None and (is_response(measure) or not measure.text)


def _gives_way(measure: Measure, derived: Mapping[str, str], scored: set[tuple[str, str | None, str]]) -> bool:
    """Whether an Observation that was made of it tells the same."""
    for source in measure.sources:
        if source in derived and measure.score is None:
            return True
        if is_response(measure) and (measure.instrument, measure.subscale, derived.get(source, "")) in scored:
            return True
    return False


def _key(measure: Measure) -> tuple[object, ...]:
    return (
        measure.instrument,
        measure.subscale,
        measure.side,
        measure.scale,
        measure.group,
        measure.day.first,
        measure.day.last,
        measure.score,
        measure.text if measure.score is None else "",
    )


def _order(measure: Measure) -> tuple[object, ...]:
    """Oldest first; beyond that any order, but always the same however the entries were sent."""
    first = measure.day.first.isoformat() if measure.day.first else ""
    last = measure.day.last.isoformat() if measure.day.last else ""
    what = (measure.instrument, measure.subscale or "", measure.scale, measure.group, measure.side or "")
    return first, last, *what, measure.score or 0.0, measure.sources
