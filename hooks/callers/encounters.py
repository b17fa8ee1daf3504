"""encounter-start and encounter-discharge: what is due at a therapy visit, and how many are left after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from cds.errors import MissingData
from cds.fhir.bookings import Booking, read_encounter
from cds.fhir.clinical import read_conditions
from cds.fhir.orders import ACTIVE_ORDERS
from cds.fhir.queries import queries_for
from cds.fhir.record import start_reading
from cds.model import Assessment, CriterionResult, EvidenceState, Fact, Need, Query, Resource, Result
from cds.service import TECHNICAL, Ports
from hooks.asking import Draft, Tools, ask_now, outcome_measure
from hooks.callers.caller import Caller, Question
from hooks.callers.on_file import plans_for
from hooks.callers.quiet import unread
from hooks.cards import View
from hooks.drafts import reassessment
from hooks.protocol import HookRequest

KINDS = frozenset(("limits", "outcome-measure", "reassessment"))
# The visits left are told from four fifths of a limit on: the mark at which domain rules call it near.
NEAR = 0.8
# A score this old still closes a course of treatment (a choice of this project, docs/hooks.md).
CLOSING_DAYS = 14
ENCOUNTER = Query("encounter", "Encounter", "Encounter/{{context.encounterId}}", frozenset(), essential=False)
_NEEDS = (Need(Fact.VISITS), Need(Fact.CONDITIONS))


@dataclass(frozen=True)
class Moment:
    """One therapy encounter as it begins or ends; `made`: no order of it is on file, `why` if somebody failed.

    `taken`: for what therapy it is taken where only the record tells.
    """

    encounter: str
    day: date
    ending: bool
    made: bool
    why: str = ""
    taken: str = ""


def _ask(hook: HookRequest, ports: Ports, today: date, *, ending: bool) -> Question:
    """The order that a therapy encounter belongs to, on its day; nothing for any other encounter."""
    view = View(most=2, opens=False, whole=False, problem="This visit could not be checked")
    reference = f"Encounter/{hook.context['encounterId'].removeprefix('Encounter/')}"
    resource, problem = _encounter(reference, ports)
    if resource is None:
        return Question(problems=(problem,), view=view)
    booking, doubt = _read(resource, ports, hook.patient, today)
    if booking is None:
        return Question(problems=(doubt,) if doubt else (), view=view)
    plans, problems = plans_for((booking,), ports, hook.patient)
    day = min((booking.day.exact if booking.day else None) or today, today)
    if not plans:
        return Question(problems=problems, view=view)
    moment = Moment(reference, day, ending, plans[0].made, plans[0].why, plans[0].taken)
    drafts = partial(_drafts, moment)
    return Question((plans[0].order,), problems, day, replace(view, drafts=drafts, about=lambda _: (reference,)))


def _encounter(reference: str, ports: Ports) -> tuple[Resource | None, str]:
    """The encounter of the context, or why it cannot be read; MissingData (412) where nobody can be asked."""
    listed = queries_for((Need(Fact.VISITS),), ports.terms)
    keys = {ENCOUNTER.key: ENCOUNTER, "encounters": listed["encounters"]}
    for each in ports.source.held(keys):
        for resource in each.resources:
            if resource.reference == reference:
                return resource, ""
    (evidence,) = ports.source.read([reference])
    found = next((resource for resource in evidence.resources if resource.reference == reference), None)
    if found is not None:
        return found, ""
    if evidence.state is EvidenceState.NOT_ASKED:
        raise MissingData(
            "The encounter cannot be had: it was not sent, and no FHIR server can be asked",
            where=f"prefetch.{ENCOUNTER.key}",
            remedy="Satisfy this prefetch key, or send fhirServer and fhirAuthorization of an allowed FHIR server",
        )
    return None, evidence.reason or f"{reference} is not on the FHIR server"


def _read(resource: Resource, ports: Ports, patient: str, today: date) -> tuple[Booking | None, str]:
    """The encounter as a therapy visit, with the Procedures done in it and the sites of its diagnoses.

    None where it is no such visit; with the reason, where that is not sure because another system failed.
    """
    queries = {k: q for k, q in queries_for(_NEEDS, ports.terms).items() if k in ("procedures", "conditions")}
    evidence = {each.query.key: each for each in ports.source.gather(queries)}
    reading, by_type = start_reading(ports.terms, patient, evidence.values(), ports.zone)
    conditions = read_conditions(reading, by_type.get("Condition", ()))
    sites = {condition.source: condition.sites for condition in conditions}
    done = by_type.get("Procedure", ())
    booking = read_encounter(resource, done, sites, ports.terms, patient, today, ports.zone)
    procedures = evidence["procedures"]
    return (
        booking,
        f"it may be therapy; {procedures.reason}" if procedures.state in TECHNICAL and not procedures.absent else "",
    )


# ----------------------------------------------------------------------------------------------------- drafts


def _drafts(moment: Moment, assessment: Assessment, tools: Tools) -> list[Draft]:
    """At most one draft of each kind; what could not be read comes last."""
    measures = _of("outcome-measure", assessment)
    found = [
        _left(moment, assessment),
        _closing(moment, assessment, measures) or outcome_measure(tools, assessment, measures),
        reassessment(tools, assessment, _of("reassessment", assessment)),
    ]
    drafts = [_quietly(moment, draft) for draft in found if draft is not None]
    return [*map(ask_now, assessment.safety), *drafts, *unread(assessment, moment.why)]


def _of(card: str, assessment: Assessment) -> list[CriterionResult]:
    return [result for result in assessment.criteria if result.card == card]


def _quietly(moment: Moment, draft: Draft) -> Draft:
    """Advice at a visit is no warning; and an order that is not on file cannot be sent back."""
    tasks = (offer for offer in draft.offers if all(a["type"] == "create" for a in offer["actions"]))
    indicator = draft.indicator if draft.topic == "limits" else "info"
    return replace(draft, indicator=indicator, offers=tuple(tasks) if moment.made else draft.offers)


def _left(moment: Moment, assessment: Assessment) -> Draft | None:
    """How many visits are left after this one, by the limit or order that leaves the fewest; from the mark on."""
    rooms = [*_limits(moment, assessment), *_ordered(moment, assessment)]
    if not rooms:
        return None
    left, number, of, rows = min(rooms, key=lambda room: room[0])
    if number < NEAR * of:
        return None
    summary = f"This is {_numbered(number, rows)}; {_bound(of, rows)}"
    if left >= 0:
        summary += f", so {left or 'none'} {'is' if left == 1 else 'are'} left after it"
    passed = left < 0 and bool(rows)
    return Draft(
        rank=1 if passed else 3,
        indicator="warning" if passed and not moment.ending else "info",
        summary=summary,
        topic="limits",
        lead=moment.taken,
        rows=tuple(rows),
        about=tuple(result.id for result in rows) or ("visits-ordered",),
    )


def _numbered(number: int, rows: Sequence[CriterionResult]) -> str:
    """`visit 12`, or `at least visit 15` where not all visits before it could be counted."""
    return f"visit {number}" if all(row.facts.get("completed_known") for row in rows) else f"at least visit {number}"


def _bound(of: int, rows: Sequence[CriterionResult]) -> str:
    """`the limit is 14`, or what it is of the order itself."""
    if not rows:
        return f"{of} {'was' if of == 1 else 'were'} ordered"
    kind = {"statute": "the statutory cap", "benefit": "the plan's limit"}.get(rows[0].policy_kind, "the limit")
    return f"{kind} is {of}"


Room = tuple[int, int, int, Sequence[CriterionResult]]


def _limits(moment: Moment, assessment: Assessment) -> list[Room]:
    """Visits left after this one, its number, the limit and its criterion, for each limit of each policy."""
    return [
        (limit - number, number, limit, [result])
        for result in _of("limits", assessment)
        if "share" not in result.facts
        and (limit := result.facts.get("limit")) is not None
        and (completed := result.facts.get("completed")) is not None
        # Of a count that is not whole only the excess is sure.
        for number in (completed if _is_counted(moment, assessment, result.policy) else completed + 1,)
        if result.facts.get("completed_known") or number > limit
    ]


def _is_counted(moment: Moment, assessment: Assessment, policy: str) -> bool:
    """Whether a policy's count of visits holds this encounter already."""
    limits = (result for result in _of("limits", assessment) if result.policy == policy)
    return any(moment.encounter in result.evidence for result in limits)


