"""Entries of the ledger to figures, in one pass.

Kept in memory are the figures, and for each card with feedback its last report: nothing that grows with the calls.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from cds.ledger.ledger import CALL, FEEDBACK, REFUSAL, Entry
from cds.reporting.figures import (
    CardFigures,
    ClientFigures,
    CriterionFigures,
    DayFigures,
    PolicyFigures,
    Reason,
    Report,
)
from cds.reporting.joined import criterion_policy, join
from cds.reporting.latencies import Latencies

Json = Mapping[str, Any]
K = TypeVar("K")
F = TypeVar("F")
NO_POLICY = "(no policy)"
NO_REASON: Reason = ("", "")
# Patients' own: references and days make a reason of its own of each patient's.
_OWN = re.compile(r" ?\(?\b[A-Z][A-Za-z]+/[A-Za-z0-9.-]+\)?|\b\d{4}-\d\d(-\d\d)?\b")


@dataclass(frozen=True)
class Choice:
    """Which part of the ledger is counted: calls recorded from `since` until before `until`, of one policy.

    Feedback counts by when its card was shown, however late it came. With a policy, only its criteria and figures
    are counted; clients and calls are counted all the same. With a client, nothing of others is counted, nor calls past
    their retention: nobody knows any more whose they were.
    """

    since: datetime | None = None
    until: datetime | None = None
    policy: str | None = None
    client: str | None = None

    def is_of_client(self, body: Json | None) -> bool:
        """Whether an entry's body is of a client that is counted."""
        return self.client is None or (body is not None and body["client"] == self.client)

    def holds(self, recorded: str) -> bool:
        """Whether a call recorded at this moment is counted."""
        moment = datetime.fromisoformat(recorded)
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def wants(self, policy: str) -> bool:
        """Whether a policy's figures are counted."""
        return self.policy in (None, policy)


def count(
    entries: Iterable[Entry],
    choice: Choice,
    *,
    false_alarms: Collection[Reason] = (),
    reasons: Mapping[Reason, str] | None = None,
    known: Iterable[str] = (),
) -> Report:
    """The report of these entries, oldest first: calls and feedback from the choice's beginning to the end.

    `false_alarms` are the reasons that tell of one, `reasons` the words of those that this service offers. `known`
    are policies that shall be in the report though they were never applied.
    """
    counting = _Counting(choice, frozenset(false_alarms), Report(reasons=dict(reasons or {})))
    for name in known:
        if choice.wants(name):
            counting.report.policies.setdefault(name, PolicyFigures())
    for entry in entries:
        if not choice.is_of_client(entry.body):
            continue
        if entry.kind == CALL and choice.holds(entry.recorded):
            counting.call(entry)
        elif entry.kind == FEEDBACK and entry.body is not None:
            counting.feedback(entry.body)
        elif entry.kind == REFUSAL and entry.body is not None and choice.holds(entry.recorded):
            counting.refusal(entry.body)
    return counting.done()


