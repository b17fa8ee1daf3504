"""What a policy's schema cannot tell: codes that exist, dates that fit, citations, overlaps, cases that can run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from functools import lru_cache
from itertools import combinations

from cds.authoring.cases import read_cases
from cds.authoring.equivalents import read_equivalents
from cds.authoring.given import build
from cds.authoring.library import Authored
from cds.errors import CdsError, PolicyError
from cds.rules.policy import Citation, Policy
from cds.rules.select import ADDING_KINDS
from cds.terminology import Terminology
from cds.yamlfile import Key, read_yaml


@dataclass(frozen=True)
class Problem:
    """One mistake, or (`warning`) something that its author may have meant."""

    says: str
    warning: bool = False


def check_policy(authored: Authored, library: Sequence[Authored], terms: Terminology, today: date) -> list[Problem]:
    """Every problem of one policy that loads, and of its cases."""
    policy = authored.policy
    document = read_yaml(authored.folder.joinpath("policy.yaml"), PolicyError, name=policy.source)
    found = [*_codes(policy), *_dates(policy), *_citations(policy, today)]
    problems = [Problem(str(PolicyError(what, where=document.where(key), remedy=how))) for what, key, how in found]
    problems += [
        Problem(f"{what} at {document.where(key)}. {how}", warning=True) for what, key, how in _first_day(policy)
    ]
    return [*problems, *_cases(authored, library, terms, today)]


Found = tuple[str, Key, str]


# --------------------------------------------------------------------------------------------------- codes


@lru_cache(maxsize=1)
def icd10() -> Callable[[str], bool] | None:
    """Whether a code or branch is in ICD-10-CM; None where the package that knows is not installed."""
    try:
        codes = importlib.import_module("simple_icd_10_cm")
    except ImportError:
        return None
    return lambda code: bool(codes.is_valid_item(code))


def _codes(policy: Policy) -> Iterator[Found]:
    exists = icd10()
    if exists is None:
        return
    named: list[tuple[str, Key]] = [
        (code, ("applies-to", "diagnoses", i)) for i, code in enumerate(policy.applies_to.diagnoses)
    ]
    for name, threshold in policy.thresholds.items():
        for i, value in enumerate(threshold.values):
            named += [(code, ("thresholds", name, "values", i, "for", j)) for j, code in enumerate(value.diagnoses)]
    for code, key in named:
        if not exists(code):
            yield f"ICD-10-CM has no '{code}'", key, "Give a category, a branch or a code of ICD-10-CM"


# --------------------------------------------------------------------------------------------------- dates


def _dates(policy: Policy) -> Iterator[Found]:
    until = f" to {policy.end}" if policy.end else ""
    for name, threshold in policy.thresholds.items():
        seen: dict[tuple[date, tuple[str, ...]], int] = {}
        for i, value in enumerate(threshold.values):
            key: Key = ("thresholds", name, "values", i, "from")
            if value.start < policy.start or (policy.end is not None and value.start >= policy.end):
                yield (
                    f"The figure of {value.start} lies outside the policy's time",
                    key,
                    f"The policy is in force from {policy.start}{until}",
                )
            if (value.start, value.diagnoses) in seen:
                yield f"Two figures of '{name}' begin on {value.start} for the same diagnoses", key, "Keep one of them"
            seen[value.start, value.diagnoses] = i


def _first_day(policy: Policy) -> Iterator[Found]:
    """A figure that begins later leaves its criteria unknown until then."""
    for name, threshold in policy.thresholds.items():
        first = min(value.start for value in threshold.values)
        if first > policy.start:
            says = f"Warning: '{name}' has no figure from {policy.start} to the day before {first}"
            yield says, ("thresholds", name), "Until then its criteria are unknown"


def _citations(policy: Policy, today: date) -> Iterator[Found]:
    cited: list[tuple[Citation, Key]] = [(policy.cite, ("cite",))]
    cited += [(criterion.cite, ("criteria", i, "cite")) for i, criterion in enumerate(policy.criteria)]
    for name, threshold in policy.thresholds.items():
        cited += [(v.cite, ("thresholds", name, "values", i, "cite")) for i, v in enumerate(threshold.values)]
    for cite, key in cited:
        if date.fromisoformat(cite.checked_on) > today:
            yield (
                f"The citation was checked on {cite.checked_on}, which is still to come",
                (*key, "checked_on"),
                "Give the day on which somebody last read the source",
            )


# --------------------------------------------------------------------------------------------------- cases


def _cases(authored: Authored, library: Sequence[Authored], terms: Terminology, today: date) -> Iterator[Problem]:
    try:
        read_equivalents(authored)
        cases = read_cases(authored, library)
    except CdsError as error:
        yield Problem(str(error))
        return
    for case in cases:
        try:
            build(case, terms, today)
        except CdsError as error:
            yield Problem(str(error))
    if not cases:
        where = f"{authored.policy.id}/cases/"
        yield Problem(f"Warning: the policy has no cases at {where}. Add one for each side of each figure", True)


# ------------------------------------------------------------------------------------------------ overlaps


@dataclass(frozen=True)
class Tie:
    """Two policies that some order may match equally well."""

    one: Policy
    other: Policy

    def __str__(self) -> str:
        """What it means, and what to do."""
        return (
            f"Warning: {self.one.id} ({self.one.source}) and {self.other.id} ({self.other.source}) can match an order "
            "equally well, and a tie is no policy. Make one more specific under applies-to, or end one before the "
            "other begins"
        )


def overlaps(policies: Iterable[Policy], terms: Terminology) -> Iterator[Tie]:
    """Pairs of policies that some order would match equally well, so that neither would be in force."""
    choosable = [policy for policy in policies if policy.kind not in ADDING_KINDS]
    for one, other in combinations(sorted(choosable, key=lambda policy: policy.id), 2):
        if _same_time(one, other) and all(_can_tie(one, other, each.name, terms) for each in fields(one.applies_to)):
            yield Tie(one, other)


def _same_time(one: Policy, other: Policy) -> bool:
    return (other.end is None or one.start < other.end) and (one.end is None or other.start < one.end)


def _can_tie(one: Policy, other: Policy, field: str, terms: Terminology) -> bool:
    """Whether a field can rank the same for both: both apply to all, or both name what one order can have."""
    mine: tuple[str, ...] = getattr(one.applies_to, field)
    theirs: tuple[str, ...] = getattr(other.applies_to, field)
    if not mine or not theirs:
        return not mine and not theirs
    if set(mine) & set(theirs):
        return True
    if field != "services":
        return False
    codes = [{code for name in names for code in terms.valueset(name).codes} for names in (mine, theirs)]
    return bool(codes[0] & codes[1])
