"""Assessments as JSON: as `evaluate --json` prints them, and whole, as the ledger keeps them."""

from __future__ import annotations

from typing import Any

from cds.model import Assessment, Authorization, Coverage, CriterionResult, Days, Span, VisitCount

Json = dict[str, Any]


def assessment_json(assessment: Assessment) -> Json:
    """One assessment as `evaluate --json` prints it; a number that cannot be known is null, never 0."""
    return {
        "order": assessment.order.reference,
        "policy": assessment.policy,
        "policyVersion": assessment.policy_version,
        "asOf": assessment.as_of.isoformat(),
        "outcome": assessment.outcome.value,
        "says": assessment.says,
        "visits": visits_json(assessment.visits, assessment.order.requested),
        "criteria": [_criterion_json(result) for result in assessment.criteria],
        "gaps": [
            {"fact": gap.fact.value, "asked": gap.key, "state": gap.state.value, "reason": gap.reason}
            for gap in assessment.gaps
        ],
        "notes": [{"source": note.source, "reason": note.reason} for note in assessment.notes],
        "wouldChange": list(assessment.would_change),
        "safety": [_criterion_json(result) for result in assessment.safety],
    }


def visits_json(visits: VisitCount | None, requested: Span | None = None) -> Json:
    """The visit numbers. One that cannot be known is null, and `complete` is then false.

    `completed` is null where only a lower bound (`atLeast`) is known; `limit` is null where the policy has
    none, which leaves nothing unknown. Without a policy only what the order asks for is known.
    """
    if visits is None:
        visits = VisitCount(Span(0, None), requested, 0, None, None, complete=False)
    numbers: Json = {
        "completed": visits.completed.exact if visits.complete else None,
        "requested": visits.requested.exact if visits.requested else None,
        "scheduled": visits.scheduled,
        "total": visits.total.exact if visits.total and visits.complete else None,
    }
    projected = _pair(visits.projected) if visits.complete else None
    complete = None not in (*numbers.values(), projected)
    extra = {"limit": visits.limit, "projected": projected, "complete": complete, "atLeast": visits.completed.low}
    return {**numbers, **extra}


def whole_assessment(assessment: Assessment) -> Json:
    """Everything that an assessment says, for the ledger, the app and the letter: what is printed, and what is behind.

    The order is told by reference and label only: as it was sent, it stands beside the assessment.
    """
    told = assessment_json(assessment)
    criteria = zip(told["criteria"], assessment.criteria, strict=True)
    safety = zip(told["safety"], assessment.safety, strict=True)
    return told | {
        "orderLabel": assessment.order.label,
        "sites": [site.label for site in assessment.order.sites],
        "lines": [line.label for line in assessment.order.lines],
        "requestedWhy": assessment.order.requested_why,
        "orderNotes": list(assessment.order.notes),
        "policyTitle": assessment.policy_title,
        "policyKind": assessment.policy_kind,
        "policySource": dict(assessment.policy_source),
        "adding": list(assessment.adding),
        "coverage": _coverage_json(assessment.coverage) if assessment.coverage else None,
        "standing": assessment.standing.value,
        "lapsed": _coverage_json(assessment.lapsed) if assessment.lapsed else None,
        "authorization": _authorization_json(assessment.authorization) if assessment.authorization else None,
        "unsureAuthorization": (
            _authorization_json(assessment.unsure_authorization) if assessment.unsure_authorization else None
        ),
        "count": _count_json(assessment.visits) if assessment.visits else None,
        "technical": assessment.technical,
        "criteria": [row | _behind(result) for row, result in criteria],
        "safety": [row | _behind(result) for row, result in safety],
    }


def _pair(span: Span | None) -> list[int | None] | None:
    return None if span is None else [span.low, span.high]


def _criterion_json(result: CriterionResult) -> Json:
    return {
        "id": result.id,
        "statement": result.statement,
        "required": result.required,
        "result": result.result.value,
        "says": result.says,
        "evidence": list(result.evidence),
        "missing": list(result.missing),
        "wouldChange": list(result.would_change),
        "cite": result.cite,
    }


def _behind(result: CriterionResult) -> Json:
    return {
        "card": result.card,
        "facts": dict(result.facts),
        "policy": result.policy,
        "policyKind": result.policy_kind,
    }


def _coverage_json(coverage: Coverage) -> Json:
    return {
        "reference": coverage.reference,
        "payers": list(coverage.payers),
        "payerName": coverage.payer_name,
        "plan": coverage.plan,
        "lineOfBusiness": coverage.line_of_business,
        "jurisdiction": coverage.jurisdiction,
        "period": _days_json(coverage.period),
        "injury": coverage.injury.isoformat() if coverage.injury else None,
    }


def _authorization_json(authorization: Authorization) -> Json:
    return {
        "reference": authorization.reference,
        "number": authorization.number,
        "period": _days_json(authorization.period),
    }


def _days_json(days: Days | None) -> list[str | None] | None:
    if days is None:
        return None
    return [day.isoformat() if day else None for day in (days.first, days.last)]


def _count_json(visits: VisitCount) -> Json:
    """The numbers as they are known: as ranges, with what leaves them in doubt."""
    return {
        "completed": _pair(visits.completed),
        "requested": _pair(visits.requested),
        "scheduled": visits.scheduled,
        "total": _pair(visits.total),
        "projected": _pair(visits.projected),
        "complete": visits.complete,
        "overlap": visits.overlap,
        "limit": visits.limit,
        "says": visits.says,
        "doubts": list(visits.doubts),
        "start": visits.start.isoformat() if visits.start else None,
    }
