"""What a report holds: figures by criterion, policy, client and day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cds.reporting.latencies import Latencies

# What a silence must come to before it is told: less than one chance in a thousand.
UNLIKELY = 0.001
# How an override's reason is known: its system and code.
Reason = tuple[str, str]


@dataclass
class CardFigures:
    """What became of cards.

    `overrides` are counted by reason, ("", "") where none was given; of a card that was reported more than once the
    last report counts.
    """

    shown: int = 0
    accepted: int = 0
    overrides: Counter[Reason] = field(default_factory=Counter)
    false_alarms: int = 0

    @property
    def overridden(self) -> int:
        """How many of the cards were overridden."""
        return self.overrides.total()

    @property
    def with_feedback(self) -> int:
        """Of how many of the cards anybody said what became of them."""
        return self.accepted + self.overridden

    @property
    def no_feedback(self) -> int:
        """Of how many of the cards nobody did."""
        return self.shown - self.with_feedback

    @property
    def false_alarm_rate(self) -> float | None:
        """False alarms over cards with feedback (docs/reports.md); None where there is no feedback."""
        return self.false_alarms / self.with_feedback if self.with_feedback else None


@dataclass
class CriterionFigures(CardFigures):
    """One criterion of a policy: how it came out, and what became of its cards.

    A card about several criteria counts for each.
    """

    results: Counter[str] = field(default_factory=Counter)
    why_unknown: Counter[str] = field(default_factory=Counter)


@dataclass
class PolicyFigures:
    """One policy: how often it was applied and with which outcome, and since when it has been silent.

    `calls_until_last` are all calls of the service up to the last one in which it was applied, `calls_since` those
    after it.
    """

    assessments: int = 0
    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    gaps: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    last: str = ""
    calls_until_last: int = 0
    calls_since: int = 0

    @property
    def is_silent(self) -> bool:
        """Whether it has not been applied for so long that chance hardly explains it.

        It was applied in a share of the calls up to its last (by the rule of succession, so that a few calls make no
        certainty); so many calls after it would be less likely than `UNLIKELY`, if that share still held.
        """
        share = self.calls / (self.calls_until_last + 1)
        return bool((1 - share) ** self.calls_since < UNLIKELY)


@dataclass
class ClientFigures:
    """One client: how its prefetch comes, what came of the searches, how long calls took."""

    calls: Counter[str] = field(default_factory=Counter)
    prefetch: dict[str, Counter[str]] = field(default_factory=dict)
    evidence: dict[str, Counter[str]] = field(default_factory=dict)
    milliseconds: Latencies = field(default_factory=Latencies)
    searches: dict[str, Latencies] = field(default_factory=dict)


@dataclass
class DayFigures:
    """One day (UTC): calls and cards, and how often each policy was applied."""

    calls: int = 0
    cards: int = 0
    policies: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """What happened in a period. `begins` and `ends` are the first and last moment on record in it, UTC, or empty.

    `days` has every day between them, those without a call too. `expired` are calls past their retention, of which
    nothing but their number is known. `cards` counts each card once. `refusals` are no calls; they are counted
    by client, status and code, the last two empty where they are known by their number only.
    """

    begins: str = ""
    ends: str = ""
    calls: int = 0
    expired: int = 0
    cards: CardFigures = field(default_factory=CardFigures)
    criteria: dict[tuple[str, str], CriterionFigures] = field(default_factory=dict)
    policies: dict[str, PolicyFigures] = field(default_factory=dict)
    clients: dict[str, ClientFigures] = field(default_factory=dict)
    days: dict[str, DayFigures] = field(default_factory=dict)
    refusals: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reasons: dict[Reason, str] = field(default_factory=dict)

    @property
    def silent(self) -> Mapping[str, PolicyFigures]:
        """The policies that seem to have stopped being applied."""
        return {name: figures for name, figures in self.policies.items() if figures.is_silent}
