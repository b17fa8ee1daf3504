"""Programmes, authorizations, plans of care, who orders, goals that are stated, work status, amounts."""

from __future__ import annotations

from datetime import date, timedelta

from cds.model import Days, Discipline, Fact, Statement
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, plural
from cds.rules.finding import Finding, met, not_applicable, not_met, unknown


@kind("programme-volume", Fact.AMOUNTS)
def programme_volume(case: Case, params: Params) -> Finding:
    """Whether the days asked for lie between `least` and `most`; units a day are told, never turned into visits."""
    least, most = case.number(params["least"]), case.number(params["most"])
    days = case.order.requested.exact if case.order.requested else None
    if days is None or least is None or most is None:
        return unknown("the number of programme days is not known", ["the number of programme days"])
    told, sources = _units(case, params, days)
    says = f"{plural(days, 'programme day')} ({least} to {most} usual){told}"
    if least <= days <= most:
        return met(says, [case.order.reference, *sources])
    return not_met(says, [case.order.reference, *sources], [f"met if the order asks for {least} to {most} days"])


def _units(case: Case, params: Params, days: int) -> tuple[str, list[str]]:
    """Units a day of the programme's lines, and the hours that timed lines add up to."""
    wanted = case.terms.valueset(params["set"])
    minutes = {code: float(entry["minutes"]) for (_, code), entry in wanted.codes.items() if "minutes" in entry}
    listed = {code for _, code in wanted.codes}
    lines = [line for line in case.record.claim_lines if line.proposed and line.code in listed and line.units]
    parts = [f"{line.code} {line.units:g} units, {(line.units or 0) / max(days, 1):.1f} a day" for line in lines]
    total = sum((line.units or 0) * minutes[line.code] for line in lines if line.code in minutes)
    hours = f"; {total / 60:g} h of timed group sessions in all" if total else ""
    told = f"; {'; '.join(parts)}{hours}" if parts else ""
    return told, list(dict.fromkeys(line.source for line in lines))


@kind("within-authorization", Fact.AUTHORIZATIONS)
def within_authorization(case: Case, params: Params) -> Finding:
    """Whether the last planned day lies within `days` of the day of authorization, that day not counted."""
    days = case.number(params["days"])
    begun = [a for a in case.record.authorizations if a.period.first is not None]
    if not begun or days is None:
        doubts = case.doubts(Fact.AUTHORIZATIONS)
        why = f" ({because(doubts)})" if doubts else ""
        return unknown(f"no authorization is on file{why}", ["the date of authorization"])
    latest = max(begun, key=lambda a: a.period.first or date.min)
    last = (latest.period.first or case.as_of) + timedelta(days=days)
    planned = _last_planned(case)
    if planned is None:
        return unknown("the last planned visit is not dated", ["the last day of the order"], [latest.reference])
    says = f"last planned day {planned}; authorization {latest.period.first} holds until {last}"
    if planned <= last:
        return met(says, [latest.reference])
    return not_met(says, [latest.reference], [f"met if the last visit is planned by {last}"])


def _last_planned(case: Case) -> date | None:
    if case.order.period is not None and case.order.period.last is not None:
        return case.order.period.last
    return max(case.order.proposed, default=None)


@kind("ordered-by", Fact.REQUESTER)
def ordered_by(case: Case, params: Params) -> Finding:
    """Whether the one who orders has a role of the set."""
    person = case.record.people.get(case.order.requester)
    if not case.order.requester:
        return unknown("the order does not say who orders", ["who orders"])
    if person is None or not (person.codes or person.text):
        return unknown("the role of the one who orders is not known", ["the role of the one who orders"])
    says = f"ordered by {person.label}"
    if case.terms.in_set(person, params["set"]):
        return met(says, [case.order.requester])
    return unknown(
        f"{says}: whether that is the attending physician is not recorded", ["a referral"], [case.order.requester]
    )


@kind("goals-stated", Fact.GOALS, Fact.PLANS)
def goals_stated(case: Case, params: Params) -> Finding:
    """Whether the order, its plan or the record states at least `count` open treatment goals."""
    least = case.number(params["count"])
    named = {
        *case.order.goals,
        *(goal for plan in case.record.plans if plan.source in case.order.plans for goal in plan.goals),
    }
    goals = [goal for goal in case.record.goals if goal.source in named or goal.open]
    sources = [goal.source for goal in goals]
    if least is None:
        return unknown("the policy states no number for this date", ["the policy's figure"])
    if len(goals) >= least:
        return met(f"{plural(len(goals), 'treatment goal')} stated", sources)
    if doubts := case.doubts(Fact.GOALS):
        return unknown(f"goals could not be read in full: {because(doubts)}", ["the treatment goals"], sources)
    change = [f"met if {plural(least, 'treatment goal')} {'is' if least == 1 else 'are'} recorded"]
    return not_met(f"{plural(len(goals), 'treatment goal')} stated, {least} wanted", sources, change)


