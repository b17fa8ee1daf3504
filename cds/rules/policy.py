"""A policy as data: dated thresholds, criteria, citations, and what it applies to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

# Parameters of tests that name a threshold of the policy.
THRESHOLD_PARAMETERS = frozenset(
    (
        "limit",
        "share",
        "days",
        "days-before",
        "days-after",
        "day",
        "visits",
        "months",
        "count",
        "percent",
        "gap",
        "score",
        "least",
        "most",
    )
)


@dataclass(frozen=True)
class Leaf:
    """One test of the closed vocabulary, with its parameters."""

    kind: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class AllOf:
    """Met when every part is met."""

    parts: tuple[Test, ...]


@dataclass(frozen=True)
class AnyOf:
    """Met when one part is met."""

    parts: tuple[Test, ...]


@dataclass(frozen=True)
class Not:
    """Met when its part is not met. Only for `applies-when`."""

    part: Test


@dataclass(frozen=True)
class OfCriterion:
    """As another criterion of the same policy comes out."""

    id: str


Test = Leaf | AllOf | AnyOf | Not | OfCriterion


@dataclass(frozen=True)
class Citation:
    """Where a rule or a figure comes from, the day somebody checked it, and whether it was verified."""

    text: str
    url: str = ""
    checked_on: str = ""
    verified: bool = False


@dataclass(frozen=True)
class DatedValue:
    """A figure from a day on, for some diagnoses (ICD-10-CM branches) or for all."""

    start: date
    value: float
    diagnoses: tuple[str, ...]
    cite: Citation


@dataclass(frozen=True)
class Threshold:
    """A named figure with its unit and its values over time."""

    id: str
    unit: str
    values: tuple[DatedValue, ...]

    def at(self, day: date, diagnoses: tuple[str, ...] = ()) -> DatedValue | None:
        """The value in force on a day, the one for the most specific diagnosis first."""
        reigning = [value for value in self.values if value.start <= day]
        ranked = [(_fit(value.diagnoses, diagnoses), value) for value in reigning]
        fitting = [(fit, value) for fit, value in ranked if fit is not None]
        return max(fitting, key=lambda ranked: (ranked[0], ranked[1].start), default=(0, None))[1]


def _fit(branches: tuple[str, ...], diagnoses: tuple[str, ...]) -> int | None:
    """How long the longest branch is that one of the diagnoses lies in; 0 for all diagnoses, None for no fit."""
    if not branches:
        return 0
    return max((len(b) for b in branches if any(d.startswith(b) for d in diagnoses)), default=None)


@dataclass(frozen=True)
class Criterion:
    """One statement of a policy, and the test that settles it."""

    id: str
    statement: str
    required: bool
    test: Test
    applies_when: Test | None
    card: str | None
    cite: Citation


@dataclass(frozen=True)
class AppliesTo:
    """What a policy applies to; an empty field applies to all."""

    lines_of_business: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    payers: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    disciplines: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpisodeRule:
    """Which visits count: the threshold (days) of the gap that ends an episode, and how far the count reaches.

    `scope`: `episode`, `injury` (since the date of injury), `calendar-year` or `plan-year` (since the
    coverage began or had its anniversary). `sites`: `same` or `any`. `disciplines`: `same` or `combined`.
    `told_in`: a value set of phrases; where only notes with them tell of therapy, its amount is unknown.
    `deductible_visits`: whether a visit that went to the deductible, so that the plan paid nothing, counts.
    """

    gap: str
    scope: str = "episode"
    sites: str = "same"
    disciplines: str = "same"
    told_in: str | None = None
    deductible_visits: bool = True


@dataclass(frozen=True)
class Stance:
    """What a payer says of coverage, in the codes of CRD's coverage-information; never that something is not covered.

    `info_needed` is what has to be known before anything `conditional` is settled.
    """

    covered: str
    pa_needed: str
    doc_needed: tuple[str, ...] = ()
    doc_purpose: tuple[str, ...] = ()
    info_needed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """Dated, cited criteria for some payer, plan, line of business, jurisdiction, services and diagnoses.

    `unlisted_apart`: billing codes that are not on the plan's list get a statement of coverage of their own.
    """

    id: str
    version: str
    title: str
    kind: str
    summary: str
    applies_to: AppliesTo
    start: date
    end: date | None
    episode: EpisodeRule
    thresholds: Mapping[str, Threshold]
    criteria: tuple[Criterion, ...]
    cite: Citation
    source: str = ""
    # What was worked out from this policy once, for every call (cds.rules.needs); a changed policy begins anew.
    known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    lines: Mapping[str, int] = field(default_factory=dict)
    stances: Mapping[str, Stance] = field(default_factory=dict)
    stances_cite: Citation | None = None
    unlisted_apart: bool = False

    def in_force(self, day: date) -> bool:
        """Whether the policy is effective on a service date; its end is not included."""
        return self.start <= day and (self.end is None or day < self.end)

    def criterion(self, name: str) -> Criterion:
        """A criterion by id; KeyError when there is none."""
        return next(criterion for criterion in self.criteria if criterion.id == name)


def leaves(test: Test | None) -> Iterator[Leaf]:
    """Every leaf of a test, in order."""
    match test:
        case Leaf():
            yield test
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)


def references(test: Test | None) -> Iterator[str]:
    """Ids of the criteria that a test refers to."""
    match test:
        case OfCriterion(name):
            yield name
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from references(part)
        case Not(part):
            yield from references(part)
