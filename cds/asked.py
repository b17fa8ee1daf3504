"""What is asked of the service, and what it is lent to answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo

from cds.model import Evidence, EvidenceState, Fact, Need, Order, Query
from cds.rules.policy import Policy
from cds.terminology import Terminology

BASICS = (Need(Fact.PATIENT), Need(Fact.COVERAGE))
TECHNICAL = (EvidenceState.REFUSED, EvidenceState.LATE, EvidenceState.FAILED)


class Source(Protocol):
    """Where evidence comes from: a call's prefetch and FHIR server, or a Bundle."""

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What came of each query, never an exception."""

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What is at hand for each query, without asking anybody."""

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What came of reading single resources (`Organization/1`)."""


@dataclass(frozen=True)
class Ports:
    """What a deployment lends to every call. Immutable; holds nothing of any one call but its source."""

    terms: Terminology
    policies: tuple[Policy, ...]
    source: Source
    zone: ZoneInfo | None = None


@dataclass(frozen=True)
class Asked:
    """One question: these orders of this patient, today; `as_of` and `policy` only where somebody chose them.

    `days` are days chosen for single orders, by reference.
    """

    patient: str
    orders: tuple[Order, ...]
    today: date
    as_of: date | None = None
    policy: str | None = None
    days: Mapping[str, date] = field(default_factory=dict)