def _ordered(moment: Moment, assessment: Assessment) -> list[Room]:
    """The same of the visits that the order itself asks for."""
    visits = assessment.visits
    if moment.made or visits is None or not visits.complete or visits.requested is None or not visits.requested.exact:
        return []
    ordered = visits.requested.exact
    # The overlap is how many of the order's visits are done, and is no more than it asks for.
    counted = visits.overlap > 0 and _is_counted(moment, assessment, assessment.policy or "")
    number = visits.overlap if counted else visits.overlap + 1
    return [(ordered - number, number, ordered, ())]


def _closing(moment: Moment, assessment: Assessment, measures: Sequence[CriterionResult]) -> Draft | None:
    """At the last visit: no score that is fresh enough to tell how therapy ended."""
    last = _left(moment, assessment)
    current: Any = next((r for r in measures if "current_on_file" in r.facts), None)
    if not moment.ending or last is None or current is None or current.facts.get("already_asked"):
        return None
    rooms = [*_limits(moment, assessment), *_ordered(moment, assessment)]
    seen = current.facts.get("last_seen") or ""
    since = (moment.day - timedelta(days=CLOSING_DAYS)).isoformat()
    if min(room[0] for room in rooms) > 0 or current.result is not Result.MET or seen >= since:
        return None
    return Draft(
        rank=2,
        indicator="info",
        summary=f"No visit is left and no score tells how therapy ended: the last is from {seen}",
        topic="clinical-reminder",
        lead=f"Suited to this body region: {', '.join(list(current.facts.get('instruments', ()))[:6])}.",
        rows=(current,),
        about=(current.id,),
    )


START = Caller(
    title="Therapy visits as they begin",
    description=(
        "At the start of a therapy visit: an outcome measure or re-evaluation that is due, and how many visits are "
        "left after this one once most are used; at most two cards, none for other encounters"
    ),
    ask=partial(_ask, ending=False),
    kinds=KINDS,
    queries=(ENCOUNTER, ACTIVE_ORDERS),
    needs=_NEEDS,
)
DISCHARGE = Caller(
    title="Therapy visits as they end",
    description=(
        "At the end of a therapy visit: an outcome measure or re-evaluation that is due, a closing score that is "
        "missing, and how many visits are left; at most two cards, none for other encounters"
    ),
    ask=partial(_ask, ending=True),
    kinds=KINDS,
    queries=(ENCOUNTER, ACTIVE_ORDERS),
    needs=_NEEDS,
)