@kind("work-status-improved", Fact.STATEMENTS)
def work_status_improved(case: Case, params: Params) -> Finding:
    """Whether the latest work status is better than the one before it; off work alone shows no improvement."""
    ranks = {
        code: int(entry["rank"])
        for (_, code), entry in case.terms.valueset("work-status").codes.items()
        if "rank" in entry
    }
    told = [(rank, s) for s in _work_statuses(case) if (rank := _rank(s, ranks)) is not None]
    if not told:
        doubts = case.doubts(Fact.STATEMENTS)
        if doubts or params.get("when-absent") != "not-met":
            return unknown("no work status is on file", ["the work status, before and now"])
        return not_met("no work status is on file", change=["met if a change of work status is recorded"])
    (rank, latest), before = told[-1], [r for r, _ in told[:-1]]
    says = f"work status on {latest.day}: {latest.value}"
    if before and rank < before[-1]:
        return met(f"{says}, better than before", [s.source for _, s in told[-2:]])
    if before and rank > before[-1]:
        return not_met(f"{says}, worse than before", [s.source for _, s in told[-2:]], [_better(says)])
    if rank == max(ranks.values()):
        return not_met(says, [latest.source], [_better(says)])
    return unknown(f"{says}; nothing to compare it with", ["an earlier work status"], [latest.source])


def _better(says: str) -> str:
    return f"met if the record shows a reduction of work restrictions ({says})"


def _work_statuses(case: Case) -> list[Statement]:
    asked = case.terms.valueset("work-status-questions")
    mine = [s for s in case.record.statements if asked.matches(s.concept) and s.day.within(None, case.as_of)]
    return sorted(mine, key=lambda s: s.day.first or date.min)


def _rank(statement: Statement, ranks: dict[str, int]) -> int | None:
    codes = statement.value_concept.codes if statement.value_concept else ()
    return next((ranks[code.code] for code in codes if code.code in ranks), None)


@kind("plan-of-care-within", Fact.PLANS)
def plan_of_care_within(case: Case, params: Params) -> Finding:
    """Whether an active plan of care began, or was renewed, within the last `days`."""
    days = case.number(params["days"])
    plans = [plan for plan in case.record.plans if plan.active and plan.period is not None]
    if days is None:
        return unknown("the policy states no number of days for this date", ["the policy's figure"])
    since = case.as_of - timedelta(days=days)
    recent = [p for p in plans if p.period and _start(p.period).within(since, case.as_of)]
    if recent:
        return met(f"plan of care of {_start(recent[-1].period or Days(None, None))}", [recent[-1].source])
    if case.spell.start is None and not plans:
        return not_applicable("no visit yet: the plan of care comes with the evaluation")
    if doubts := case.doubts(Fact.PLANS):
        return unknown(f"plans of care could not be read in full: {because(doubts)}", ["the plan of care"])
    if not plans:
        return unknown("no dated plan of care is on file", ["the plan of care with its date of certification"])
    starts = [plan.period.first for plan in plans if plan.period and plan.period.first]
    old = max(starts, default=None)
    return not_met(
        f"the plan of care is of {old}, before {since}", [plans[-1].source], ["met if the plan of care is recertified"]
    )


def _start(period: Days) -> Days:
    return Days(period.first, period.first)


@kind("progress-report-within", Fact.DOCUMENTS, Fact.VISITS, Fact.PROCEDURES)
def progress_report_within(case: Case, params: Params) -> Finding:
    """Whether a progress report or evaluation lies within the last `visits` treatment days."""
    figure = case.number(params["visits"])
    visits = case.spell.visits
    if figure is None:
        return unknown("the policy states no number of visits for this date", ["the policy's figure"])
    if len(visits) < figure:
        return not_applicable(f"{plural(len(visits), 'treatment day')} so far; the report is due with the {figure}th")
    since = visits[-figure].day
    wanted = case.terms.valueset(params["set"])
    reports = [(d.day.exact, d.source) for d in case.record.documents if wanted.matches(d.concept)]
    sets = [case.terms.valueset(name) for name in params["sets"]]
    reports += [(p.day.exact, p.source) for p in case.record.procedures if any(s.matches(p.concept) for s in sets)]
    recent = sorted((day, source) for day, source in reports if day is not None and since <= day <= case.as_of)
    if recent:
        return met(f"progress reported on {recent[-1][0]}", [recent[-1][1]])
    says = f"no progress report since {since}, {figure} treatment days ago"
    if doubts := case.doubts(Fact.DOCUMENTS, Fact.VISITS, Fact.PROCEDURES):
        return unknown(f"{says}: {because(doubts)}", ["the latest progress report"])
    return not_met(says, [s for v in visits[-1:] for s in v.sources], ["met if a progress report is written now"])


@kind("amount-below", Fact.AMOUNTS)
def amount_below(case: Case, params: Params) -> Finding:
    """Whether the allowed charges of the calendar year stay below `limit` (US dollars); unknown without claims."""
    limit = case.value(params["limit"])
    if limit is None:
        return unknown(f"the policy states no amount for {case.as_of.year}", ["the policy's figure"])
    first = date(case.as_of.year, 1, 1)
    together = {Discipline.PHYSICAL_THERAPY, Discipline.SPEECH_THERAPY}
    own = {case.order.discipline} if case.order.discipline not in together else together
    lines = [
        line
        for line in case.record.claim_lines
        if not line.proposed
        and line.allowed is not None
        and line.discipline in own
        and line.day.within(first, case.as_of)
    ]
    if not lines:
        return unknown(
            f"no claim amounts of {case.as_of.year} are on file; the threshold is ${limit.value:,.0f}",
            ["the year's allowed charges, from claims"],
        )
    total = sum(line.allowed or 0 for line in lines)
    says = f"${total:,.2f} of ${limit.value:,.0f} allowed so far in {case.as_of.year}"
    sources = list(dict.fromkeys(line.source for line in lines))
    if total < limit.value:
        return met(says, sources)
    return not_met(f"{says}: above it, the KX modifier attests that more is necessary", sources)
