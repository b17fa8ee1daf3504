"""Small changes of a policy, one at a time: each is a mistake that an author could make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta

from cds.authoring.mutated_tests import mutated_tests
from cds.rules.policy import Criterion, DatedValue, EpisodeRule, Policy, Test, Threshold, leaves, references
from cds.yamlfile import Key

DAY = timedelta(days=1)
HEADER = "the policy itself"


@dataclass(frozen=True)
class Mutation:
    """A policy with one change: what it is, whom it concerns, and where in the file it would stand."""

    says: str
    group: str
    path: Key
    policy: Policy
    concerns: frozenset[str] = frozenset()


def mutations(policy: Policy) -> Iterator[Mutation]:
    """Every mutation of a policy, in the order of its file."""
    yield from _effective(policy)
    yield from _applies_to(policy)
    yield from _episode(policy)
    for threshold in policy.thresholds.values():
        yield from _threshold(policy, threshold)
    for index, criterion in enumerate(policy.criteria):
        yield from _criterion(policy, index, criterion)


# ------------------------------------------------------------------------------------------------- the header


def _effective(policy: Policy) -> Iterator[Mutation]:
    for day in (policy.start - DAY, policy.start + DAY):
        yield Mutation(
            f"effective from {day} instead of {policy.start}",
            HEADER, ("effective", "from"), replace(policy, start=day),
        )  # fmt: skip
    for end in (policy.end - DAY, policy.end + DAY) if policy.end else ():
        yield Mutation(
            f"effective to {end} instead of {policy.end}", HEADER, ("effective", "to"), replace(policy, end=end)
        )


def _applies_to(policy: Policy) -> Iterator[Mutation]:
    """Each entry dropped; a list that loses its only one applies to all."""
    for each in fields(policy.applies_to):
        entries: tuple[str, ...] = getattr(policy.applies_to, each.name)
        key = each.name.replace("_", "-")
        for number, entry in enumerate(entries):
            rest = entries[:number] + entries[number + 1 :]
            applies = replace(policy.applies_to, **{each.name: rest})
            yield Mutation(
                f"applies to {key} without {entry}" + ("" if rest else " (so to all)"),
                HEADER, ("applies-to", key, number), replace(policy, applies_to=applies),
            )  # fmt: skip


def _episode(policy: Policy) -> Iterator[Mutation]:
    """Each way of counting that differs from the usual one, put back to it."""
    usual = EpisodeRule(gap=policy.episode.gap)
    for each in fields(usual):
        own, other = getattr(policy.episode, each.name), getattr(usual, each.name)
        if own != other:
            key = each.name.replace("_", "-")
            yield Mutation(
                f"episode: {key} {other or 'dropped'} instead of {own}",
                HEADER, ("episode", key), replace(policy, episode=replace(policy.episode, **{each.name: other})),
            )  # fmt: skip


# ------------------------------------------------------------------------------------------------- thresholds


def _threshold(policy: Policy, threshold: Threshold) -> Iterator[Mutation]:
    concerned = [criterion.id for criterion in policy.criteria if _uses(criterion, threshold.id)]
    group = ", ".join(concerned) or HEADER
    for index, value in enumerate(threshold.values):
        for key, says, changed in _values(policy, threshold, value):
            others = threshold.values[:index], threshold.values[index + 1 :]
            new = replace(threshold, values=(*others[0], changed, *others[1]))
            yield Mutation(
                says=f"threshold {threshold.id} from {value.start}{_whose(value)}: {says}",
                group=group,
                path=("thresholds", threshold.id, "values", index, *key),
                policy=replace(policy, thresholds={**policy.thresholds, threshold.id: new}),
                concerns=_reached(policy, concerned),
            )


def _whose(value: DatedValue) -> str:
    return f" for {', '.join(value.diagnoses)}" if value.diagnoses else ""


def _values(policy: Policy, threshold: Threshold, value: DatedValue) -> Iterator[tuple[Key, str, DatedValue]]:
    """A unit up and down, a day later and earlier, each diagnosis dropped."""
    for number in (value.value + 1, value.value - 1):
        if number >= 0:
            yield ("value",), f"{number:g} instead of {value.value:g}", replace(value, value=number)
    for day in _starts(policy, threshold, value):
        yield ("from",), f"in force from {day}", replace(value, start=day)
    for number, branch in enumerate(value.diagnoses):
        rest = value.diagnoses[:number] + value.diagnoses[number + 1 :]
        says = f"without {branch}" + ("" if rest else " (so for all)")
        yield ("for", number), says, replace(value, diagnoses=rest)


def _starts(policy: Policy, threshold: Threshold, value: DatedValue) -> Sequence[date]:
    """A day later, and earlier; only days on which the policy is read, since others change nothing."""
    first = min(v.start for v in threshold.values)
    if value.start < policy.start:
        return ()
    earlier = [value.start - DAY] if value.start > policy.start or value.start > first else []
    return [*earlier, value.start + DAY]


def _uses(criterion: Criterion, threshold: str) -> bool:
    tests: tuple[Test | None, ...] = (criterion.test, criterion.applies_when)
    return any(threshold in leaf.params.values() for test in tests for leaf in leaves(test))


def _reached(policy: Policy, start: Sequence[str]) -> frozenset[str]:
    """These criteria, and those that refer to them."""
    found = set(start)
    while True:
        more = {
            criterion.id
            for criterion in policy.criteria
            if found & {*references(criterion.test), *references(criterion.applies_when)}
        }
        if more <= found:
            return frozenset(found)
        found |= more


# ------------------------------------------------------------------------------------------------- criteria


def _criterion(policy: Policy, index: int, criterion: Criterion) -> Iterator[Mutation]:
    for key, says, changed in _changes(criterion):
        criteria = (*policy.criteria[:index], changed, *policy.criteria[index + 1 :])
        yield Mutation(
            says=f"criterion {criterion.id}: {says}",
            group=criterion.id,
            path=("criteria", index, *key),
            policy=replace(policy, criteria=criteria),
            concerns=_reached(policy, [criterion.id]),
        )


def _changes(criterion: Criterion) -> Iterator[tuple[Key, str, Criterion]]:
    flipped = "advice instead of required" if criterion.required else "required instead of advice"
    yield ("required",), flipped, replace(criterion, required=not criterion.required)
    for key, says, test in mutated_tests(criterion.test):
        yield ("test", *key), says, replace(criterion, test=test)
    if criterion.applies_when is not None:
        yield ("applies-when",), "applies always", replace(criterion, applies_when=None)
        for key, says, test in mutated_tests(criterion.applies_when):
            yield ("applies-when", *key), f"applies when {says}", replace(criterion, applies_when=test)
