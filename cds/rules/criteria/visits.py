"""Visits against a limit: completed and requested, projected by the plan, approaching, attended."""

from __future__ import annotations

from math import ceil

from cds.model import Fact, Span, VisitCount
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, plural
from cds.rules.episode import plan_tells
from cds.rules.finding import Finding, met, not_applicable, not_met, unknown


def count_says(count: VisitCount) -> str:
    """`18 completed and 2 requested`, with what is not known said as such."""
    completed = str(count.completed)
    if not count.complete:
        completed = f"at least {count.completed.low}" if count.completed.low else "an unknown number"
    requested = "an unknown number requested" if count.requested is None else f"{count.requested} requested"
    twice = f", {count.overlap} of them already completed" if count.overlap else ""
    return f"{completed} completed and {requested}{twice}"


def _numbers(count: VisitCount, total: Span | None, limit: int | None) -> dict[str, object]:
    room = None if limit is None else max(0, limit - count.completed.low + count.overlap)
    return {
        "completed": count.completed.low,
        "completed_known": count.complete,
        "requested": count.requested.exact if count.requested else None,
        "low": total.low if total else None,
        "high": total.high if total else None,
        "limit": limit,
        "fits": room,
    }


@kind("visits-within", Fact.VISITS, Fact.PLANS)
def visits_within(case: Case, params: Params) -> Finding:
    """`limit` against the visits completed and requested, or (`count: projected`) against the plan's end."""
    if params.get("count") == "projected":
        return _projected_within(case, params)
    count, limit = case.visits, case.number(params["limit"])
    if limit is None:
        return unknown(*_no_limit(case, params))
    total = count.total
    least = total.low if total else count.completed.low
    sources = _sources(case)
    facts = _numbers(count, total, limit)
    number = str(total) if total and total.exact is not None else f"at least {least}"
    says = f"{number} of {plural(limit, 'visit')}: {count_says(count)}"
    if least > limit:
        return not_met(says, sources, _to_fit(count, limit), facts=facts)
    if total is not None and total.high is not None and total.high <= limit:
        return met(says, sources, facts=facts)
    missing = [case.order.requested_why] if count.requested is None else []
    missing += [f"the therapy visits of this episode in full: {because(count.doubts)}"] if count.doubts else []
    if total is not None and not missing:
        missing.append(f"a number of visits instead of the range {count.requested}")
    return unknown(says, missing, sources, facts=facts)


def _to_fit(count: VisitCount, limit: int) -> list[str]:
    room = limit - count.completed.low + count.overlap
    if room > 0:
        return [f"met if the order asks for no more than {plural(room, 'visit')}"]
    return [
        f"no visit is left of {limit} in this episode; a documented new injury or surgery, "
        "if there was one, would begin a new count"
    ]


def _no_limit(case: Case, params: Params) -> tuple[str, list[str]]:
    named = ", ".join(case.diagnoses) or "no coded diagnosis"
    return (
        f"the policy states no {params['limit'].replace('-', ' ')} for {named} on {case.as_of}",
        ["a diagnosis code for which the policy states a limit"],
    )


def _sources(case: Case) -> list[str]:
    return [source for visit in case.spell.visits for source in visit.sources]


def _projected_within(case: Case, params: Params) -> Finding:
    count, limit = case.visits, case.number(params["limit"])
    if limit is None:
        return unknown(*_no_limit(case, params))
    projected = count.projected
    facts = _numbers(count, projected, limit)
    if projected is None:
        why = "neither the order nor a plan of care says how often and for how long"
        if count.total is None:
            why = case.order.requested_why
        return unknown(
            f"the plan's end cannot be projected: {why}",
            ["frequency and duration of the plan of care"],
            facts=facts,
        )
    says, change = f"with this order {projected} visits in all are projected, against {limit}", "the order"
    if plan_tells(case.order, case.record, case.as_of):
        says, change = f"the plan of care projects {projected} visits in all, against {limit}", "the plan of care"
    if projected.low > limit:
        return not_met(says, change=[f"met if {change} ends at {plural(limit, 'visit')} in all"], facts=facts)
    if projected.high is not None and projected.high <= limit:
        return met(says, facts=facts)
    missing = [f"the therapy visits of this episode in full: {because(count.doubts)}"] if count.doubts else []
    return unknown(says, missing or ["one frequency instead of a range"], facts=facts)


@kind("visits-below-share", Fact.VISITS)
def visits_below_share(case: Case, params: Params) -> Finding:
    """Whether completed and requested visits stay below a share (percent) of a limit."""
    count, limit, share = case.visits, case.number(params["limit"]), case.number(params["share"])
    if limit is None or share is None:
        return unknown(*_no_limit(case, params))
    mark = limit * share / 100
    total = count.total
    least = total.low if total else count.completed.low
    facts = {**_numbers(count, total, limit), "share": share}
    number = str(total) if total else f"at least {least}"
    says = f"{number} of {plural(limit, 'visit')} ({share} % is reached with {ceil(mark)})"
    if least >= mark:
        change = [f"met if fewer than {ceil(mark)} visits are completed and requested"]
        return not_met(says, _sources(case), change, facts=facts)
    if total is not None and total.high is not None and total.high < mark:
        return met(says, _sources(case), facts=facts)
    return unknown(says, [because(count.doubts) or case.order.requested_why], facts=facts)


@kind("prior-visit", Fact.VISITS)
def prior_visit(case: Case, params: Params) -> Finding:
    """Whether therapy has begun: one visit or more counts towards this episode."""
    if case.spell.visits:
        return met(f"{plural(len(case.spell.visits), 'visit')} in this episode", _sources(case)[:1])
    if case.told_only:
        return met("notes tell of earlier therapy", case.told_only)
    if case.spell.unsure or case.visits.doubts:
        doubts = case.visits.doubts
        return unknown(f"whether therapy has begun is not sure: {because(doubts)}", ["the therapy visits so far"])
    return not_met("there was no visit in this episode yet")


@kind("attendance", Fact.VISITS, Fact.SCHEDULE)
def attendance(case: Case, params: Params) -> Finding:
    """Attended visits against those attended or missed, as a share (percent), within the episode."""
    share = case.number(params["share"])
    missed = [
        a
        for a in case.record.appointments
        if a.missed and a.day.within(case.start, case.as_of) is not False
        and a.discipline in (None, case.order.discipline)
    ]  # fmt: skip
    attended = len(case.spell.visits)
    if case.spell.start is None:
        return not_applicable("no visit yet, so there is no attendance to judge")
    bookings = [a for a in case.record.appointments if a.day.within(case.start, case.as_of) is not False]
    if not bookings or share is None:
        return unknown("no bookings are on file, so attendance cannot be told", ["appointments, kept and missed"])
    kept = round(100 * attended / max(1, attended + len(missed)))
    says = f"{attended} visits attended and {len(missed)} missed ({kept} %)"
    evidence = [appointment.source for appointment in missed]
    if case.doubts(Fact.VISITS, Fact.SCHEDULE):
        return unknown(says, [because(case.doubts(Fact.VISITS, Fact.SCHEDULE))], evidence)
    if kept >= share:
        return met(says, evidence)
    return not_met(says, evidence, ["the reason for the missed visits, in the plan of care"])
