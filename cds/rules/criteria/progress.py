"""Progress beyond questionnaires: impairments, goals, and what the patient reports."""

from __future__ import annotations

from datetime import timedelta

from cds.instruments import Instrument
from cds.model import Fact, Goal
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.outcome_measures import improvement
from cds.rules.criteria.words import because, listed, plural
from cds.rules.finding import Finding, met, not_met, unknown

_FAMILY_NAMES = {
    "range-of-motion": "range of motion",
    "strength": "strength",
    "functional-task": "a functional task",
}


def _impairments(case: Case, families: list[str]) -> list[Instrument]:
    regions = {site.region for site in case.order.sites}
    return [
        instrument
        for instrument in case.terms.instruments.values()
        if instrument.impairment
        and instrument.measures in families
        and (not regions or regions & set(instrument.data.get("regions") or ()) or "any" in instrument.data["regions"])
    ]


@kind("impairments-on-file", Fact.MEASURES, Fact.VISITS)
def impairments_on_file(case: Case, params: Params) -> Finding:
    """Whether every family of impairment measures has a value at the start of care."""
    before, after = case.number(params["days-before"]) or 0, case.number(params["days-after"]) or 0
    first, last = case.start - timedelta(days=before), min(case.as_of, case.start + timedelta(days=after))
    found: dict[str, list[str]] = {family: [] for family in params["families"]}
    for family, sources in found.items():
        wanted = {instrument.id for instrument in _impairments(case, [family])}
        for measure in case.record.measures:
            if measure.instrument in wanted and not measure.preliminary and measure.day.within(first, last):
                sources += measure.sources
    missing = [_FAMILY_NAMES.get(family, family) for family, sources in found.items() if not sources]
    evidence = [source for sources in found.values() for source in sources]
    if not missing and (unsure := case.doubts(Fact.VISITS)):
        says = f"whether these were measured at the start of care is not sure: {because(unsure)}"
        return unknown(says, ["the date of the first visit"], evidence)
    if not missing:
        return met(f"{listed(_FAMILY_NAMES.get(f, f) for f in found)} measured at the start of care", evidence)
    says = f"no {listed(missing, 'or')} on file at the start of care, {first} to {last}"
    if doubts := case.doubts(Fact.MEASURES) + case.doubts(Fact.VISITS):
        return unknown(f"{says}; measures could not be read in full: {because(doubts)}", missing, evidence)
    return not_met(says, evidence, [f"met if {listed(missing)} of {first} to {last} is recorded"])


@kind("impairment-improved", Fact.MEASURES, Fact.VISITS)
def impairment_improved(case: Case, params: Params) -> Finding:
    """Whether range of motion, strength or a task improved beyond what measuring error explains."""
    return improvement(case, params, _impairments(case, list(params["families"])), "impairment measure")


@kind("goals-progressed", Fact.GOALS, Fact.VISITS)
def goals_progressed(case: Case, params: Params) -> Finding:
    """Whether a treatment goal was achieved, or is improving, with a date within the episode."""
    progressed = [g for g in case.record.goals if g.achievement and case.terms.in_set(g.achievement, "goal-progress")]
    dated = [g for g in progressed if g.day and g.day.within(case.start - timedelta(days=14), case.as_of)]
    if dated:
        return met(f"{plural(len(dated), 'treatment goal')} achieved or improving", _goal_sources(dated))
    if undated := [g for g in progressed if g.day is None or g.day.within(case.start, case.as_of) is None]:
        says = f"{plural(len(undated), 'goal')} achieved or improving, but without a date"
        return unknown(says, ["the date on which the goal's status was set"], _goal_sources(undated))
    doubts = case.doubts(Fact.GOALS) + (case.doubts(Fact.VISITS) if progressed else ())
    says = "no goal recorded as achieved or improving"
    if doubts or params.get("when-absent") != "not-met":
        return unknown(f"{says} ({because(doubts)})" if doubts else says, ["the achievement status of the goals"])
    return not_met(says, _goal_sources(case.record.goals), ["met if the goals' achievement is recorded with its date"])


def _goal_sources(goals: list[Goal] | tuple[Goal, ...]) -> list[str]:
    return [goal.source for goal in goals]


@kind("reported-improvement", Fact.MEASURES, Fact.VISITS)
def reported_improvement(case: Case, params: Params) -> Finding:
    """Whether the patient's reported improvement (percent) in this episode reaches a figure. Weak evidence."""
    figure = case.number(params["percent"])
    told = [
        m
        for m in case.record.measures
        if m.instrument == "patient-reported-improvement"
        and m.score is not None
        and m.day.within(case.start, case.as_of)
    ]
    if not told or figure is None:
        ever = any(m.instrument == "patient-reported-improvement" for m in case.record.measures)
        doubts = case.doubts(Fact.MEASURES) + (case.doubts(Fact.VISITS) if ever else ())
        if doubts or params.get("when-absent") != "not-met":
            return unknown(
                "no reported improvement could be read",
                ["the improvement that the patient reports, in percent"],
            )
        return not_met("no reported improvement recorded")
    latest = told[-1]
    says = f"the patient reports {latest.score:g} % improvement on {latest.day}"
    if (latest.score or 0) >= figure:
        return met(says, latest.sources)
    return not_met(says, latest.sources)


@kind("goals-open", Fact.GOALS)
def goals_open(case: Case, params: Params) -> Finding:
    """Whether a treatment goal is still to be reached; where all are, discharge is due."""
    goals = case.record.goals
    if still := [goal for goal in goals if goal.open]:
        return met(f"{plural(len(still), 'treatment goal')} still open", _goal_sources(still))
    if doubts := case.doubts(Fact.GOALS):
        return unknown(f"goals could not be read in full: {because(doubts)}", ["the treatment goals"])
    if goals:
        return not_met(
            f"all {len(goals)} recorded goals are reached",
            _goal_sources(goals),
            ["met if a new measurable goal is set"],
        )
    return unknown("no treatment goal is on file", ["measurable treatment goals"])
