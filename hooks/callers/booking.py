"""appointment-book: the therapy visits being booked, against what remains of limits and of an authorization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from cds.fhir.authorizations import read_authorizations
from cds.fhir.bookings import Booking, as_booked, read_proposals
from cds.fhir.orders import ACTIVE_ORDERS
from cds.fhir.queries import queries_for
from cds.fhir.record import gaps_of, start_reading
from cds.fhir.visits import read_visits
from cds.model import Assessment, Authorization, CriterionResult, Fact, Need, Result
from cds.rules.authorized import authorizations_for
from cds.rules.criteria.words import plural
from cds.rules.policy import Policy, leaves
from cds.service import Ports
from hooks.asking import Draft, Tools, ask_now
from hooks.callers.bounds import MOST_APPOINTMENTS, each_once, without_copies
from hooks.callers.caller import Caller, Question
from hooks.callers.on_file import Planned, plans_for
from hooks.callers.quiet import unread
from hooks.callers.tally import Diary, Tally, tally_of
from hooks.cards import View
from hooks.protocol import HookRequest

NEEDS = (Need(Fact.VISITS), Need(Fact.CONDITIONS), Need(Fact.SCHEDULE), Need(Fact.AUTHORIZATIONS))
_MOST_DAYS = 6


def book(hook: HookRequest, ports: Ports, today: date) -> Question:
    """One order for each kind of therapy that is booked; its visits are the proposals. Other bookings: silence."""
    member = "appointments"
    aliases = hook.aliases(member)
    proposed = without_copies(hook.resources(member))
    read = read_proposals(proposed, ports.terms, hook.patient, aliases, ports.zone)
    bookings, again = each_once(read, MOST_APPOINTMENTS, "context.appointments")
    view = View(most=2, opens=False, problem="One appointment could not be checked", among=len(proposed))
    if not bookings:
        return Question(view=view)
    plans, unread_orders = plans_for(bookings, ports, hook.patient, aliases)
    problems = (*unread_orders, *again)
    if not plans:
        return Question(problems=problems, view=view)
    by_order = {plan.order.reference: plan for plan in plans}
    drafts = partial(_drafts, by_order, _diary(hook.patient, ports, today))
    orders = tuple(as_booked(plan.order, plan.bookings, ports.terms, aliases) for plan in plans)
    about, subjects = partial(_appointments, by_order), partial(_resources, by_order)
    view = replace(view, drafts=drafts, about=about, subjects=subjects)
    return Question(orders, problems, view=view, aliases=aliases)


def _appointments(plans: Mapping[str, Planned], assessment: Assessment) -> Sequence[str]:
    return [booking.reference for booking in plans[assessment.order.reference].bookings]


def _resources(plans: Mapping[str, Planned], assessment: Assessment) -> Sequence[Mapping[str, Any]]:
    return [booking.resource for booking in plans[assessment.order.reference].bookings]


def _diary(patient: str, ports: Ports, today: date) -> Diary:
    evidence = ports.source.gather(queries_for(NEEDS, ports.terms))
    reading, by_type = start_reading(ports.terms, patient, evidence, ports.zone)
    visits, booked = read_visits(reading, by_type, {})
    authorizations = read_authorizations(reading, by_type)
    doubts = tuple(dict.fromkeys(gap.reason for gap in gaps_of(evidence) if gap.fact is Fact.SCHEDULE))
    policies = {policy.id: policy for policy in ports.policies}
    return Diary(today, visits, booked, authorizations, policies, doubts, ports.terms)


# ----------------------------------------------------------------------------------------------------- drafts


def _drafts(plans: Mapping[str, Planned], diary: Diary, assessment: Assessment, tools: Tools) -> list[Draft]:
    """Visits beyond a limit, bookings outside an authorization, what could not be read."""
    plan = plans[assessment.order.reference]
    found = (_beyond_limit(plans, diary, assessment), _unauthorized(plan.bookings, diary, assessment))
    drafts = [draft for draft in found if draft is not None]
    return [*map(ask_now, assessment.safety), *drafts, *unread(assessment, plan.why)]


def _beyond_limit(plans: Mapping[str, Planned], diary: Diary, assessment: Assessment) -> Draft | None:
    """Whether the visits attended, booked already and being booked pass a limit; a statute's before the others."""
    limits = [r for r in assessment.criteria if r.card == "limits" and "share" not in r.facts]
    tallies = [(result, tally_of(result, assessment, plans, diary)) for result in limits]
    passed = [(r, tally) for r, tally in tallies if tally and tally.being_booked and tally.total > tally.limit]
    if not passed:
        return None
    main, tally = min(passed, key=_weight)
    draft = _limit_draft(main, tally, diary)
    return replace(draft, lead=f"{draft.lead} {plans[assessment.order.reference].taken}".rstrip())


def _weight(passed: tuple[CriterionResult, Tally]) -> tuple[bool, int, bool, str]:
    """The least first: a statute's cap, then what is passed by most, then what is required."""
    result, tally = passed
    return result.policy_kind != "statute", tally.limit - tally.total, not result.required, result.id


