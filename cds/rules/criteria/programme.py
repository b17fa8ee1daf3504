"""Programmes, authorizations, plans of care, who orders, goals that are stated, work status, amounts."""

from __future__ import annotations

from datetime import date, timedelta

from cds.model import Days, Discipline, Fact, Statement
from cds.rules.authorized import authorizations_for
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, plural
from cds.rules.finding import Finding, met, not_applicable, not_met, unknown

_OFF_WORK = 2
_BETTER = "met if a reduction of work restrictions is on file"


@kind("programme-volume", Fact.AMOUNTS)
def programme_volume(case: Case, params: Params) -> Finding:
    """Whether the days asked for lie between `least` and `most`; units a day are told, never turned into visits."""
    least, most = case.number(params["least"]), case.number(params["most"])
    days = case.order.requested
    if days is None or days.high is None or least is None or most is None:
        return unknown("the number of programme days is not known", ["the number of programme days"])
    told, sources = _units(case, params, days.high)
    says = f"{days} programme day{'' if days.exact == 1 else 's'} ({least} to {most} are usual){told}"
    evidence = [case.order.reference, *sources]
    if least <= days.low and days.high <= most:
        return met(says, evidence)
    if days.high < least or days.low > most:
        return not_met(says, evidence, [f"met if the order asks for {least} to {most} days"])
    return unknown(says, ["one number of programme days instead of the range"], evidence)


def _units(case: Case, params: Params, days: int) -> tuple[str, list[str]]:
    """Units a day of the programme's lines, and the hours that timed lines add up to."""
    wanted = case.terms.valueset(params["set"])
    minutes = {code: float(entry["minutes"]) for (_, code), entry in wanted.codes.items() if "minutes" in entry}
    listed = {code for _, code in wanted.codes}
    proposed = [line for line in case.record.claim_lines if line.proposed and line.code in listed and line.units]
    lines = [line for line in proposed if line.source in case.order.supporting] or proposed
    parts = [f"{line.code}: {line.units:g} units, {(line.units or 0) / max(days, 1):.1f} a day" for line in lines]
    total = sum((line.units or 0) * minutes[line.code] for line in lines if line.code in minutes)
    hours = f"; {total / 60:g} h of timed group sessions in all" if total else ""
    told = f"; {'; '.join(parts)}{hours}" if parts else ""
    return told, list(dict.fromkeys(line.source for line in lines))


@kind("within-authorization", Fact.AUTHORIZATIONS)
def within_authorization(case: Case, params: Params) -> Finding:
    """Whether the last planned day lies within `days` of the day of authorization, that day not counted.

    Only an authorization that is for this therapy, by the payer of the coverage, counts.
    """
    days = case.number(params["days"])
    for_it, unsure = authorizations_for(case.order, case.coverage, case.record.authorizations, case.terms)
    begun = [a for a in for_it if a.period.first is not None]
    if not begun or days is None:
        if unsure and not begun:
            says = f"whether authorization {unsure[0].number} is for this therapy cannot be told"
            return unknown(says, ["the authorization of this therapy"], [each.reference for each in unsure])
        doubts = case.doubts(Fact.AUTHORIZATIONS)
        why = f" ({because(doubts)})" if doubts else ""
        return unknown(f"no authorization is on file{why}", ["the date of authorization"])
    latest = max(begun, key=lambda a: a.period.first or date.min)
    last = (latest.period.first or case.as_of) + timedelta(days=days)
    planned = _last_planned(case)
    if planned is None:
        return unknown("the last planned visit is not dated", ["the last day of the order"], [latest.reference])
    says = f"the last planned day is {planned}; the authorization of {latest.period.first} holds until {last}"
    if planned <= last:
        return met(says, [latest.reference])
    if doubts := case.doubts(Fact.AUTHORIZATIONS):
        return unknown(f"{says}; a later one may be on file: {because(doubts)}", ["the latest authorization"])
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
    """Whether at least `count` treatment goals are stated: named by the order or its plan, or measurable on file.

    US Core asks nobody to link a goal to an order, so an open goal with a target counts too; one without a
    link and without a target may be about anything.
    """
    least = case.number(params["count"])
    if least is None:
        return unknown("the policy states no number for this date", ["the policy's figure"])
    plans = [plan for plan in case.record.plans if plan.source in case.order.plans]
    plans = plans or [plan for plan in case.record.plans if plan.active and plan.timings]
    named = {*case.order.goals, *(goal for plan in plans for goal in plan.goals)}
    linked = [goal for goal in case.record.goals if goal.source in named]
    goals = linked or [goal for goal in case.record.goals if goal.open and goal.measurable]
    sources = [goal.source for goal in goals]
    if len(goals) >= least:
        where = "named by the order or its plan of care" if linked else "open on file"
        return met(f"{plural(len(goals), 'treatment goal')} {where}", sources)
    if doubts := case.doubts(Fact.GOALS, Fact.PLANS):
        return unknown(f"goals could not be read in full: {because(doubts)}", ["the treatment goals"], sources)
    count = "no treatment goal" if not goals else plural(len(goals), "treatment goal")
    change = f"met if {plural(least, 'treatment goal')} {'is' if least == 1 else 'are'} recorded"
    return not_met(f"{count} stated", sources, [change])


