"""Assessment to sentences. Card, page, letter and log use the same ones; none speaks of approval or denial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cds.model import Assessment, CriterionResult, Outcome, Result

RESULT_WORDS = {
    Result.MET: "met",
    Result.NOT_MET: "not met",
    Result.UNKNOWN: "unknown",
    Result.NOT_APPLICABLE: "does not apply",
}
OUTCOME_WORDS = {
    Outcome.CRITERIA_MET: "Criteria met",
    Outcome.CRITERIA_NOT_MET: "Criteria not met",
    Outcome.INSUFFICIENT_INFORMATION: "Not enough information",
    Outcome.NO_POLICY: "No policy applies",
}


def outcome_sentence(outcome: Outcome, results: Sequence[CriterionResult]) -> str:
    """`Criteria not met: 2 of 4 required criteria are not met`."""
    required = [r for r in results if r.required and r.result is not Result.NOT_APPLICABLE]
    if not any(result.required for result in results):
        return "For information only: no criterion of this policy is required"
    total = f"{len(required)} required criteria" if len(required) != 1 else "the required criterion"
    if outcome is Outcome.CRITERIA_MET:
        every = f"all {total} are" if len(required) != 1 else f"{total} is"
        return f"{OUTCOME_WORDS[outcome]}: {every} met"
    wanted = Result.NOT_MET if outcome is Outcome.CRITERIA_NOT_MET else Result.UNKNOWN
    number = sum(result.result is wanted for result in required)
    verb = "is" if number == 1 else "are"
    word = "not met" if wanted is Result.NOT_MET else "unknown"
    some = f"{number} of {total}" if len(required) != 1 else total
    return f"{OUTCOME_WORDS[outcome]}: {some} {verb} {word}"


def would_change(outcome: Outcome, results: Sequence[CriterionResult]) -> tuple[str, ...]:
    """The smallest set of facts that would turn the outcome: documentation, or a change of the order.

    One change that turns several criteria is told once. A choice (`A, or if B`) is left out where B has to
    happen anyway.
    """
    if outcome is Outcome.CRITERIA_MET:
        return ()
    wanted: dict[str, str] = {}
    for result in results:
        if result.required and result.result is Result.NOT_MET:
            for change in result.would_change:
                wanted.setdefault(change, result.statement)
        if result.required and result.result is Result.UNKNOWN:
            for missing in result.missing:
                wanted.setdefault(f"could be told from {missing}", result.statement)
    return tuple(f"{wanted[change]}: {change}" for change in needed(wanted))


def needed(changes: Iterable[str]) -> tuple[str, ...]:
    """Changes without the choices that another change settles, each once."""
    each = tuple(dict.fromkeys(changes))
    certain = {change for change in each if len(_choices(change)) == 1}
    return tuple(change for change in each if change in certain or not certain & _choices(change))


def _choices(change: str) -> set[str]:
    return (
        {f"met {choice}" for choice in change.removeprefix("met ").split(", or ")} if ", or if " in change else {change}
    )


def visits_sentence(assessment: Assessment) -> str:
    """`18 completed and 2 requested of 14`, or what is known of it."""
    return assessment.visits.says if assessment.visits else ""


def gap_sentences(assessment: Assessment) -> tuple[str, ...]:
    """What could not be learnt of the record, each once."""
    return tuple(dict.fromkeys(gap.reason for gap in assessment.gaps))
