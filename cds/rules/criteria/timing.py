"""How long the episode has lasted, what was re-evaluated when, surgery windows, and restarts after a gap."""

from __future__ import annotations

from datetime import date, timedelta

from cds.model import Concept, Days, Fact, add_months
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, plural, span_days
from cds.rules.episode import surgeries_of
from cds.rules.finding import Finding, met, not_applicable, not_met, unknown
from cds.terminology import once


@kind("episode-shorter-than", Fact.VISITS)
def episode_shorter_than(case: Case, params: Params) -> Finding:
    """Whether fewer than `days` have passed since the episode's first visit."""
    limit = case.number(params["days"])
    start, doubts = case.spell.start, case.doubts(Fact.VISITS)
    if limit is None:
        return unknown("the policy states no number of days for this date", ["the policy's figure"])
    lasted = (case.as_of - start).days if start else 0
    says = f"day {lasted} of the episode, which began on {start}" if start else "no visit in this episode yet"
    if lasted >= limit:
        return not_met(f"{says}; day {limit} is reached", [s for v in case.spell.visits[:1] for s in v.sources])
    if doubts:
        return unknown(f"when the episode began is not sure: {because(doubts)}", ["the date of the first visit"])
    return met(f"{says}; day {limit} is not reached yet", [s for v in case.spell.visits[:1] for s in v.sources])


@kind("re-evaluated", Fact.VISITS, Fact.PROCEDURES)
def re_evaluated(case: Case, params: Params) -> Finding:
    """Whether an evaluation was done within the last `days` or `visits`, or on or after `day` of the episode."""
    done = _evaluations(case, params["sets"])
    day = case.number(params["day"]) if "day" in params else None
    if day is not None:
        since = case.start + timedelta(days=day)
        wanted = f"a re-evaluation on or after {since}"
    else:
        since = case.as_of - timedelta(days=case.number(params["days"]) or 0)
        wanted = f"an evaluation since {since}"
    recent = [(when, source) for when, source in done if when >= since]
    if day is None and recent:
        visits = sum(visit.day > recent[-1][0] for visit in case.spell.visits)
        most = case.number(params["visits"]) if "visits" in params else None
        if most is not None and visits > most:
            recent = []
        elif most is not None and (unsure := case.doubts(Fact.VISITS)):
            says = f"evaluated on {recent[-1][0]}; how many visits ago is not sure: {because(unsure)}"
            return unknown(says, ["the therapy visits since then"], [recent[-1][1]])
    if recent:
        return met(f"evaluated on {recent[-1][0]}", [recent[-1][1]])
    doubts = case.doubts(Fact.VISITS, Fact.PROCEDURES)
    last = f" (the last was on {done[-1][0]})" if done else ""
    if doubts:
        return unknown(f"{wanted} was not seen{last}: {because(doubts)}", [wanted])
    return not_met(f"{wanted} is not on file{last}", [s for _, s in done[-1:]], [f"met if {wanted} is recorded"])


def _evaluations(case: Case, sets: list[str]) -> list[tuple[date, str]]:
    """Evaluations as of the day, oldest first: by procedure, and by the codes of visits and claims."""
    found = [
        (done.day.exact, done.source)
        for done in case.record.procedures
        if _in_any(case, done.concept, sets) and done.day.exact
    ]
    codes = {code for name in sets for _, code in case.terms.valueset(name).codes}
    found += [(visit.day, visit.sources[0]) for visit in case.spell.visits if visit.codes & codes]
    return sorted({(when, source) for when, source in found if when <= case.as_of})


def _in_any(case: Case, concept: Concept, sets: list[str]) -> bool:
    return once(concept, ("in", *sets), lambda: any(case.terms.in_set(concept, name) for name in sets))


@kind("surgery-within", Fact.PROCEDURES)
def surgery_within(case: Case, params: Params) -> Finding:
    """Whether the order falls within `months` after a surgery of the region; unknown where its date is vague."""
    months = case.number(params["months"])
    surgeries = [
        done
        for done in surgeries_of(case.order, case.record.procedures)
        if ("set" not in params or case.terms.in_set(done.concept, params["set"]))
        and done.day.within(None, case.as_of) is not False
    ]
    if not surgeries or months is None:
        doubts = case.doubts(Fact.PROCEDURES)
        if doubts:
            return unknown(f"procedures could not be read in full: {because(doubts)}", ["surgeries of the region"])
        return not_applicable("no surgery of this region is on file")
    latest = max(surgeries, key=lambda done: done.day.last or date.max)
    opens = add_months(case.as_of, -months)
    least, most = latest.day.age(case.as_of)
    least = None if least is None else max(0, least)
    inside = latest.day.within(opens, None)
    place = "inside" if inside else "outside"
    says = f"{span_days(least, most)} since {latest.concept.label} ({latest.day})"
    if inside is None:
        return unknown(
            f"{says}: inside or outside the window of {months} months",
            ["the day of the surgery"],
            [latest.source],
        )
    says = f"{says}: {place} the post-surgical window of {months} months"
    return met(says, [latest.source]) if inside else not_met(says, [latest.source])


@kind("restart-justified", Fact.VISITS, Fact.CONDITIONS, Fact.PROCEDURES)
def restart_justified(case: Case, params: Params) -> Finding:
    """Whether therapy that restarts after a gap has a recorded reason: a diagnosis, surgery or evaluation."""
    gap = case.number(params["gap"]) or 0
    previous, start = case.spell.previous, case.spell.start or case.as_of
    doubts = case.record.doubts(Fact.VISITS)  # of any time: it is earlier therapy that is asked for
    if previous is None or (start - previous).days < gap:
        if doubts:
            return unknown(f"earlier therapy could not be read in full: {because(doubts)}", ["earlier therapy visits"])
        return not_applicable(f"no gap of {gap} days or more before this episode")
    until = min(case.as_of, start + timedelta(days=14))
    reasons = [
        (str(c.onset or c.recorded), c.source, c.concept.label)
        for c in case.record.conditions
        if _new(c.onset, previous, until) or (c.onset is None and _new(c.recorded, previous, until))
    ]
    reasons += [
        (str(p.day), p.source, p.concept.label)
        for p in case.record.procedures
        if p.surgical and _new(p.day, previous, until)
    ]
    evaluations = [(w, s) for w, s in _evaluations(case, list(params["sets"])) if previous < w <= until]
    reasons += [(str(when), source, "evaluation") for when, source in evaluations]
    says = f"therapy restarts after {plural((start - previous).days, 'day')} without a visit"
    if doubts:
        return unknown(f"{says} that could be read: {because(doubts)}", ["earlier therapy visits"])
    if reasons:
        return met(f"{says}; {reasons[0][2]} on {reasons[0][0]}", [source for _, source, _ in reasons])
    if any(map(case.ordered, params["sets"])):
        return met(f"{says}; the order asks for an evaluation", [case.order.reference])
    if more := case.doubts(Fact.CONDITIONS, Fact.PROCEDURES):
        return unknown(f"{says}; reasons could not be read in full: {because(more)}", ["the reason for the restart"])
    return not_met(f"{says}, and no reason is on file", change=["met if an evaluation with the reason is recorded"])


def _new(days: Days | None, after: date, until: date) -> bool:
    return days is not None and days.surely_after(after) and days.within(None, until) is True
