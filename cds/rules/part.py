"""A part of policies: the criteria behind some kinds of card, for hooks that speak of those only. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from cds.rules.policy import Criterion, Policy, references


def part_of(policies: Sequence[Policy], kinds: Collection[str] | None) -> tuple[Policy, ...]:
    """The policies with the criteria of some kinds of card, and those that these refer to; None: the whole of them."""
    if kinds is None:
        return tuple(policies)
    return tuple(replace(policy, criteria=_criteria(policy, kinds)) for policy in policies)


def _criteria(policy: Policy, kinds: Collection[str]) -> tuple[Criterion, ...]:
    kept = {criterion.id for criterion in policy.criteria if criterion.card in kinds}
    waiting = list(kept)
    while waiting:
        criterion = policy.criterion(waiting.pop())
        named = {*references(criterion.test), *references(criterion.applies_when)} - kept
        kept |= named
        waiting += named
    return tuple(criterion for criterion in policy.criteria if criterion.id in kept)
