from __future__ import annotations

from cds.model import Fact
from cds.rules.criteria import KINDS
from cds.rules.needs import needs_of
from cds.rules.policy import AnyOf, Leaf, OfCriterion
from tests.cds.build import criterion, policies, policy_of

GOALS = Leaf("goals-open", {})
IMAGES = Leaf("imaging-on-file", {"set": "hip-radiographs", "months": "episode-gap"})


def test_every_fact_of_every_test_is_needed_when_a_policy_is_weighed() -> None:
    policy = policy_of(criterion(AnyOf((GOALS, IMAGES)), applies_when=Leaf("prior-visit", {})))
    assert {need.fact for need in needs_of([policy])} == {Fact.GOALS, Fact.IMAGING, Fact.VISITS}


def test_a_fact_is_essential_when_a_required_criterion_needs_it_directly_or_by_another() -> None:
    advice = criterion(IMAGES, "advice", required=False)
    needs = needs_of(
        [policy_of(criterion(GOALS, "base", required=False), criterion(OfCriterion("base"), "same"), advice)]
    )
    assert {need.fact: need.essential for need in needs} == {Fact.GOALS: True, Fact.IMAGING: False}


def test_each_fact_is_needed_once_when_several_policies_share_it() -> None:
    facts = [need.fact for need in needs_of(policies())]
    assert len(facts) == len(set(facts))
    assert needs_of([]) == ()


def test_every_kind_says_what_it_needs_in_words_when_it_is_registered() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.test.__doc__
