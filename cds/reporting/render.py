"""Tables as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from cds.reporting.figures import Report
from cds.reporting.table import SHARE, TIME, Cell, Table

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(table: Table) -> str:
    """A table for a spreadsheet: one heading row of keys; what cannot be known is an empty cell, a share 0 to 1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def json_of(report: Report, tables: Iterable[Table]) -> dict[str, Any]:
    """A report for other programs: the period, and each table as a list of objects by the columns' keys."""
    return {
        "begins": report.begins or None,
        "ends": report.ends or None,
        "calls": report.calls,
        "expired": report.expired,
        "cards": {
            "shown": report.cards.shown,
            "accepted": report.cards.accepted,
            "overridden": report.cards.overridden,
            "noFeedback": report.cards.no_feedback,
            "falseAlarms": report.cards.false_alarms,
            "withFeedback": report.cards.with_feedback,
            "falseAlarmRate": report.cards.false_alarm_rate,
        },
        **{
            table.id: [dict(zip((column.key for column in table.columns), row, strict=True)) for row in table.rows]
            for table in tables
        },
    }


def words(cell: Cell, kind: str) -> str:
    """A cell for people: shares in percent, times in whole milliseconds where they are long, nothing as a dash."""
    if cell is None or cell == "":
        return "–"
    if kind == SHARE and isinstance(cell, float):
        return f"{cell:.0%}".replace("%", " %")
    if kind == TIME and isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 10 else f"{cell:.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _harmless(cell: Cell) -> Cell:
    """Text that a client wrote must not become a formula on somebody's machine."""
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
