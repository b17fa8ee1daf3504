"""appointment-book: the therapy visits being booked, against what remains of limits and of an authorization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from cds.fhir.authorizations import read_authorizations
from cds.fhir.bookings import Booking, as_booked, read_proposals
from cds.fhir.orders import ACTIVE_ORDERS
from cds.fhir.queries import queries_for
from cds.fhir.record import gaps_of, start_reading
from cds.fhir.visits import read_visits
from cds.model import Appointment, Assessment, Authorization, CriterionResult, Fact, Need, Visit
from cds.rules.authorized import authorizations_for
from cds.rules.episode import belongs
from cds.rules.policy import Policy, leaves
from cds.service import Ports
from cds.terminology import Terminology
from hooks.asking import Draft, Tools, ask_now
from hooks.callers.bounds import MOST_APPOINTMENTS, each_once, without_copies
from hooks.callers.caller import Caller, Question
from hooks.callers.on_file import Planned, plans_for
from hooks.callers.quiet import unread
from hooks.cards import View
from hooks.protocol import HookRequest

NEEDS = (Need(Fact.VISITS), Need(Fact.SCHEDULE), Need(Fact.AUTHORIZATIONS))
_MOST_DAYS = 6


@dataclass(frozen=True)
class Diary:
    """What is on file beside the proposals: visits, other bookings, authorizations; `doubts`: what may be missing."""

    today: date
    visits: tuple[Visit, ...]
    booked: tuple[Appointment, ...]
    authorizations: tuple[Authorization, ...]
    policies: Mapping[str, Policy]
    doubts: tuple[str, ...]
    terms: Terminology


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
    """Bookings beyond a limit, bookings outside an authorization, what could not be read."""
    plan = plans[assessment.order.reference]
    bookings = plan.bookings
    found = (_beyond_limit(bookings, diary, assessment), _unauthorized(bookings, diary, assessment))
    drafts = [draft for draft in found if draft is not None]
    return [*map(ask_now, assessment.safety), *drafts, *unread(assessment, plan.why)]


def _beyond_limit(bookings: Sequence[Booking], diary: Diary, assessment: Assessment) -> Draft | None:
    """Which of the visits being booked pass a limit, the statute's first, then the one that is passed first."""
    limits = [r for r in assessment.criteria if r.card == "limits" and "share" not in r.facts]
    before = _others(bookings, diary, assessment)
    new = _new_days(bookings, diary, assessment)
    passed = []
    for result in limits:
        limit, completed = result.facts.get("limit"), result.facts.get("completed")
        if limit is None or completed is None:
            continue
        beyond = [day for number, day in _numbered(new, before, completed) if number > limit]
        if beyond:
            passed.append((result.policy_kind != "statute", -len(beyond), result.id, result, beyond))
    if not passed:
        return None
    _, _, _, main, beyond = min(passed, key=lambda each: each[:3])
    return _limit_draft(main, beyond, len(new), before, diary)


def _limit_draft(
    main: CriterionResult, beyond: Sequence[date | None], new: int, before: Sequence[date], diary: Diary
) -> Draft:
    known = "" if main.facts.get("completed_known") else "at least "
    others = f", {len(before)} booked before" if before else ""
    kind = {"statute": "the statutory cap", "benefit": "the plan's limit"}.get(main.policy_kind, "the limit")
    count = f"{known}{main.facts['completed']} attended{others}"
    summary = f"{_how_many(beyond, new)} beyond {kind} of {main.facts['limit']} visits ({count}){_from(beyond)}"
    doubts = f" Other bookings could not be read in full: {diary.doubts[0]}." if diary.doubts else ""
    return Draft(
        rank=0,
        indicator="critical" if main.policy_kind == "statute" else "warning",
        summary=summary,
        topic="limits",
        lead=f"Beyond it: {_listed(beyond)}.{doubts}",
        rows=(main,),
        about=(main.id,),
    )


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
    number = f"{_how_many(outside, len(_days(bookings)), 'outside')} the authorization of {first} to {last}"
    return Draft(
        rank=1,
        indicator="warning" if undoubted else "info",
        summary=f"{number}{_from(outside)}",
        topic="limits",
        lead=f"Outside {latest.number}: {_listed(outside)}."
        + ("" if undoubted else " Whether that authorization is for this therapy, the record does not say."),
        rows=tuple(r for r in assessment.criteria if r.card == "authorization"),
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


def _new_days(bookings: Sequence[Booking], diary: Diary, assessment: Assessment) -> list[date | None]:
    """The days being booked on which no visit of the same discipline was attended already."""
    attended = {visit.day for visit in diary.visits if visit.discipline in (None, assessment.order.discipline)}
    return [day for day in _days(bookings) if day not in attended]


def _others(bookings: Sequence[Booking], diary: Diary, assessment: Assessment) -> list[date]:
    """Days of this therapy that are booked already, from today on, and not among the proposals.

    An appointment that is being moved is on file as it was, under the same id.
    """
    today = min(diary.today, assessment.as_of)  # proposals of the past are weighed as of their first day
    new, attended = set(_days(bookings)), {visit.day for visit in diary.visits}
    order, moved = assessment.order, {booking.reference for booking in bookings}
    stays = [a for a in diary.booked if not a.missed and a.source not in moved]
    mine = [a for a in stays if belongs(order, a.sites, a.discipline, elsewhere=False)]
    days = {a.day.exact for a in mine if a.day.exact and a.day.exact >= today}
    return sorted(day for day in days if day not in new | attended)


def _numbered(new: Sequence[date | None], others: Sequence[date], completed: int) -> list[tuple[int, date | None]]:
    """The number in the count that each new day would have, other bookings counted as they come."""
    return [
        (completed + sum(day is None or other <= day for other in others) + place, day)
        for place, day in enumerate(new, start=1)
    ]


def _how_many(some: Sequence[date | None], of: int, where: str = "go") -> str:
    """`2 of 6 visits being booked go`, `Both visits being booked go`."""
    lies = where == "outside"
    if of == 1:
        return "The visit being booked " + ("lies outside" if lies else "goes")
    number = f"{len(some)} of {of}" if len(some) < of else "Both" if of == 2 else f"All {of}"
    singular = len(some) == 1
    verb = ("lies outside" if singular else "lie outside") if lies else ("goes" if singular else "go")
    return f"{number} visits being booked {verb}"


def _from(days: Sequence[date | None]) -> str:
    first = next((day for day in days if day is not None), None)
    if first is None:
        return ""
    return f": {first}" if len(days) == 1 else f", from {first} on"


def _listed(days: Sequence[date | None]) -> str:
    told = [str(day) if day else "one without a day" for day in days[:_MOST_DAYS]]
    more = f" and {len(days) - _MOST_DAYS} more" if len(days) > _MOST_DAYS else ""
    return ", ".join(told) + more


BOOK = Caller(
    title="Therapy visits against what remains",
    description=(
        "Therapy appointments that are being booked: which of them go beyond a visit limit, and which lie outside "
        "the authorization on file; at most two cards, none for other appointments"
    ),
    ask=book,
    queries=(ACTIVE_ORDERS,),
    needs=NEEDS,
)
