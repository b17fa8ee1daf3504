"""Which cards an assessment asks for, and what each says and offers. Pure.

Each kind of card is one function: from the results of its criteria to a draft, or None where it has
nothing to say. `hooks.cards` chooses among the drafts and dresses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cds.model import Assessment, CriterionResult, Result
from cds.rules.explain import needed
from hooks import suggestions
from hooks.asking import Draft, Tools, ask_now, outcome_measure, scores_to_ask

Json = dict[str, Any]
UNCOUNTED = 3


def drafts_of(assessment: Assessment, tools: Tools) -> list[Draft]:
    """All drafts for one order, in no order."""
    return [*map(ask_now, assessment.safety), *_of_policy(assessment, tools)]


def _of_policy(assessment: Assessment, tools: Tools) -> list[Draft]:
    if assessment.policy is None or not assessment.criteria:
        return [_no_answer(assessment)]
    # Each kind of limit has its own card: a statute's cap and a guideline's course are never merged.
    by_card: dict[tuple[str, str], list[CriterionResult]] = {}
    for result in assessment.criteria:
        by_card.setdefault((result.card or "", result.policy), []).append(result)
    drafts = [_MAKERS[name](tools, assessment, results) for (name, _), results in by_card.items() if name in _MAKERS]
    found = _one_uncounted([draft for draft in drafts if draft is not None])
    if (unsettled := _unsettled(tools, assessment, found)) is not None:
        found.append(unsettled)
    return found


def _one_uncounted(drafts: list[Draft]) -> list[Draft]:
    """Where several limits cannot be told for want of the same visits, one card says so."""
    uncounted = [draft for draft in drafts if draft.topic == "limits" and draft.rank == UNCOUNTED]
    return [draft for draft in drafts if draft not in uncounted[1:]]


def _limits(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """Visits against their limit: passed, not countable, or near; the plan's projection with it."""
    counts = [r for r in results if not r.facts.get("share")]
    passed = [r for r in counts if r.result is Result.NOT_MET]
    uncounted = [r for r in counts if r.result is Result.UNKNOWN and r.required]
    near = [r for r in results if r.facts.get("share") and r.result is Result.NOT_MET]
    telling = [*passed, *uncounted] or near
    if not telling:
        return None
    main = telling[0] if telling is not near else counts[0]
    statutory = main.policy_kind == "statute" and bool(passed)
    return Draft(
        rank=(0 if statutory else 1) if passed else (UNCOUNTED if uncounted else 6),
        indicator="critical" if statutory else ("warning" if passed else "info"),
        summary=_in_brackets(main.says) + _kind_of_limit(main) + _projection(assessment, main),
        topic="limits",
        rows=tuple(r for r in counts if r.result is not Result.NOT_APPLICABLE),
        change=tuple(c for r in telling for c in r.would_change or r.missing if telling is not near),
        about=tuple(r.id for r in telling),
        offers=_fewer_visits(tools, assessment, main),
    )


def _fewer_visits(tools: Tools, assessment: Assessment, counted: CriterionResult) -> tuple[Json, ...]:
    """`Reduce the order to what remains`, where something remains and the order asks for more."""
    fits, requested = counted.facts.get("fits"), assessment.order.requested
    if counted.result is not Result.NOT_MET or not counted.facts.get("completed_known") or not fits:
        return ()
    if requested is None or requested.low <= fits:
        return ()
    return (suggestions.reduce_visits(assessment.order, fits, tools.new_id),)


