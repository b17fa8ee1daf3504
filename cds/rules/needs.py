"""What a policy has to know, from the kinds of its tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cds.model import Fact, Need
from cds.rules.criteria import KINDS
from cds.rules.policy import Criterion, Policy, Test, leaves, references


def needs_of(policies: Iterable[Policy]) -> tuple[Need, ...]:
    """The needs of some policies together; essential where a required criterion has the need."""
    wanted: dict[Fact, bool] = {}
    for policy in policies:
        for fact, essential in _wanted_by(policy).items():
            wanted[fact] = wanted.get(fact, False) or essential
    return tuple(Need(fact, essential) for fact, essential in sorted(wanted.items()))


def _wanted_by(policy: Policy) -> Mapping[Fact, bool]:
    """The facts of one policy and whether they are essential: the same for every call, so worked out once."""
    if (known := policy.known.get("needs")) is None:
        known = policy.known["needs"] = _needs_of_one(policy)
    found: Mapping[Fact, bool] = known
    return found


def _needs_of_one(policy: Policy) -> dict[Fact, bool]:
    wanted: dict[Fact, bool] = {}
    if policy.episode.told_in is not None:
        wanted[Fact.DOCUMENTS] = True
    if not policy.episode.deductible_visits:
        wanted[Fact.AMOUNTS] = True
    for criterion in policy.criteria:
        for fact in _facts_of(policy, criterion, frozenset()):
            wanted[fact] = wanted.get(fact, False) or criterion.required
    return wanted


def _facts_of(policy: Policy, criterion: Criterion, seen: frozenset[str]) -> set[Fact]:
    """Facts of a criterion and of the criteria that it refers to."""
    if criterion.id in seen:
        return set()
    found: set[Fact] = set()
    tests: tuple[Test | None, ...] = (criterion.test, criterion.applies_when)
    for test in tests:
        found |= {fact for leaf in leaves(test) for fact in KINDS[leaf.kind].facts}
        for name in references(test):
            found |= _facts_of(policy, policy.criterion(name), seen | {criterion.id})
    return found
