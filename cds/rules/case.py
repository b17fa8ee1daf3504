"""One order under one policy on one day: what every test of a criterion may look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cached_property

from cds.model import Coverage, Fact, Order, Record, Span, VisitCount
from cds.rules.episode import Spell, count_visits, find_scope, find_spell
from cds.rules.finding import Finding
from cds.rules.policy import DatedValue, Policy
from cds.terminology import ICD10, Terminology


class Case:
    """Lives for one assessment. Findings of criteria are kept here, so that one may refer to another."""

    def __init__(
        self,
        order: Order,
        coverage: Coverage | None,
        record: Record,
        policy: Policy,
        as_of: date,
        terms: Terminology,
    ) -> None:
        """Nothing is computed until a test asks for it."""
        self.order = order
        self.coverage = coverage
        self.record = record
        self.policy = policy
        self.as_of = as_of
        self.terms = terms
        self.findings: dict[str, Finding] = {}
        self._values: dict[str, DatedValue | None] = {}

    def value(self, threshold: str) -> DatedValue | None:
        """The value of one of the policy's thresholds on the day, for the order's diagnoses.

        A policy that somebody chose by name for a day before its time is read as on its first day.
        """
        if threshold not in self._values:  # several tests ask, and each is asked first whether there is a value
            day = max(self.as_of, self.policy.start)
            self._values[threshold] = self.policy.thresholds[threshold].at(day, self.diagnoses)
        return self._values[threshold]

    def number(self, threshold: str) -> int | None:
        """The value as a whole number; None where the policy has none for this day and diagnosis."""
        value = self.value(threshold)
        return None if value is None else round(value.value)

    @cached_property
    def diagnoses(self) -> tuple[str, ...]:
        """The order's ICD-10-CM codes, with their dot."""
        codes = (code.code for reason in self.order.reasons for code in reason.codes if code.system == ICD10)
        return tuple(_dotted(code) for code in codes)

    def ordered(self, valueset: str) -> tuple[str, ...]:
        """The codes of the order (its own and its lines') that are in a value set."""
        wanted = self.terms.valueset(valueset)
        codes = (*self.order.concept.codes, *(line.code for line in self.order.lines))
        return tuple(dict.fromkeys(code.code for code in codes if wanted.has_code(code)))

    @cached_property
    def spell(self) -> Spell:
        """The episode of care that the order belongs to."""
        gap = self.number(self.policy.episode.gap)
        rule = self.policy.episode
        if rule.scope != "episode":
            return find_scope(self.order, self.coverage, self.record, self.as_of, rule)
        return find_spell(self.order, self.record, self.as_of, gap if gap is not None else 60)

    @cached_property
    def told_only(self) -> tuple[str, ...]:
        """Documents that tell of earlier therapy where no visit of it can be counted at all."""
        named = self.policy.episode.told_in
        if named is None or self.spell.visits or self.spell.unsure:
            return ()
        phrases = self.terms.valueset(named)
        # A later note counts too: it tells of earlier therapy, and all it can do is to leave the count in doubt.
        return tuple(note.source for note in self.record.documents if phrases.told_in(note.text))

    def _notes_unread(self) -> tuple[str, ...]:
        """Why notes may tell of earlier therapy that nobody could read, where no visit is on file either."""
        looked_for = self.policy.episode.told_in is not None and not self.spell.visits
        return self.doubts(Fact.DOCUMENTS) if looked_for else ()

    @cached_property
    def visits(self) -> VisitCount:
        """The visits of the episode, as numbers."""
        count = count_visits(self.order, self.record, self.spell, self.as_of)
        unread = self._notes_unread()
        if not self.told_only and not unread:
            return count
        reason = f"notes tell of therapy whose visits are not on file ({', '.join(self.told_only[:2])})"
        reason = reason if self.told_only else f"notes that may tell of earlier therapy: {unread[0]}"
        unsure = Span(count.completed.low, None)
        total = None if count.requested is None else unsure.plus(count.requested)
        return replace(count, completed=unsure, total=total, complete=False, doubts=(*count.doubts, reason))

    @cached_property
    def start(self) -> date:
        """The first day of the episode; the evaluation date where there was no visit yet."""
        return self.spell.start or self.as_of

    def doubts(self, *facts: Fact) -> tuple[str, ...]:
        """Why what the record says of these facts may not be all."""
        visits_only = {"first": self.spell.since, "last": self.as_of} if Fact.VISITS in facts else {}
        return self.record.doubts(*facts, **visits_only)


def _dotted(code: str) -> str:
    """Claims write `M25552` for `M25.552`."""
    bare = code.replace(".", "")
    return f"{bare[:3]}.{bare[3:]}" if len(bare) > 3 else bare
