"""One score against a mark: pain, fear avoidance, depression."""

from __future__ import annotations

from datetime import timedelta

from cds.model import Fact, Measure
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because
from cds.rules.finding import Finding, met, not_met, unknown


@kind("score-at-least", Fact.MEASURES)
def score_at_least(case: Case, params: Params) -> Finding:
    """Whether the latest score of an instrument within `days` is at least `score`."""
    return _against(case, params, at_least=True)


@kind("score-below", Fact.MEASURES)
def score_below(case: Case, params: Params) -> Finding:
    """Whether the latest score of an instrument within `days` is below `score`."""
    return _against(case, params, at_least=False)


def _against(case: Case, params: Params, *, at_least: bool) -> Finding:
    instrument = case.terms.instruments[params["instrument"]]
    mark, days = case.value(params["score"]), case.number(params["days"])
    part = params.get("subscale")
    label = f"{instrument.name} {instrument.part(part).get('name')}" if part else instrument.name
    if mark is None or days is None:
        return unknown(f"the policy states no mark for {label} on this date", ["the policy's figure"])
    since = case.as_of - timedelta(days=days)
    wanted = f"{label} since {since}"
    mine = [
        m for m in case.record.measures
        if m.instrument == instrument.id and (part is None or m.subscale == part) and m.score is not None
    ]  # fmt: skip
    recent = [m for m in mine if m.day.within(since, case.as_of) and not m.preliminary]
    if not recent:
        doubts = case.doubts(Fact.MEASURES)
        seen = f" (the last is of {mine[-1].day})" if mine else ""
        why = f": {because(doubts)}" if doubts else ""
        return unknown(f"no {wanted} is on file{seen}{why}", [wanted], [s for m in mine[-1:] for s in m.sources])
    return _weigh(case, recent[-1], label, mark.value, at_least=at_least)


def _weigh(case: Case, latest: Measure, label: str, mark: float, *, at_least: bool) -> Finding:
    score = latest.score or 0.0
    band = _band(case, latest)
    says = f"{label} {score:g} on {latest.day}{f', {band}' if band else ''}"
    facts = {"score": score, "band": band, "instrument": latest.instrument}
    if at_least:
        says = f"{says}; at least {mark:g} is asked for"
        return (met if score >= mark else not_met)(says, latest.sources, facts=facts)
    says = f"{says}; below {mark:g} is asked for"
    return (met if score < mark else not_met)(says, latest.sources, facts=facts)


def _band(case: Case, measure: Measure) -> str:
    """The instrument's own word for a score (`severe`), computed from its bands, never copied."""
    for band in case.terms.instruments[measure.instrument].data.get("bands") or ():
        if band["from"] <= (measure.score or 0) <= band["to"]:
            return str(band["label"])
    return ""
