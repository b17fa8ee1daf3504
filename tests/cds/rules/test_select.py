from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise, permutations
from typing import Any

import pytest

from cds.model import Coverage, Order
from cds.rules.policy import AppliesTo, Policy
from cds.rules.select import choose_named, select_policy
from tests.cds.build import CPT, ICD10, SNOMED, Json, concept, order_of, policies, policy_of, service_request, terms

DAY = date(2025, 3, 10)
COVERAGE = Coverage(
    "Coverage/c",
    payers=("hip-plan",),
    plan="gold",
    line_of_business="commercial",
    jurisdiction="US-NY",
    payer_name="Hip Plan",
)


def policy(
    name: str, kind: str = "coverage", start: date = date(2025, 1, 1), end: date | None = None, **applies: Any
) -> Policy:
    return replace(policy_of(name=name), kind=kind, start=start, end=end, applies_to=AppliesTo(**applies))


def chosen(
    *held: Policy, order: Order | None = None, coverage: Coverage | None = COVERAGE, day: date = DAY
) -> str | None:
    """The id of the policy selected, the same whatever the order of files."""
    asked = order or order_of(service_request())
    found = {
        selection.policy.id if selection.policy else None
        for some in permutations(held)
        for selection in (select_policy(some, asked, coverage, day, terms()),)
    }
    assert len(found) == 1
    return found.pop()


GENERAL = policy("general")


@pytest.mark.parametrize(
    "applies",
    [
        {"lines_of_business": ("commercial",)},
        {"jurisdictions": ("US-NY",)},
        {"payers": ("hip-plan",)},
        {"plans": ("gold",)},
        {"services": ("therapy-services",)},
        {"diagnoses": ("M25.55",)},
        {"disciplines": ("physical-therapy",)},
    ],
)
def test_the_exact_policy_is_chosen_when_another_says_nothing_of_a_field(applies: Json) -> None:
    assert chosen(GENERAL, policy("exact", **applies)) == "exact"


@pytest.mark.parametrize(
    "applies",
    [
        {"lines_of_business": ("workers-compensation",)},
        {"jurisdictions": ("US-CA",)},
        {"payers": ("other-plan",)},
        {"plans": ("silver",)},
        {"services": ("pain-programme-services",)},
        {"diagnoses": ("M25.56",)},
        {"disciplines": ("occupational-therapy",)},
    ],
)
def test_a_policy_is_passed_over_when_one_field_does_not_fit(applies: Json) -> None:
    assert chosen(GENERAL, policy("other", **applies)) == "general"
    assert chosen(policy("other", **applies)) is None


def test_the_earlier_field_decides_when_each_policy_is_exact_in_another() -> None:
    ranking = [
        policy("line", lines_of_business=("commercial",)),
        policy("jurisdiction", jurisdictions=("US-NY",)),
        policy("payer", payers=("hip-plan",)),
        policy("plan", plans=("gold",)),
        policy("service", services=("therapy-services",)),
        policy("diagnosis", diagnoses=("M25.55",)),
    ]
    for stronger, weaker in pairwise(ranking):
        assert chosen(stronger, weaker) == stronger.id
    assert chosen(ranking[0], *ranking[2:5]) == "line"


def test_the_narrower_diagnosis_is_chosen_when_two_branches_fit() -> None:
    assert chosen(policy("wide", diagnoses=("M25",)), policy("narrow", diagnoses=("M25.552",))) == "narrow"


@pytest.mark.parametrize("code", ["M25.552", "M25552"])
def test_a_diagnosis_fits_when_it_is_written_without_dot(code: str) -> None:
    order = order_of(service_request(reasonCode=[concept(ICD10, code)]))
    assert chosen(policy("hip", diagnoses=("M25.55",)), order=order) == "hip"


def test_no_policy_is_chosen_when_two_match_equally_well() -> None:
    selection = select_policy([policy("a"), policy("b")], order_of(service_request()), COVERAGE, DAY, terms())
    assert selection.policy is None
    assert "two policies match equally well" in selection.why
    assert "(a)" in selection.why
    assert "(b)" in selection.why


def test_a_tie_below_the_best_does_not_matter_when_one_is_more_specific() -> None:
    assert chosen(policy("a"), policy("b"), policy("best", payers=("hip-plan",))) == "best"


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2024, 12, 31), None),
        (date(2025, 1, 1), "first"),
        (date(2025, 6, 30), "first"),
        (date(2025, 7, 1), "second"),
        (date(2030, 1, 1), "second"),
    ],
)
def test_the_policy_in_force_on_the_service_date_is_chosen_when_they_follow_each_other(
    day: date, name: str | None
) -> None:
    first = policy("first", end=date(2025, 7, 1))
    assert chosen(first, policy("second", start=date(2025, 7, 1)), day=day) == name


def test_it_is_said_whose_policy_is_missing_when_none_fits() -> None:
    selection = select_policy([], order_of(service_request()), COVERAGE, DAY, terms())
    assert selection.why == "no policy of Hip Plan for physical therapy, left hip is in force on 2025-03-10"


def test_statutes_add_to_the_policy_chosen_when_they_apply() -> None:
    held = [
        policy("law", "statute"),
        policy("bill", "billing"),
        policy("own"),
        policy("far", "statute", plans=("silver",)),
    ]
    for some in permutations(held):
        selection = select_policy(some, order_of(service_request()), COVERAGE, DAY, terms())
        assert selection.policy is not None
        assert selection.policy.id == "own"
        assert [each.id for each in selection.adding] == ["bill", "law"]


def test_nothing_is_added_when_no_policy_could_be_chosen_for_a_tie() -> None:
    selection = select_policy(
        [policy("a"), policy("b"), policy("law", "statute")], order_of(service_request()), COVERAGE, DAY, terms()
    )
    assert selection.all == ()


def test_workers_compensation_is_only_chosen_when_the_coverage_says_so() -> None:
    hip = order_of(service_request())
    for each in policies():
        if "workers-compensation" in each.applies_to.lines_of_business:
            selection = select_policy(
                [each], hip, replace(COVERAGE, jurisdiction="US-CA"), max(DAY, each.start), terms()
            )
            assert selection.policy is None


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (concept(SNOMED, "91251008"), "pt"),
        (concept(CPT, "97110"), "pt"),
        ({"text": "Physiotherapy"}, "pt"),
        (concept(CPT, "96164"), "programme"),
    ],
)
def test_the_service_is_told_by_code_line_or_words_when_policies_differ_by_service(code: Any, name: str) -> None:
    held = (policy("pt", services=("therapy-services",)), policy("programme", services=("pain-programme-services",)))
    assert chosen(*held, order=order_of(service_request(code=code))) == name


def test_the_named_policy_is_chosen_when_somebody_asks_for_it() -> None:
    assert choose_named([GENERAL, policy("x", payers=("other",))], "x", DAY).policy is not None
    nothing = choose_named([GENERAL], "x", DAY)
    assert nothing.policy is None
    assert "'x'" in nothing.why
