"""A policy in plain sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from importlib.resources import files

import pytest

from cds.authoring.explain import KIND_SAYS, markdown, sentence
from cds.authoring.sentences import SENTENCES, Words, amount
from cds.fhir.orders import read_orders
from cds.model import Coverage, Order, Record, Result, Visit
from cds.rules.case import Case
from cds.rules.criteria import KINDS
from cds.rules.load import load_policies, packaged_policies, policy_schema
from cds.rules.policy import Leaf, Policy, leaves
from cds.terminology import packaged

POLICIES = load_policies([packaged_policies()], packaged())
BY_ID = {policy.id: policy for policy in POLICIES}
HIP = BY_ID["hip-pain-extended-therapy"]


def test_every_kind_has_its_sentence_when_policies_can_use_it() -> None:
    assert SENTENCES.keys() == KINDS.keys()


def test_every_kind_of_policy_has_its_words_when_the_schema_allows_it() -> None:
    assert KIND_SAYS.keys() == set(policy_schema()["properties"]["kind"]["enum"])


@pytest.mark.parametrize("policy", POLICIES, ids=list(BY_ID))
def test_the_whole_policy_is_told_when_it_is_explained(policy: Policy) -> None:
    text = markdown(policy, packaged())
    assert text.startswith(f"# {policy.title}\n")
    for criterion in policy.criteria:
        assert f"### {criterion.statement}\n" in text
        assert f"- Name: {criterion.id}\n" in text
        assert criterion.cite.text in text
    for threshold in policy.thresholds.values():
        # A gap ends episodes; a count of the whole year has none.
        unused = threshold.id == policy.episode.gap and policy.episode.scope != "episode"
        for value in () if unused else threshold.values:
            assert amount(value.value, threshold.unit) in text


@pytest.mark.parametrize("policy", POLICIES, ids=list(BY_ID))
def test_there_is_no_yaml_in_sight_when_a_policy_is_explained(policy: Policy) -> None:
    text = markdown(policy, packaged())
    for trace in ("{", "}", "any-of", "all-of", "applies-when", "when-absent", "checked_on", "(None"):
        assert trace not in text


def test_required_and_advice_stand_apart_when_a_policy_has_both() -> None:
    required, advice = markdown(HIP, packaged()).split("\n## Advice\n")
    assert "Name: visits-within-benchmark" in required
    assert "Name: re-evaluation-due" in advice


def test_every_value_is_told_with_its_day_when_a_figure_changed() -> None:
    limit = HIP.thresholds["benchmark-visits"]
    (first,) = limit.values
    second = replace(first, start=date(2026, 1, 1), value=16.0, diagnoses=("M25.55",))
    policy = replace(HIP, thresholds={**HIP.thresholds, limit.id: replace(limit, values=(first, second))})
    says = sentence(Leaf("visits-within", {"limit": limit.id}), Words(policy, packaged()))
    assert "14 visits from 2025-01-01; 16 visits from 2026-01-01 for M25.55" in says


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [(1, "visits", "1 visit"), (14, "visits", "14 visits"), (80, "percent", "80 %"), (2410, "dollars", "$2,410"),
     (1, "studies", "1 study"), (2, "studies", "2 studies"), (1, "days", "1 day")],
)  # fmt: skip
def test_a_figure_has_its_unit_when_it_is_told(value: float, unit: str, says: str) -> None:
    assert amount(value, unit) == says


# ---------------------------------------------------------------------- what a complete search that finds nothing means

_WORDS = {
    "met": Result.MET,
    "not met": Result.NOT_MET,
    "unknown": Result.UNKNOWN,
    "does not apply": Result.NOT_APPLICABLE,
}
_USED = {leaf.kind: (policy, leaf) for policy in POLICIES for c in policy.criteria for leaf in leaves(c.test)}
# These ask about the first visit itself: nothing found is no visit at all.
_OF_THE_START = ("episode-shorter-than", "prior-visit")


def order() -> Order:
    bundle = json.loads(files("fhir_profiles").joinpath("examples").joinpath("f000.json").read_text("utf-8"))
    drafts = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "ServiceRequest"]
    (orders, _) = read_orders([("order", draft) for draft in drafts], packaged(), "f000")
    return orders[0]


@pytest.mark.parametrize("kind", sorted(kind for kind in _USED if SENTENCES[kind].nothing))
def test_explain_tells_the_truth_when_a_complete_search_finds_nothing(kind: str) -> None:
    policy, leaf = _USED[kind]
    mine = order()
    days = [date(2024, 10, 1), *(date(2025, 1, day) for day in range(2, 30, 2))]
    visits = tuple(Visit(day, mine.discipline, mine.sites, ("Encounter/x",)) for day in days)
    record = Record(visits=() if kind in _OF_THE_START else visits)
    case = Case(mine, Coverage("Coverage/1"), record, policy, date(2025, 3, 10), packaged())
    params = {key: value for key, value in leaf.params.items() if key != "when-absent"}
    assert KINDS[kind].test(case, params).result is _WORDS[SENTENCES[kind].nothing]
