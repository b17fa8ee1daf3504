"""Criteria become an assessment, three-valued (domain rule 1.2).

A criterion that is not met for certain is not met; one that cannot be settled is unknown. The outcome
counts required criteria only: any not met, else any unknown, else met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from cds.model import Assessment, Authorization, Coverage, CriterionResult, Order, Outcome, Record, Result
from cds.rules import explain
from cds.rules.authorized import authorizations_for
from cds.rules.case import Case
from cds.rules.criteria import KINDS
from cds.rules.finding import Finding, all_of, any_of, negate, not_applicable, unknown
from cds.rules.policy import THRESHOLD_PARAMETERS, AllOf, AnyOf, Criterion, Leaf, Not, OfCriterion, Policy, Test
from cds.terminology import Terminology


def assess(
    order: Order,
    coverage: Coverage | None,
    record: Record,
    policy: Policy,
    as_of: date,
    terms: Terminology,
    adding: Sequence[Policy] = (),
) -> Assessment:
    """Weigh one order under one policy as of a day. Pure: the same arguments give the same assessment.

    Statutes, billing rules and benefit limits (`adding`) are weighed beside it, each by its own count of
    visits; their required criteria bear on the outcome like the policy's own (domain rule 1.5).
    """
    case = Case(order, coverage, record, policy, as_of, terms)
    own = tuple(_result(case, criterion) for criterion in policy.criteria)
    added = tuple(
        _result(more, criterion)
        for other in adding
        for more in (Case(order, coverage, record, other, as_of, terms),)
        for criterion in other.criteria
    )
    results = (*own, *added)
    outcome = outcome_of(results)
    visits = replace(case.visits, limit=_limit(own), says=_visits_say(own))
    for_it, unsure = authorizations_for(order, coverage, record.authorizations, terms)
    authorization = _in_force(for_it, as_of)
    return Assessment(
        order=order,
        as_of=as_of,
        outcome=outcome,
        says=explain.outcome_sentence(outcome, results),
        policy=policy.id,
        policy_title=policy.title,
        policy_version=policy.version,
        policy_kind=policy.kind,
        policy_source={"text": policy.cite.text, "url": policy.cite.url},
        adding=tuple(other.id for other in adding),
        coverage=coverage,
        visits=visits,
        criteria=results,
        gaps=record.gaps,
        notes=record.notes,
        would_change=explain.would_change(outcome, results),
        authorization=authorization,
        unsure_authorization=None if authorization else _in_force(unsure, as_of),
    )


def _in_force(authorizations: Sequence[Authorization], day: date) -> Authorization | None:
    """The authorization that is in force on a day; of several, the one that began last."""
    reigning = [a for a in authorizations if a.period.first is not None and a.period.within_reach(day)]
    return max(reigning, key=lambda a: (a.period.first or date.min, a.reference), default=None)


def outcome_of(results: tuple[CriterionResult, ...]) -> Outcome:
    """The outcome of the required criteria; those that do not apply drop out."""
    required = {result.result for result in results if result.required}
    if Result.NOT_MET in required:
        return Outcome.CRITERIA_NOT_MET
    if Result.UNKNOWN in required:
        return Outcome.INSUFFICIENT_INFORMATION
    return Outcome.CRITERIA_MET


def _result(case: Case, criterion: Criterion) -> CriterionResult:
    finding = find(case, criterion)
    return CriterionResult(
        id=criterion.id,
        statement=criterion.statement,
        required=criterion.required,
        result=finding.result,
        says=finding.says if finding.says[1:2].isupper() else finding.says[:1].upper() + finding.says[1:],
        card=criterion.card,
        evidence=tuple(dict.fromkeys(finding.evidence)),
        missing=finding.missing,
        would_change=finding.would_change if finding.result is Result.NOT_MET else (),
        cite=criterion.cite.text,
        facts=finding.facts,
        policy=case.policy.id,
        policy_kind=case.policy.kind,
    )


def find(case: Case, criterion: Criterion) -> Finding:
    """The finding of one criterion, computed once for a case.

    Where it is not sure that the criterion applies, only `met` stands: the rest is unknown.
    """
    if criterion.id not in case.findings:
        case.findings[criterion.id] = _applied(case, criterion)
    return case.findings[criterion.id]


def _applied(case: Case, criterion: Criterion) -> Finding:
    if criterion.applies_when is None:
        return _test(case, criterion.test)
    applies = _test(case, criterion.applies_when)
    if applies.result in (Result.NOT_MET, Result.NOT_APPLICABLE):
        return not_applicable(applies.says)
    finding = _test(case, criterion.test)
    if applies.result is Result.UNKNOWN and finding.result is Result.NOT_MET:
        return Finding(Result.UNKNOWN, f"{finding.says}; {applies.says}", finding.evidence, applies.missing)
    return finding


def _test(case: Case, test: Test) -> Finding:
    match test:
        case Leaf(kind, params):
            return _unstated(case, params) or KINDS[kind].test(case, params)
        case AllOf(parts):
            return all_of([_test(case, part) for part in parts])
        case AnyOf(parts):
            return any_of([_test(case, part) for part in parts])
        case Not(part):
            return negate(_test(case, part))
        case OfCriterion(name):
            finding = find(case, case.policy.criterion(name))
            # The other criterion tells its own story in its own row; here its result is enough.
            return replace(finding, says=f"{name.replace('-', ' ')}: {explain.RESULT_WORDS[finding.result]}")


def _unstated(case: Case, params: Mapping[str, Any]) -> Finding | None:
    """Unknown, where the policy has no value of a threshold for this day and diagnosis; never a silent 0."""
    named = [str(value) for key, value in params.items() if key in THRESHOLD_PARAMETERS]
    missing = [name for name in named if name in case.policy.thresholds and case.value(name) is None]
    if not missing:
        return None
    figure = missing[0].replace("-", " ")
    whom = f" for {', '.join(case.diagnoses)}" if case.diagnoses else ""
    return unknown(f"the policy states no {figure}{whom} on {case.as_of}", [f"the policy's {figure}"])


def _limit(results: tuple[CriterionResult, ...]) -> int | None:
    """The limit of the first criterion that counts visits against one; required ones first."""
    counted = sorted((r for r in results if "limit" in r.facts), key=lambda result: not result.required)
    return next((int(r.facts["limit"]) for r in counted if r.facts["limit"] is not None), None)


def _visits_say(results: tuple[CriterionResult, ...]) -> str:
    counted = sorted((r for r in results if "limit" in r.facts), key=lambda result: not result.required)
    return counted[0].says if counted else ""