def _limit_draft(main: CriterionResult, tally: Tally, diary: Diary) -> Draft:
    kind = {"statute": "the statutory cap", "benefit": "the plan's limit"}.get(main.policy_kind, "the limit")
    least = "" if tally.whole and not diary.doubts else "at least "
    number = f"{least}{tally.total} of {plural(tally.limit, 'visit')}"
    doubts = f" Other bookings could not be read in full: {diary.doubts[0]}." if diary.doubts else ""
    row = replace(main, result=Result.NOT_MET, says=f"{number[:1].upper()}{number[1:]}: {_parts(tally)}")
    return Draft(
        rank=0,
        indicator="critical" if main.policy_kind == "statute" else "warning",
        summary=f"{number[:1].upper()}{number[1:]} ({_parts(tally)}); {_passed(tally, kind)}",
        topic="limits",
        lead=f"Beyond {kind}: {_listed(tally.beyond, tally.booked)}.{doubts}",
        rows=(row,),
        about=(main.id,),
    )


def _parts(tally: Tally) -> str:
    """`6 attended, 8 booked already, 3 being booked`: what the total is made of."""
    attended = f"{'' if tally.whole else 'at least '}{tally.attended} attended"
    if not tally.whole and not tally.attended:
        attended = "an unknown number attended"
    booked = [f"{len(tally.booked)} booked already"] if tally.booked else []
    return ", ".join([attended, *booked, f"{tally.being_booked} being booked"])


def _passed(tally: Tally, kind: str) -> str:
    """When the limit is passed: before any visit that is still to come, or by which of them."""
    if tally.attended >= tally.limit:
        return f"{kind} was already reached"
    first = tally.beyond[0]
    if first is None:
        return f"beyond {kind}"
    return f"beyond {kind} on {first}" if len(tally.beyond) == 1 else f"beyond {kind} from {first} on"


def _unauthorized(bookings: Sequence[Booking], diary: Diary, assessment: Assessment) -> Draft | None:
    """Which of the visits being booked lie outside the authorization on file; none on file is for others to tell."""
    days, asks = _authorized_days(diary.policies.get(assessment.policy or ""), assessment.as_of)
    order, coverage = assessment.order, assessment.coverage
    for_it, _ = authorizations_for(order, coverage, diary.authorizations, diary.terms)
    periods = [(each, *_bounds(each, days)) for each in for_it]
    known = [(each, first, last) for each, first, last in periods if first is not None and last is not None]
    dated = [day for day in _days(bookings) if day is not None]
    outside = [day for day in dated if not any(first <= day <= last for _, first, last in known)]
    if not outside or not known:
        return None
    latest, first, last = max(known, key=lambda each: each[2])
    undoubted = asks or len(outside) < len(dated)
    number = f"{_how_many(outside, len(_days(bookings)))} outside the authorization of {first} to {last}"
    return Draft(
        rank=1,
        indicator="warning" if undoubted else "info",
        summary=f"{number}{_from(outside)}",
        topic="limits",
        lead=f"Outside {latest.number}: {_listed(outside)}."
        + ("" if undoubted else " Whether that authorization is for this therapy, the record does not say."),
        rows=tuple(r for r in assessment.criteria if r.card == "authorization" and r.result is Result.NOT_MET),
        about=("authorization-period",),
    )


def _authorized_days(policy: Policy | None, day: date) -> tuple[int | None, bool]:
    """For how many days an authorization holds by the policy, and whether the policy asks for one at all."""
    tests = [leaf for c in policy.criteria for leaf in leaves(c.test)] if policy else []
    asking = [leaf for leaf in tests if leaf.kind == "within-authorization"]
    if policy is None or not asking:
        return None, False
    value = policy.thresholds[asking[0].params["days"]].at(max(day, policy.start))
    return (None if value is None else round(value.value)), True


def _bounds(authorization: Authorization, days: int | None) -> tuple[date | None, date | None]:
    """First and last day of an authorization: as it says itself, and no longer than the policy lets it hold."""
    first, last = authorization.period.first, authorization.period.last
    by_policy = first + timedelta(days=days) if first is not None and days is not None else None
    ends = [end for end in (last, by_policy) if end is not None]
    return first, min(ends, default=None)


# ------------------------------------------------------------------------------------------------------- days


def _days(bookings: Sequence[Booking]) -> list[date | None]:
    """The days being booked, each once, in order; those that are not known to the day come last, as None."""
    exact = sorted({b.day.exact for b in bookings if b.day and b.day.exact})
    return [*exact, *(None for b in bookings if b.day is None or b.day.exact is None)]


def _how_many(some: Sequence[date], of: int) -> str:
    """`2 of 6 visits being booked lie`, `Both visits being booked lie`."""
    if of == 1:
        return "The visit being booked lies"
    number = f"{len(some)} of {of}" if len(some) < of else "Both" if of == 2 else f"All {of}"
    return f"{number} visits being booked {'lies' if len(some) == 1 else 'lie'}"


def _from(days: Sequence[date]) -> str:
    return f": {days[0]}" if len(days) == 1 else f", from {days[0]} on"


def _listed(days: Sequence[date | None], booked: Sequence[date] = ()) -> str:
    """The first days of several, with those that are booked already marked."""
    told = [f"{day or 'one without a day'}{' (booked already)' * (day in booked)}" for day in days[:_MOST_DAYS]]
    more = f" and {len(days) - _MOST_DAYS} more" if len(days) > _MOST_DAYS else ""
    return ", ".join(told) + more


BOOK = Caller(
    title="Therapy visits against what remains",
    description=(
        "Therapy appointments that are being booked: whether they take a visit limit beyond its number, and which "
        "lie outside the authorization on file; at most two cards, none for other appointments"
    ),
    ask=book,
    queries=(ACTIVE_ORDERS,),
    needs=NEEDS,
)
