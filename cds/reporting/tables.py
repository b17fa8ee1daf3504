"""A report as tables: the same for the terminal, a spreadsheet, other programs and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from cds.model import EvidenceState, Outcome, Result
from cds.reporting.figures import CriterionFigures, Reason, Report
from cds.reporting.latencies import Latencies
from cds.reporting.table import SHARE, TEXT, TIME, Cell, Column, Table

T = TypeVar("T")
HABITS = ("sent", "empty", "null", "error", "absent")
MOST_REASONS = 5
_SHORTER = {"insufficient-information": "not-enough-information", "not-applicable": "does-not-apply"}
MOST_GAPS = 10


def tables(report: Report, false_alarms: Collection[Reason] = ()) -> tuple[Table, ...]:
    """Every table of a report, those that matter most first; `false_alarms` are the reasons that tell of one."""
    return (
        _policies(report),
        _criteria(report),
        _overrides(report, false_alarms),
        _unknown(report),
        _gaps(report),
        _clients(report),
        _refusals(report),
        _prefetch(report),
        _evidence(report),
        _days(report),
    )


def _policies(report: Report) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, figures in sorted(report.policies.items()):
        outcomes = tuple(figures.outcomes[outcome.value] for outcome in Outcome)
        watch = "never applied" if not figures.calls else "silent" if figures.is_silent else ""
        versions = ", ".join(sorted(figures.versions))
        rows.append((name, versions, figures.assessments, *outcomes, figures.last[:10], figures.calls_since, watch))
    return Table(
        "policies",
        "Policies",
        "How often each was applied, with which outcome, and how many calls ago last. Silent: so many calls without "
        "it that chance hardly explains them.",
        (
            Column("policy", "Policy", TEXT),
            Column("versions", "Versions", TEXT),
            Column("applied", "Applied"),
            *(Column(outcome.value, _words(outcome.value)) for outcome in Outcome),
            Column("last", "Last", TEXT),
            Column("callsSince", "Calls since"),
            Column("watch", "Watch", TEXT),
        ),
        tuple(rows),
    )


def _criteria(report: Report) -> Table:
    return Table(
        "criteria",
        "Criteria",
        "How each came out, and what became of its cards. A card about several criteria counts for each. False alarms: "
        "overrides that say the record is wrong or it was done elsewhere; their rate is over cards with feedback.",
        (
            Column("policy", "Policy", TEXT),
            Column("criterion", "Criterion", TEXT),
            *(Column(result.value, _words(result.value)) for result in Result),
            Column("shown", "Cards shown"),
            Column("accepted", "Accepted"),
            Column("overridden", "Overridden"),
            Column("noFeedback", "No feedback"),
            Column("falseAlarms", "False alarms"),
            Column("withFeedback", "With feedback"),
            Column("falseAlarmRate", "False alarm rate", SHARE),
        ),
        tuple((*name, *_criterion(figures)) for name, figures in sorted(report.criteria.items())),
    )


def _criterion(figures: CriterionFigures) -> tuple[Cell, ...]:
    return (
        *(figures.results[result.value] for result in Result),
        figures.shown,
        figures.accepted,
        figures.overridden,
        figures.no_feedback,
        figures.false_alarms,
        figures.with_feedback,
        figures.false_alarm_rate,
    )


def _overrides(report: Report, false_alarms: Collection[Reason]) -> Table:
    rows = [
        (*name, _reason_words(reason, report), reason[1], "yes" if reason in false_alarms else "no", times)
        for name, figures in sorted(report.criteria.items())
        for reason, times in _most(figures.overrides)
    ]
    return Table(
        "overrides",
        "Why cards were overridden",
        "By criterion, the last report of each card.",
        (
            Column("policy", "Policy", TEXT),
            Column("criterion", "Criterion", TEXT),
            Column("reason", "Reason", TEXT),
            Column("code", "Code", TEXT),
            Column("falseAlarm", "False alarm", TEXT),
            Column("times", "Cards"),
        ),
        tuple(rows),
    )


def _reason_words(reason: Reason, report: Report) -> str:
    return report.reasons.get(reason, reason[1]) or "no reason given"


def _unknown(report: Report) -> Table:
    rows = [
        (*name, why, times)
        for name, figures in sorted(report.criteria.items())
        for why, times in _most(figures.why_unknown, MOST_REASONS)
    ]
    return Table(
        "unknown",
        "Why criteria were unknown",
        f"What was missing, the {MOST_REASONS} commonest of each criterion.",
        (
            Column("policy", "Policy", TEXT),
            Column("criterion", "Criterion", TEXT),
            Column("missing", "What was missing", TEXT),
            Column("times", "Times"),
        ),
        tuple(rows),
    )


def _gaps(report: Report) -> Table:
    rows = [
        (name, fact, state, why, times)
        for name, figures in sorted(report.policies.items())
        for (fact, state, why), times in _most(figures.gaps, MOST_GAPS)
    ]
    return Table(
        "gaps",
        "What could not be had",
        f"Gaps in the evidence, the {MOST_GAPS} commonest of each policy.",
        (
            Column("policy", "Policy", TEXT),
            Column("fact", "Fact", TEXT),
            Column("state", "State", TEXT),
            Column("reason", "Reason", TEXT),
            Column("times", "Times"),
        ),
        tuple(rows),
    )


def _clients(report: Report) -> Table:
    rows = [
        (name, service, calls, *_times(figures.milliseconds))
        for name, figures in sorted(report.clients.items())
        for service, calls in sorted(figures.calls.items())
    ]
    return Table(
        "clients",
        "Clients",
        "Calls by client and service, and how long this client's calls took, all services together.",
        (
            Column("client", "Client", TEXT),
            Column("service", "Service", TEXT),
            Column("calls", "Calls"),
            Column("median", "Median ms", TIME),
            Column("percentile95", "95th percentile ms", TIME),
        ),
        tuple(rows),
    )


def _refusals(report: Report) -> Table:
    rows = [(client, status, code, times) for (client, status, code), times in _most(report.refusals)]
    return Table(
        "refusals",
        "Refused calls",
        "By client, status and code of the error. Of a flood most are only counted.",
        (
            Column("client", "Client", TEXT),
            Column("status", "Status", TEXT),
            Column("code", "Code", TEXT),
            Column("times", "Calls"),
        ),
        tuple(rows),
    )


def _prefetch(report: Report) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, figures in sorted(report.clients.items()):
        for key, habits in figures.prefetch.items():
            calls = habits.total()
            rows.append((name, key, calls, *(habits[habit] / calls for habit in HABITS)))
    return Table(
        "prefetch",
        "How prefetch comes",
        "Of the calls of a client, the share in which a key came with resources, as an empty Bundle, as null, as an "
        "error (OperationOutcome), or not at all.",
        (
            Column("client", "Client", TEXT),
            Column("key", "Key", TEXT),
            Column("calls", "Calls"),
            *(Column(habit, habit.capitalize(), SHARE) for habit in HABITS),
        ),
        tuple(rows),
    )


def _evidence(report: Report) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, figures in sorted(report.clients.items()):
        for resource, states in sorted(figures.evidence.items()):
            searches = figures.searches.get(resource, Latencies())
            counts = (states[state.value] for state in EvidenceState)
            rows.append((name, resource, *counts, searches.count, *_times(searches)))
    return Table(
        "evidence",
        "Where evidence came from",
        "By client and resource: what came of each question, and how long the client's FHIR server took for those "
        "that it was asked.",
        (
            Column("client", "Client", TEXT),
            Column("resource", "Resource", TEXT),
            *(Column(state.value, _words(state.value)) for state in EvidenceState),
            Column("searches", "Searches"),
            Column("median", "Median ms", TIME),
            Column("percentile95", "95th percentile ms", TIME),
        ),
        tuple(rows),
    )


def _days(report: Report) -> Table:
    names = sorted({name for day in report.days.values() for name in day.policies})
    rows: list[tuple[Cell, ...]] = [
        (day, each.calls, each.cards, *(each.policies[name] for name in names)) for day, each in report.days.items()
    ]
    return Table(
        "days",
        "Day by day",
        "Calls and cards of each day (UTC), and how often each policy was applied.",
        (
            Column("day", "Day", TEXT),
            Column("calls", "Calls"),
            Column("cards", "Cards"),
            *(Column(name, name) for name in names),
        ),
        tuple(rows),
    )


def _times(latencies: Latencies) -> tuple[float | None, float | None]:
    return latencies.percentile(0.5), latencies.percentile(0.95)


def _words(value: str) -> str:
    """A code as a heading, of short words.

    >>> _words("not-met"), _words("insufficient-information")
    ('Not met', 'Not enough information')
    """
    value = _SHORTER.get(value, value)
    return value.replace("-", " ").capitalize()


def _most(counts: Counter[T], most: int | None = None) -> Iterable[tuple[T, int]]:
    """The commonest first; those as common as each other in the order of their words."""
    ordered: Sequence[tuple[T, int]] = sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))
    return ordered[:most]
