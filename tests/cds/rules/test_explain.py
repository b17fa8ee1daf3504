from __future__ import annotations

import pytest

from cds.model import CriterionResult, EvidenceState, Outcome, Result
from cds.rules.explain import gap_sentences, outcome_sentence, visits_sentence, would_change
from tests.cds.build import assess, example

M, N, U, X = Result.MET, Result.NOT_MET, Result.UNKNOWN, Result.NOT_APPLICABLE


def criteria(*found: Result, required: bool = True) -> list[CriterionResult]:
    return [
        CriterionResult(f"c{n}", f"Statement {n}", required, r, "", missing=("a note",), would_change=("met if so",))
        for n, r in enumerate(found)
    ]


@pytest.mark.parametrize(
    ("outcome", "found", "sentence"),
    [
        (Outcome.CRITERIA_MET, [M], "Criteria met: the required criterion is met"),
        (Outcome.CRITERIA_MET, [M, M, X], "Criteria met: all 2 required criteria are met"),
        (Outcome.CRITERIA_NOT_MET, [N], "Criteria not met: the required criterion is not met"),
        (Outcome.INSUFFICIENT_INFORMATION, [U, X], "Not enough information: the required criterion is unknown"),
        (Outcome.CRITERIA_NOT_MET, [M, N, U], "Criteria not met: 1 of 3 required criteria is not met"),
        (Outcome.CRITERIA_NOT_MET, [N, N], "Criteria not met: 2 of 2 required criteria are not met"),
        (Outcome.INSUFFICIENT_INFORMATION, [M, U], "Not enough information: 1 of 2 required criteria is unknown"),
    ],
)
def test_the_outcome_is_a_plain_sentence_when_it_is_told(outcome: Outcome, found: list[Result], sentence: str) -> None:
    assert outcome_sentence(outcome, [*criteria(*found), *criteria(N, required=False)]) == sentence


def test_nothing_has_to_change_when_the_criteria_are_met() -> None:
    assert would_change(Outcome.CRITERIA_MET, criteria(M)) == ()


def test_only_required_criteria_that_failed_are_told_when_something_would_change_it() -> None:
    told = would_change(Outcome.CRITERIA_NOT_MET, [*criteria(M, N), *criteria(N, required=False)])
    assert told == ("Statement 1: met if so",)


def test_visits_and_gaps_are_told_when_an_assessment_has_them() -> None:
    assert visits_sentence(assess(*example("f000"))) == "20 of 14 visits: 18 completed and 2 requested"
    refused = assess(*example("f000"), failing={"encounters": EvidenceState.REFUSED})
    assert gap_sentences(refused) == ("Encounter could not be read",)


@pytest.mark.parametrize("name", ["f000", "f001", "f002", "f003", "f004"])
def test_no_sentence_speaks_of_approval_or_denial_when_an_example_is_weighed(name: str) -> None:
    found = assess(*example(name))
    words = " ".join([found.says, *found.would_change, *(c.says for c in found.criteria)]).lower()
    for word in ("approv", "denied", "denial", "deny", "authorised", " nan "):
        assert word not in words