def _lines(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """Lines that are not on the plan's list."""
    missed = next((r for r in results if r.result is Result.NOT_MET and r.facts.get("unlisted")), None)
    if missed is None:
        return None
    codes = list(missed.facts["unlisted"])
    which = "Line" if len(codes) == 1 else "Lines"
    verb = "is" if len(codes) == 1 else "are"
    listed = ", ".join(missed.facts.get("listed", ())) or "none"
    return Draft(
        rank=4,
        indicator="warning",
        summary=f"{which} {', '.join(codes)} {verb} not on the plan's list of therapy codes",
        topic="therapy-alternatives-opt",
        lead=f"This concerns {which.lower()} {', '.join(codes)} only. On the list: {listed}.",
        rows=(missed,),
        about=(missed.id,),
        offers=(suggestions.remove_lines(assessment.order, codes, tools.new_id),),
    )


def reassessment(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """Re-evaluation is due."""
    due = [r for r in results if r.result is Result.NOT_MET]
    if not due:
        return None
    return Draft(
        rank=7,
        indicator="info",
        summary=f"Re-evaluation is due: {_last_clause(due[-1].says)}",
        topic="clinical-reminder",
        rows=tuple(due),
        about=tuple(r.id for r in due),
        offers=(suggestions.add_re_evaluation(assessment.order, tools.new_id),),
    )


def _contraindication(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    found = [r for r in results if r.result is Result.NOT_MET]
    if not found:
        return None
    labels = [label for r in found for label in r.facts.get("conditions", ())]
    return Draft(
        rank=0,
        indicator="critical",
        summary=f"Possible contraindication on file: {', '.join(dict.fromkeys(labels)) or found[0].says}",
        topic="contraindication",
        lead="Clarify before therapy begins or goes on.",
        rows=tuple(found),
        about=tuple(r.id for r in found),
    )


def _guideline(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    off = [r for r in results if r.result is Result.NOT_MET]
    if not off:
        return None
    return Draft(
        rank=8,
        indicator="info",
        summary=f"Off guideline: {off[0].says[:1].lower()}{off[0].says[1:]}",
        topic="off-guideline",
        lead=off[0].cite,
        rows=tuple(off),
        about=tuple(r.id for r in off),
    )


def _safety(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """A score in a band that calls for a question before anything else."""
    high = [r for r in results if r.result is Result.NOT_MET]
    if not high:
        return None
    return Draft(
        rank=1,
        indicator="warning",
        summary=f"{_first_clause(high[0].says)}: ask about thoughts of self-harm (item 9) before the programme",
        topic="clinical-reminder",
        lead="The band is computed from the score. Item 9 asks about thoughts of self-harm.",
        rows=tuple(high),
        about=tuple(r.id for r in high),
    )


def _authorization(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """Visits planned beyond the days that an authorization holds."""
    beyond = [r for r in results if r.result is Result.NOT_MET]
    if not beyond:
        return None
    return Draft(
        rank=4,
        indicator="warning",
        summary=f"Planned beyond the authorization: {beyond[0].says[:1].lower()}{beyond[0].says[1:]}",
        topic="limits",
        rows=tuple(beyond),
        change=tuple(c for r in beyond for c in r.would_change),
        about=tuple(r.id for r in beyond),
    )


def _billing(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """A billing threshold that is passed: information, never a limit of care."""
    passed = [r for r in results if r.result is Result.NOT_MET]
    if not passed:
        return None
    return Draft(
        rank=8,
        indicator="info",
        summary=passed[0].says,
        topic="limits",
        rows=tuple(passed),
        about=tuple(r.id for r in passed),
    )


def _unsettled(tools: Tools, assessment: Assessment, found: Sequence[Draft]) -> Draft | None:
    """Required criteria that no other card tells of: what is missing, or not there."""
    told = {name for draft in found for name in draft.about}
    required = [r for r in assessment.criteria if r.required and r.result in (Result.NOT_MET, Result.UNKNOWN)]
    untold = [r for r in required if r.id not in told]
    if not untold:
        return None
    not_met = [r for r in untold if r.result is Result.NOT_MET]
    main = (not_met or untold)[0]
    # A statement alone reads as if it held; what is not sure is told by what was found instead.
    told_as = f"Criterion not met: {_lowered(main.statement)}" if not_met else f"Cannot tell: {_lowered(main.says)}"
    return Draft(
        rank=_rank_of_untold(found, not_met=bool(not_met)),
        indicator="warning" if not_met else "info",
        summary=told_as,
        topic="off-guideline" if not_met else "guideline",
        rows=tuple(untold),
        change=needed(m for r in untold for m in (r.missing or r.would_change)),
        about=tuple(r.id for r in untold),
        offers=tuple(offer for r in untold for offer in scores_to_ask(tools, assessment, r)),
    )


def _lowered(says: str) -> str:
    """The start of a sentence as its middle, names such as `PHQ-9` and `iHOT-12` left as they are."""
    return says if says[1:2].isupper() else says[:1].lower() + says[1:]


def _rank_of_untold(found: Sequence[Draft], *, not_met: bool) -> int:
    """First where no other card says that something is not met; last where one does and carries the rows."""
    warned = any(draft.rank <= 1 for draft in found)
    if not_met:
        return 5 if warned else 1
    return 5 if found else 1


def _no_answer(assessment: Assessment) -> Draft:
    """No policy, or a fault: said, never silent."""
    return Draft(
        rank=1,
        indicator="info",
        summary=assessment.says,
        topic="insurance",
        lead="This order was not weighed against any criteria.",
    )


def problem_draft(text: str, what: str = "One order could not be weighed") -> Draft:
    """A draft for something of a call that could not be read, so that its silence is not taken for an answer."""
    return Draft(9, "info", f"{what}: {text}", "guideline", lead=text)


def _in_brackets(says: str) -> str:
    """`20 of 14 visits: 18 completed …` as `20 of 14 visits (18 completed …)`."""
    head, colon, tail = says.split("; ")[0].partition(": ")
    return f"{head} ({tail})" if colon else head


def _first_clause(text: str) -> str:
    return text.split("; ")[0]


def _kind_of_limit(main: CriterionResult) -> str:
    """Which kind of limit it is, where it is not the benchmark or guideline one would expect."""
    return {"statute": ", statutory cap", "benefit": ", plan limit"}.get(main.policy_kind, "")


def _projection(assessment: Assessment, main: CriterionResult) -> str:
    """What the plan of care projects, where it is more than what is asked for now."""
    visits = assessment.visits
    if visits is None or visits.projected is None or visits.total is None or not visits.complete:
        return ""
    grows = visits.projected.low > visits.total.low
    return f"; the plan projects {visits.projected}" if grows and "limit" in main.facts else ""


def _last_clause(text: str) -> str:
    return text.split("; ")[-1]


_MAKERS: dict[str, Callable[[Tools, Assessment, Sequence[CriterionResult]], Draft | None]] = {
    "contraindication": _contraindication,
    "limits": _limits,
    "outcome-measure": outcome_measure,
    "lines": _lines,
    "reassessment": reassessment,
    "guideline": _guideline,
    "safety": _safety,
    "authorization": _authorization,
    "billing": _billing,
}
