"""How a clinician reads two scores of one instrument: improved, unchanged, worse, or not comparable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from cds.instruments import Instrument, number_in
from cds.model import Fact, Measure
from cds.rules.case import Case
from cds.rules.finding import Finding, met, not_applicable, not_met, unknown

SOON = 14
WORSE = {"worse": True}


@dataclass(frozen=True)
class Change:
    """Baseline and latest of one instrument and subscale, and how a clinician reads the difference."""

    instrument: Instrument
    baseline: Measure
    latest: Measure
    gain: float
    threshold: float | None
    kind: str
    verified: bool
    ceiling: bool
    sure: bool = True


def changes(case: Case, wanted: Iterable[Instrument]) -> list[Change]:
    """Every comparable pair within the episode, on different days.

    Comparable are scores of the same instrument, subscale, side, scale and (for grades) muscle group.
    """
    found: list[Change] = []
    first = case.start - timedelta(days=14)
    for instrument in wanted:
        groups: dict[tuple[str | None, ...], list[Measure]] = {}
        earlier: set[tuple[str | None, ...]] = set()
        for m in case.record.measures:
            usable = m.instrument == instrument.id and m.score is not None and not m.preliminary
            if usable and m.day.exact and m.day.within(first, case.as_of):
                groups.setdefault(_alike(m), []).append(m)
            elif usable and m.day.within(first, None) is not True:
                earlier.add(_alike(m))
        for alike, scores in groups.items():
            days = [m.day.exact for m in scores]
            unclear = days.count(days[0]) > 1 or days.count(days[-1]) > 1
            if days[0] != days[-1] and not unclear:
                # With visits that could not be read, the episode, and its baseline, may be older than was seen.
                sure = alike not in earlier or not case.doubts(Fact.VISITS)
                found.append(replace(change_of(instrument, scores[0], scores[-1]), sure=sure))
    return found


def _alike(measure: Measure) -> tuple[str | None, ...]:
    return measure.subscale, measure.side, measure.scale, measure.group


def change_of(usual: Instrument, baseline: Measure, latest: Measure) -> Change:
    """What lies between two comparable scores, by the figures of their own scale."""
    instrument, subscale = usual.on_scale(baseline.scale, baseline.subscale), baseline.subscale
    before, after = baseline.score or 0.0, latest.score or 0.0
    # Scores have few decimals: 100 to 86.4 is a change of 13.6 and no less.
    gain = round(after - before if instrument.higher_is_better else before - after, 6)
    important = instrument.important_change(subscale)
    threshold, label, verified = important or (None, "", False)
    ceiling = _near_best(instrument, subscale, before, threshold)
    return Change(usual, baseline, latest, gain, threshold, label, verified, ceiling)


def _near_best(instrument: Instrument, subscale: str | None, score: float, threshold: float | None) -> bool:
    """Whether less than an important change is left to gain."""
    limits = instrument.range(subscale)
    best = (limits[1] if instrument.higher_is_better else limits[0]) if limits else None
    return threshold is not None and best is not None and round(abs(best - score), 6) < threshold


def read_change(change: Change) -> Finding:
    """Improved, unchanged, worse or not comparable, as a finding."""
    label = _label(change.instrument, change.baseline)
    says = f"{label} {_shown(change.baseline)} to {_shown(change.latest)}{_apart(change)}"
    evidence = sources_of((change.baseline, change.latest))
    if change.gain < 0 and (change.threshold is None or change.gain <= -change.threshold):
        margin = f" ({_margin(change)})" if change.threshold is not None else ""
        return not_met(f"{says}, worse{margin}", evidence, [f"met if {label} improves"], WORSE)
    if change.ceiling:
        near = "near the best possible score: too little is left to gain to show change"
        return not_applicable(f"{says}: {near}", evidence)
    if change.threshold is None:
        return unknown(f"{says}: no important change is known for {label}", ["a published important change"], evidence)
    if not change.sure:
        return unknown(f"{says}: an older score may be the baseline", ["the date of the first visit"], evidence)
    if change.gain >= change.threshold:
        full = _now_full(change)
        if not change.verified:
            missing = [f"the important change of {label}, verified (the catalogue's figure is not)"]
            return unknown(f"{says} ({_margin(change)}, not verified){full}", missing, evidence)
        return met(f"{says}, improved ({_margin(change)}){full}", evidence)
    word = "slightly worse, no important change" if change.gain < 0 else "no important change"
    facts = WORSE if change.gain < 0 else {}
    return not_met(
        f"{says}, {word} ({_margin(change)})", evidence, [f"met if {label} improves by {change.threshold:g}"], facts
    )


def _margin(change: Change) -> str:
    return f"{change.kind or 'important change'} {change.threshold:g}"


def _apart(change: Change) -> str:
    """A word of warning where the two scores lie too close together to tell of a course."""
    first, last = change.baseline.day.exact, change.latest.day.exact
    days = (last - first).days if first and last else SOON
    return f" (only {days} day{'' if days == 1 else 's'} apart)" if days < SOON else ""


def _now_full(change: Change) -> str:
    """Improvement that has arrived near full function is no ground for more visits."""
    scale = change.instrument.on_scale(change.latest.scale, change.latest.subscale)
    near = _near_best(scale, change.latest.subscale, change.latest.score or 0.0, change.threshold)
    return "; now near the best possible score, with little left to gain" if near else ""


def told(case: Case, measure: Measure) -> str:
    """`iHOT-12 46 on 2025-03-01`."""
    score = f" {_shown(measure)}" if _shown(measure) else ""
    return f"{_label(case.terms.instruments[measure.instrument], measure)}{score} on {measure.day}"


def _label(instrument: Instrument, measure: Measure) -> str:
    """`HOOS Pain`, `NDI (raw)`: the instrument with its subscale, and its scale where that is not the usual one."""
    part = f" {instrument.part(measure.subscale).get('name')}" if measure.subscale else ""
    return f"{instrument.name}{part}{f' ({measure.scale})' if measure.scale else ''}"


def _shown(measure: Measure) -> str:
    """The score as a number; a grade as it was told."""
    if measure.score is None or (measure.text and number_in(measure.text) is None):
        return measure.text
    return f"{measure.score:g}"


def sources_of(measures: Iterable[Measure]) -> list[str]:
    """Where some measures were read."""
    return [source for measure in measures for source in measure.sources]
