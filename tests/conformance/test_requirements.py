"""Every SHALL and SHOULD on a service has a row in requirements.csv, with the test that proves it or why none does.

requirements.csv   one row for each statement on a service
lines.csv          each line with a key word in CDS Hooks' `input/pagecontent/index.md` (2.0.1: the tag v2.0.1; 3.0: the
                   ballot build fb10ca77 of 2026-06-24), and the rows it has here, or whom it binds instead
crd-2.2.1.txt      the ids of all CRD statements whose actor is the server
"""

from __future__ import annotations

import ast
import csv
import re
from functools import lru_cache
from pathlib import Path

import pytest

Row = dict[str, str]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]

COLUMNS = ["id", "source", "section", "strength", "statement", "status", "proof", "note"]
STATUSES = {"proven", "by-design", "not-applicable"}
KEY_WORDS = {"SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "RECOMMENDED", "CONDITIONAL", "OPTIONAL", "MAY"}
OTHERS = {"client", "author", "words", "may"}  # the client; writers of hooks; the key words themselves; only allowed
CDS_HOOKS = {"CDS Hooks 2.0.1": 158, "CDS Hooks 3.0": 171}  # versions, and how many lines of each are sorted
CRD, CRD_STATEMENTS = "Da Vinci CRD 2.2.1", 143
LONGEST = 160


def read(name: str) -> list[Row]:
    """A table of this folder."""
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = read("requirements.csv")
LINES = read("lines.csv")


@lru_cache(maxsize=64)
def defined_in(path: str) -> frozenset[str]:
    """The tests that a file defines; none where there is no such file."""
    file = ROOT / path
    if not path.startswith("tests/") or not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def wrong_in(row: Row) -> list[str]:
    """What a row lacks or names in vain."""
    proofs = [proof.split("::") for proof in row["proof"].split()]
    wrong = [f"no such test: {'::'.join(each)}" for each in proofs if each[-1] not in defined_in(each[0])]
    if row["status"] == "proven" and not proofs:
        wrong.append("proven by no test")
    if row["status"] != "proven" and not row["note"]:
        wrong.append("neither proven nor explained")
    if row["status"] not in STATUSES or row["strength"] not in KEY_WORDS:
        wrong.append("an unknown status or strength")
    if not 0 < len(row["statement"]) <= LONGEST or not row["section"]:
        wrong.append("no statement, a long one, or no section")
    return wrong


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_it_is_proven_or_explained_when_a_row_stands_in_the_table(row: Row) -> None:
    assert list(row) == COLUMNS
    assert wrong_in(row) == []


MINE = f"tests/conformance/{Path(__file__).name}::test_each_id_stands_once_when_rows_are_listed"
GOOD = {"id": "a-1", "section": "A", "strength": "SHALL", "statement": "It is so", "status": "proven", "proof": MINE}
SPOILT: tuple[tuple[Row, str], ...] = (
    ({"proof": ""}, "proven by no test"),
    ({"proof": f"{MINE} {MINE}_and_more"}, "no such test"),
    ({"proof": MINE.replace("test_requirements", "test_nothing")}, "no such test"),
    ({"proof": MINE.replace("tests/", "")}, "no such test"),
    ({"proof": MINE.replace("::", " ")}, "no such test"),
    ({"status": "by-design"}, "neither proven nor explained"),
    ({"status": "not-applicable", "proof": ""}, "neither proven nor explained"),
    ({"status": "done", "note": "x"}, "unknown status"),
    ({"status": "not-yet", "note": "x"}, "unknown status"),
    ({"strength": "must"}, "strength"),
    ({"statement": "x" * (LONGEST + 1)}, "statement"),
    ({"statement": ""}, "statement"),
)


@pytest.mark.parametrize(("change", "told"), SPOILT)
def test_it_is_told_when_a_row_is_wrong(change: Row, told: str) -> None:
    assert wrong_in(GOOD | {"note": ""}) == []
    assert told in "; ".join(wrong_in(GOOD | {"note": ""} | change))


def test_each_id_stands_once_when_rows_are_listed() -> None:
    ids = [row["id"] for row in ROWS]
    assert sorted(ids) == sorted(set(ids))


# ----------------------------------------------------------------------------------------------------- sources


def test_every_statement_of_crd_has_its_row_when_the_source_is_read() -> None:
    statements = (HERE / "crd-2.2.1.txt").read_text(encoding="utf-8").split()
    assert len(set(statements)) == len(statements) == CRD_STATEMENTS
    assert {row["id"] for row in ROWS if row["source"] == CRD} == set(statements)


@pytest.mark.parametrize("version", CDS_HOOKS)
def test_every_line_of_cds_hooks_is_sorted_when_the_source_is_read(version: str) -> None:
    mine = [line for line in LINES if line["version"] == version]
    assert len({line["line"] for line in mine}) == len(mine) == CDS_HOOKS[version]
    known = {row["id"] for row in ROWS} | OTHERS
    assert [line for line in mine if not line["rows"] or not set(line["rows"].split()) <= known] == []


@pytest.mark.parametrize("version", CDS_HOOKS)
def test_a_row_is_found_in_the_text_when_it_names_that_version(version: str) -> None:
    named = {name for line in LINES if line["version"] == version for name in line["rows"].split()} - OTHERS
    number = version.removeprefix("CDS Hooks ")
    rows = [row for row in ROWS if row["source"].startswith("CDS Hooks ") and "Library" not in row["source"]]
    assert {row["id"] for row in rows if number in re.split(r", | ", row["source"])} == named


def test_the_source_is_one_of_ours_when_a_row_names_it() -> None:
    ours = {CRD: r"[a-z]+-\d+", "CDS Hooks Library 1.0.1": r"library-1\.0\.1/[a-z]+-[A-Za-z-]+"}
    ours |= {"CDS Hooks 3.0": r"hooks-3\.0/[a-z]+-\d+", "CDS Hooks 2.0.1, 3.0": r"hooks-2\.0\.1/[a-z]+-\d+"}
    assert [row["id"] for row in ROWS if not re.fullmatch(ours.get(row["source"], "-"), row["id"])] == []
