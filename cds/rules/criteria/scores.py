"""One score against a mark: pain, fear avoidance, depression."""

from __future__ import annotations

from datetime import timedelta

from cds.model import Fact, Measure
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.outcome_measures import forms_of, is_asked_for
from cds.rules.criteria.words import because, listed
from cds.rules.finding import Finding, met, not_met, unknown


@kind("score-at-least", Fact.MEASURES, Fact.TASKS)
def score_at_least(case: Case, params: Params) -> Finding:
    """Whether the latest score of an instrument within `days` is at least `score`."""
    return _against(case, params, at_least=True)


@kind("score-below", Fact.MEASURES, Fact.TASKS)
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
        if m.instrument == instrument.id and part in (None, m.subscale) and m.score is not None and not m.scale
    ]  # fmt: skip
    recent = [m for m in mine if m.day.within(since, case.as_of) and not m.preliminary]
    doubts = case.doubts(Fact.MEASURES)
    if not recent:
        seen = f" (the last is of {mine[-1].day})" if mine else ""
        why = f": {because(doubts)}" if doubts else ""
        asked = {} if is_asked_for(case, [instrument]) else {"ask_for": forms_of(case, [instrument])}
        sources = [s for m in mine[-1:] for s in m.sources]
        return unknown(f"no {wanted} is on file{seen}{why}", [wanted], sources, facts=asked)
    latest = [m for m in recent if m.day.last == recent[-1].day.last]
    found = [_weigh(case, measure, label, mark.value, at_least=at_least) for measure in latest]
    says = found[-1].says
    if len({finding.result for finding in found}) > 1:
        told = listed(f"{measure.score:g}" for measure in latest)
        says = f"{label} is {told} on {latest[-1].day}, and which of them holds is not recorded"
        return unknown(says, [f"one {label} of {latest[-1].day}"], [s for m in latest for s in m.sources])
    if doubts:  # the score that decides is the latest one, and there may be a later one that could not be read
        says = f"{says}; a later score may be on file: {because(doubts)}"
        return unknown(says, [wanted], latest[-1].sources, facts=found[-1].facts)
    return found[-1]


def _weigh(case: Case, latest: Measure, label: str, mark: float, *, at_least: bool) -> Finding:
    score = latest.score or 0.0
    band = _band(case, latest)
    says = f"{label} {score:g}{f' ({band})' if band else ''} on {latest.day}"
    facts = {"score": score, "band": band, "instrument": latest.instrument}
    if at_least:
        says = f"{says}; {mark:g} or more is asked for"
        return (met if score >= mark else not_met)(says, latest.sources, facts=facts)
    says = f"{says}; less than {mark:g} is asked for"
    return (met if score < mark else not_met)(says, latest.sources, facts=facts)


def _band(case: Case, measure: Measure) -> str:
    """The instrument's own word for a score (`severe`), computed from its bands, never copied."""
    for band in case.terms.instruments[measure.instrument].data.get("bands") or ():
        if band["from"] <= (measure.score or 0) <= band["to"]:
            return str(band["label"])
    return ""
