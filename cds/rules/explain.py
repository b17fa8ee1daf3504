"""Assessment to sentences. Card, page, letter and log use the same ones; none speaks of approval or denial."""

from __future__ import annotations

from collections.abc import Sequence

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
    total = f"{len(required)} required criteria" if len(required) != 1 else "the required criterion"
    if outcome is Outcome.CRITERIA_MET:
        every = f"all {total} are" if len(required) != 1 else f"{total} is"
        return f"{OUTCOME_WORDS[outcome]}: {every} met"
    wanted = Result.NOT_MET if outcome is Outcome.CRITERIA_NOT_MET else Result.UNKNOWN
    number = sum(result.result is wanted for result in required)
    verb = "is" if number == 1 else "are"
    word = "not met" if wanted is Result.NOT_MET else "unknown"
    return f"{OUTCOME_WORDS[outcome]}: {number} of {total} {verb} {word}"


def would_change(outcome: Outcome, results: Sequence[CriterionResult]) -> tuple[str, ...]:
    """What would turn the outcome, in plain sentences: documentation or a change of the order."""
    if outcome is Outcome.CRITERIA_MET:
        return ()
    sentences: list[str] = []
    for result in results:
        if not result.required or result.result not in (Result.NOT_MET, Result.UNKNOWN):
            continue
        sentences += [f"{result.statement}: {change}" for change in result.would_change[:3]]
        if result.result is Result.UNKNOWN:
            sentences += [f"{result.statement}: could be told from {missing}" for missing in result.missing[:3]]
    return tuple(dict.fromkeys(sentences))


def visits_sentence(assessment: Assessment) -> str:
    """`18 completed and 2 requested of 14`, or what is known of it."""
    return assessment.visits.says if assessment.visits else ""


def gap_sentences(assessment: Assessment) -> tuple[str, ...]:
    """What could not be learnt of the record, each once."""
    return tuple(dict.fromkeys(gap.reason for gap in assessment.gaps))