@dataclass
class _Counting:
    choice: Choice
    false_alarms: frozenset[Reason]
    report: Report
    last_said: dict[str, Json] = field(default_factory=dict)

    def call(self, entry: Entry) -> None:
        report, body = self.report, entry.body
        report.begins = report.begins or entry.recorded
        report.ends = entry.recorded
        report.calls += 1
        day = _of(report.days, _day(entry.recorded), DayFigures)
        day.calls += 1
        if body is None:
            report.expired += 1
            return
        day.cards += len(body.get("cards", ()))
        self._client(body)
        applied = [name for each in body["assessments"] for name in self._assessment(each["is"])]
        day.policies.update(applied)
        for name in set(applied):
            figures = report.policies[name]
            figures.calls += 1
            figures.last, figures.calls_until_last = entry.recorded, report.calls
        for card in body.get("cards", ()):
            for card_figures in self._figures_of(join(body, card).criteria):
                card_figures.shown += 1

    def _assessment(self, told: Json) -> list[str]:
        """Count an assessment; the policies that were applied in it, each once."""
        for row in told["criteria"]:
            policy = criterion_policy(told, row)
            if not self.choice.wants(policy):
                continue
            figures = self._criterion(policy, row["id"])
            figures.results[row["result"]] += 1
            if row["result"] == "unknown":
                figures.why_unknown.update({general(each) for each in row["missing"] or [row["says"]]})
        applied = [name for name in (told["policy"] or NO_POLICY, *told["adding"]) if self.choice.wants(name)]
        for name in applied:
            policy_figures = _of(self.report.policies, name, PolicyFigures)
            policy_figures.assessments += 1
            policy_figures.outcomes[told["outcome"]] += 1
            policy_figures.gaps.update({(g["fact"], g["state"], general(g["reason"])) for g in told["gaps"]})
            if name == told["policy"]:
                policy_figures.versions[str(told["policyVersion"])] += 1
        return applied

    def _client(self, body: Json) -> None:
        figures = _of(self.report.clients, body["client"], ClientFigures)
        figures.calls[body["service"]] += 1
        figures.milliseconds.add(body["milliseconds"])
        for key, habit in body["prefetch"].items():
            # How many keys came that nobody asked for is a number, not a habit.
            habit = habit if key != "(not asked for)" else "sent"
            _of(figures.prefetch, key, Counter)[habit] += 1
        for each in body["evidence"]:
            _of(figures.evidence, each["resource"], Counter)[each["state"]] += 1
            if each["milliseconds"]:
                _of(figures.searches, each["resource"], Latencies).add(each["milliseconds"])

    def feedback(self, body: Json) -> None:
        for item in body["items"]:
            if self.choice.holds(item["shown"]):
                kept = {name: item.get(name) for name in ("criteria", "outcome")}
                coding = item.get("overrideReason", {}).get("reason") or {}
                self.last_said[item["card"]] = kept | {"coding": coding}

    def refusal(self, body: Json) -> None:
        self.report.refusals[(body["client"], str(body["status"]), body["code"] or "")] += 1
        if more := body.get("more"):
            self.report.refusals[(body["client"], "", "")] += more

    def done(self) -> Report:
        for item in self.last_said.values():
            for card_figures in self._figures_of([(each["policy"], each["id"]) for each in item["criteria"]]):
                self._outcome(card_figures, item)
        for figures in self.report.policies.values():
            figures.calls_since = self.report.calls - figures.calls_until_last
        self.report.days = _without_holes(self.report.days)
        return self.report

    def _figures_of(self, criteria: Sequence[tuple[str, str]]) -> list[CardFigures]:
        """Those for which a card about these criteria counts: of all cards, and of each criterion that is wanted."""
        wanted = [self._criterion(*each) for each in criteria if self.choice.wants(each[0])]
        return [self.report.cards, *wanted] if wanted or self.choice.policy is None else []

    def _outcome(self, figures: CardFigures, item: Json) -> None:
        if item["outcome"] == "accepted":
            figures.accepted += 1
            return
        coding = item["coding"]
        reason: Reason = (coding.get("system", ""), coding.get("code", ""))
        figures.overrides[reason] += 1
        figures.false_alarms += reason in self.false_alarms
        if reason != NO_REASON:
            self.report.reasons.setdefault(reason, coding.get("display") or reason[1])

    def _criterion(self, policy: str, criterion: str) -> CriterionFigures:
        return _of(self.report.criteria, (policy or NO_POLICY, criterion), CriterionFigures)


def _of(figures: dict[K, F], key: K, made: Callable[[], F]) -> F:
    """Those of a key, made where there are none yet; nothing is made in vain, for there are very many calls."""
    found = figures.get(key)
    if found is None:
        found = figures[key] = made()
    return found


@lru_cache(maxsize=10_000)
def general(reason: str) -> str:
    """A reason without what is one patient's own, so that the same reason of several patients is one.

    >>> general("visits are not on file (DocumentReference/note-1)")
    'visits are not on file'
    """
    return _OWN.sub("", reason).strip()


def _day(recorded: str) -> str:
    return datetime.fromisoformat(recorded).astimezone(UTC).date().isoformat()


def _without_holes(days: Mapping[str, DayFigures]) -> dict[str, DayFigures]:
    """Every day from the first to the last: a day without a call is a figure too."""
    if not days:
        return {}
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    every = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return {day: days.get(day) or DayFigures() for day in every}