@kind("work-status-improved", Fact.STATEMENTS)
def work_status_improved(case: Case, params: Params) -> Finding:
    """Whether the latest work status is better than the one before it; off work alone shows no improvement."""
    ranks = _ranks(case)
    statuses = [(_rank(s, ranks), s) for s in _work_statuses(case)]
    told = [(rank, s) for rank, s in statuses if rank is not None]
    if statuses and statuses[-1][0] is None and told:
        latest = statuses[-1][1]
        return unknown(f"the work status of {latest.day} cannot be read", ["the latest work status"], [latest.source])
    doubts = case.doubts(Fact.STATEMENTS)
    if not told:
        if doubts or params.get("when-absent") != "not-met":
            return unknown("no work status is on file", ["the work status, before and now"])
        return not_met("no work status is on file", change=["met if a reduction of work restrictions is on file"])
    newest = [(rank, s) for rank, s in told if s.day.last == told[-1][1].day.last]
    (rank, latest), before = newest[-1], [pair for pair in told if pair not in newest]
    says = f"work status on {latest.day}: {latest.value}"
    if len({rank for rank, _ in newest}) > 1:
        return unknown(
            f"several work statuses are of {latest.day}", ["which of them holds"], [s.source for _, s in newest]
        )
    sources = [s.source for _, s in (*before[-1:], (rank, latest))]
    if doubts:
        return unknown(f"{says}; a later one may be on file: {because(doubts)}", ["the latest work status"], sources)
    if before and rank < before[-1][0]:
        return met(f"{says}, better than {before[-1][1].value} on {before[-1][1].day}", sources)
    if before and rank > before[-1][0]:
        return not_met(f"{says}, worse than {before[-1][1].value} on {before[-1][1].day}", sources, [_BETTER])
    if rank == _OFF_WORK or before:
        return not_met(says, sources, [_BETTER])
    return unknown(f"{says}; nothing to compare it with", ["an earlier work status"], sources)


def _work_statuses(case: Case) -> list[Statement]:
    asked = case.terms.valueset("work-status-questions")
    mine = [s for s in case.record.statements if asked.matches(s.concept) and s.day.within(None, case.as_of)]
    return sorted(mine, key=lambda s: (s.day.first or date.min, s.source))


def _ranks(case: Case) -> dict[str, int]:
    """How restricted each work status is, by code and by word: 0 full duty, 2 off work."""
    wanted = case.terms.valueset("work-status")
    by_code = {code: int(entry["rank"]) for (_, code), entry in wanted.codes.items() if "rank" in entry}
    return by_code | {word: int(rank) for word, rank in wanted.kinds_by_word.items()}


def _rank(statement: Statement, ranks: dict[str, int]) -> int | None:
    codes = statement.value_concept.codes if statement.value_concept else ()
    by_code = next((ranks[code.code] for code in codes if code.code in ranks), None)
    words = str(statement.value or "").lower()
    return by_code if by_code is not None else next((rank for word, rank in ranks.items() if word in words), None)


@kind("plan-of-care-within", Fact.PLANS)
def plan_of_care_within(case: Case, params: Params) -> Finding:
    """Whether an active plan of care began, or was renewed, within the last `days`."""
    days = case.number(params["days"])
    if days is None:
        return unknown("the policy states no number of days for this date", ["the policy's figure"])
    since = case.as_of - timedelta(days=days)
    active = [plan for plan in case.record.plans if plan.active and plan.period is not None]
    plans = [plan for plan in active if plan.timings or plan.source in case.order.plans]
    dated = sorted(((_start(plan.period), plan.source) for plan in plans if plan.period), key=_oldest_first)
    if recent := [(start, source) for start, source in dated if start.within(since, case.as_of)]:
        return met(f"the plan of care is of {recent[-1][0]}", [recent[-1][1]])
    if maybe := [(start, source) for start, source in dated if start.within(since, case.as_of) is None]:
        says = f"the plan of care is dated only {maybe[-1][0]}"
        return unknown(says, ["the day of certification"], [source for _, source in maybe])
    if doubts := case.doubts(Fact.PLANS):
        return unknown(f"plans of care could not be read in full: {because(doubts)}", ["the plan of care"])
    begun = [(start, source) for start, source in dated if start.within(None, case.as_of)]
    if begun:
        says = f"the plan of care is of {begun[-1][0]}, more than {days} days ago"
        return not_met(says, [begun[-1][1]], ["met if the plan of care is recertified"])
    if case.spell.start is None and not case.doubts(Fact.VISITS):
        return not_applicable("no visit yet: the plan of care comes with the evaluation")
    return unknown("no dated plan of care is on file", ["the plan of care with its date of certification"])


