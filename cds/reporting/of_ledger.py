"""The report of a ledger: what the command prints and the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cds.errors import InputError
from cds.ledger.ledger import CALL, FEEDBACK, REFUSAL, Ledger
from cds.overrides import OverrideReason
from cds.reporting.count import Choice, count
from cds.reporting.figures import Report
from cds.reporting.table import Table
from cds.reporting.tables import tables


@dataclass(frozen=True)
class Reported:
    """A report and its tables."""

    report: Report
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """One table by its id."""
        return next(table for table in self.tables if table.id == name)


def choice_of(since: date | None, until: date | None, policy: str | None) -> Choice:
    """Whole days, UTC, the last one included; InputError where the last is before the first."""
    if since is not None and until is not None and until < since:
        raise InputError("The last day is before the first", where="until", remedy="Give a later day")
    first = datetime(since.year, since.month, since.day, tzinfo=UTC) if since else None
    # The last day that there is has no day after it; then there is no end.
    after = until + timedelta(days=1) if until is not None and until < date.max else None
    end = datetime(after.year, after.month, after.day, tzinfo=UTC) if after else None
    return Choice(first, end, policy)


def report_of(ledger: Ledger, choice: Choice, offered: Sequence[OverrideReason], known: Sequence[str]) -> Reported:
    """The figures of a ledger; InputError where a policy is chosen that nobody knows.

    `offered` are the reasons that cards offer; `known` are the policies of today: one that was never applied is told.
    """
    false_alarms = {(each.code.system, each.code.code) for each in offered if each.is_false_alarm}
    reasons = {(each.code.system, each.code.code): each.code.display for each in offered}
    entries = ledger.entries(CALL, FEEDBACK, REFUSAL, since=choice.since)
    today = known if choice.policy is None else set(known) & {choice.policy}
    report = count(entries, choice, false_alarms=false_alarms, reasons=reasons, known=sorted(today))
    if choice.policy is not None and choice.policy not in report.policies:
        remedy = f"Known: {', '.join(sorted(known))}"
        raise InputError(f"Neither the ledger nor this service knows '{choice.policy}'", where="policy", remedy=remedy)
    return Reported(report, tables(report, false_alarms))
