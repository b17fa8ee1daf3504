"""Figures become tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

import pytest

from cds.reporting.count import Choice, count
from cds.reporting.figures import Report
from cds.reporting.render import csv_text, json_of, words
from cds.reporting.table import SHARE, TEXT, TIME, Cell, Table
from cds.reporting.tables import tables
from tests.cds.reporting.entries import WRONG, Json, accepted, assessed, call, card, overridden, row, said


@pytest.fixture
def report() -> Report:
    """Two calls of one client, and what became of two of three cards."""
    rows = (row("visits", "not-met"), row("measure", "unknown", missing=("a score",)))
    cards = tuple(card(name, "visits") for name in "abc")
    habits = {"encounters": "sent", "goals": "null"}
    entries = [
        call(1, assessed(*rows, outcome="criteria-not-met"), cards=cards, prefetch=habits),
        call(2, assessed(*rows), prefetch={"encounters": "error", "goals": "null"}),
        said(3, accepted("a", "visits"), overridden("b", "visits")),
    ]
    return count(entries, Choice(), false_alarms={WRONG}, reasons={WRONG: "The record is wrong"}, known=["knee"])


def table(report: Report, name: str) -> list[Json]:
    found: Table = next(each for each in tables(report, {WRONG}) if each.id == name)
    keys = [column.key for column in found.columns]
    assert len(set(keys)) == len(keys)
    return [dict(zip(keys, cells, strict=True)) for cells in found.rows]


def test_each_criterion_has_its_counts_and_its_rate_when_cards_have_feedback(report: Report) -> None:
    measure, visits = table(report, "criteria")
    assert visits == {
        "policy": "hip", "criterion": "visits", "met": 0, "not-met": 2, "unknown": 0, "not-applicable": 0, "shown": 3,
        "accepted": 1, "overridden": 1, "noFeedback": 1, "falseAlarms": 1, "withFeedback": 2, "falseAlarmRate": 0.5,
    }  # fmt: skip
    assert (measure["unknown"], measure["shown"], measure["falseAlarmRate"]) == (2, 0, None)


def test_other_tables_tell_their_part_when_there_is_something_to_tell(report: Report) -> None:
    assert table(report, "overrides") == [
        {
            "policy": "hip", "criterion": "visits", "reason": "The record is wrong", "code": "record-wrong",
            "falseAlarm": "yes", "times": 1,
        }
    ]  # fmt: skip
    assert table(report, "unknown") == [{"policy": "hip", "criterion": "measure", "missing": "a score", "times": 2}]
    hip, knee = table(report, "policies")
    assert (hip["applied"], hip["criteria-not-met"], hip["last"], hip["watch"]) == (2, 1, "2026-03-10", "")
    assert (knee["applied"], knee["last"], knee["watch"]) == (0, "", "never applied")
    encounters, goals = table(report, "prefetch")
    assert (encounters["calls"], encounters["sent"], encounters["error"]) == (2, 0.5, 0.5)
    assert goals["null"] == 1.0
    assert table(report, "days") == [{"day": "2026-03-10", "calls": 2, "cards": 3, "hip": 2}]
    assert table(report, "clients")[0]["median"] == 20.0


def test_commonest_come_first_and_the_rest_is_left_out_when_reasons_are_many() -> None:
    missing = [("z",), ("z",), *((letter,) for letter in "abcdef")]
    report = count([call(1, assessed(row("visits", "unknown", missing=each))) for each in missing], Choice())
    assert [each["missing"] for each in table(report, "unknown")] == ["z", "a", "b", "c", "d"]


def test_csv_reads_back_when_a_table_is_written(report: Report) -> None:
    found = next(each for each in tables(report) if each.id == "criteria")
    rows = list(csv.DictReader(io.StringIO(csv_text(found))))
    assert [each["criterion"] for each in rows] == ["measure", "visits"]
    assert rows[1]["falseAlarmRate"] == "0.5"
    assert rows[0]["falseAlarmRate"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_text_is_no_formula_when_a_client_made_it_look_like_one(start: str) -> None:
    item = overridden("a", "visits") | {"overrideReason": {"reason": {"code": "x", "display": f"{start}HYPERLINK(1)"}}}
    report = count([said(1, item)], Choice())
    found = next(each for each in tables(report) if each.id == "overrides")
    (cells,) = csv.DictReader(io.StringIO(csv_text(found)))
    assert cells["reason"] == f"'{start}HYPERLINK(1)"


def test_json_has_the_period_the_cards_and_every_table_when_it_is_written(report: Report) -> None:
    told = json.loads(json.dumps(json_of(report, tables(report))))
    assert (told["calls"], told["expired"], told["begins"][:10]) == (2, 0, "2026-03-10")
    assert told["cards"] == {
        "shown": 3, "accepted": 1, "overridden": 1, "noFeedback": 1, "falseAlarms": 1, "withFeedback": 2,
        "falseAlarmRate": 0.5,
    }  # fmt: skip
    assert {each.id for each in tables(report)} <= set(told)
    assert told["criteria"][0]["falseAlarmRate"] is None


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        (None, SHARE, "–"), ("", TEXT, "–"), (0.256, SHARE, "26 %"), (1234, "number", "1,234"), (1230.0, TIME, "1,230"),
        (9.84, TIME, "9.8"), ("text", TEXT, "text"),
    ],
)  # fmt: skip
def test_cell_is_told_in_words_when_it_is_for_people(cell: Cell, kind: str, expected: str) -> None:
    assert words(cell, kind) == expected