def _oldest_first(item: tuple[Days, str]) -> tuple[date, str]:
    return item[0].first or date.min, item[1]


def _start(period: Days) -> Days:
    """The day on which a period began; as vague as it was written."""
    vague = bool(period.text) and " to " not in period.text and period.exact is None
    return period if vague else Days(period.first, period.first)


@kind("progress-report-within", Fact.DOCUMENTS, Fact.VISITS, Fact.PROCEDURES)
def progress_report_within(case: Case, params: Params) -> Finding:
    """Whether a progress report or evaluation lies within the last `visits` treatment days."""
    figure = case.number(params["visits"])
    visits = case.spell.visits
    if figure is None:
        return unknown("the policy states no number of visits for this date", ["the policy's figure"])
    reports = _reports(case, params)
    doubts = case.doubts(Fact.VISITS)
    if len(visits) < figure:
        so_far = f"{plural(len(visits), 'treatment day')} so far; a report is due every {figure}"
        if doubts:
            return unknown(f"{so_far}, and there may be more: {because(doubts)}", ["the treatment days in full"])
        return not_applicable(so_far)
    since = visits[-figure].day
    recent = [(day, source) for day, source in reports if since <= day <= case.as_of]
    if recent and doubts and recent[-1][0] < visits[-1].day:
        says = f"progress was reported on {recent[-1][0]}; how many treatment days ago is not sure: {because(doubts)}"
        return unknown(says, ["the treatment days in full"], [recent[-1][1]])
    if recent:
        return met(f"progress was reported on {recent[-1][0]}", [recent[-1][1]])
    says = f"no progress report in the last {figure} treatment days, since {since}"
    if more := case.doubts(Fact.DOCUMENTS, Fact.VISITS, Fact.PROCEDURES):
        return unknown(f"{says}: {because(more)}", ["the latest progress report"])
    return not_met(says, [s for v in visits[-1:] for s in v.sources], ["met if a progress report is written now"])


def _reports(case: Case, params: Params) -> list[tuple[date, str]]:
    """Notes, evaluations and re-evaluations with an exact day, oldest first."""
    wanted = case.terms.valueset(params["set"])
    sets = [case.terms.valueset(name) for name in params["sets"]]
    codes = {code for valueset in sets for _, code in valueset.codes}
    found = [(d.day.exact, d.source) for d in case.record.documents if wanted.matches(d.concept)]
    found += [(p.day.exact, p.source) for p in case.record.procedures if any(s.matches(p.concept) for s in sets)]
    found += [(visit.day, visit.sources[0]) for visit in case.spell.visits if visit.codes & codes]
    return sorted((day, source) for day, source in found if day is not None)


@kind("amount-below", Fact.AMOUNTS)
def amount_below(case: Case, params: Params) -> Finding:
    """Whether the allowed charges of the calendar year stay below `limit` (US dollars); unknown without claims."""
    limit = case.value(params["limit"])
    if limit is None:
        return unknown(f"the policy states no amount for {case.as_of.year}", ["the policy's figure"])
    first = date(case.as_of.year, 1, 1)
    together = {Discipline.PHYSICAL_THERAPY, Discipline.SPEECH_THERAPY}
    own = {case.order.discipline} if case.order.discipline not in together else together
    therapy = {code for _, code in case.terms.valueset("therapy-services").codes}
    lines = [
        line
        for line in case.record.claim_lines
        if not line.proposed
        and line.allowed is not None
        and (line.discipline in own or (line.discipline is None and line.code in therapy))
        and line.day.within(first, case.as_of)
    ]
    if not lines:
        return unknown(
            f"no claim amounts of {case.as_of.year} are on file; the threshold is ${limit.value:,.0f}",
            ["the year's allowed charges, from claims"],
        )
    total = sum(line.allowed or 0 for line in lines)
    sure = sum(line.allowed or 0 for line in lines if line.discipline is not None)
    says = f"${total:,.2f} of ${limit.value:,.0f} allowed so far in {case.as_of.year}"
    sources = list(dict.fromkeys(line.source for line in lines))
    if sure >= limit.value:
        return not_met(f"{says}: above it, the KX modifier attests that more is necessary", sources)
    if doubts := case.doubts(Fact.AMOUNTS):
        return unknown(f"{says}; there may be more: {because(doubts)}", ["the year's allowed charges in full"], sources)
    if total >= limit.value:
        return unknown(f"{says}; not every charge says which discipline it is of", ["the discipline of each"], sources)
    return met(says, sources)
