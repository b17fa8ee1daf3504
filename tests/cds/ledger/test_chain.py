"""What a chain tells of: whatever is done to it by somebody who may do anything in the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError

from cds.ledger.chain import BEGINNING, digest_of, hash_of
from cds.ledger.database import engine_of, writing
from cds.ledger.evidence import pack
from cds.ledger.ledger import CALL, Ledger

EVIDENCE = b'[["Observation","1","",""]]'
NAME = hashlib.sha256(EVIDENCE).hexdigest()
Tamper = Callable[[Connection], None]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = engine_of(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """Six calls, a day apart; the third one rests on evidence."""
    days = iter(range(1000))
    filled = Ledger(engine, clock=lambda: NOON + timedelta(days=next(days)))
    for number in range(1, 7):
        evidence = {NAME: ("evidence", EVIDENCE)} if number == 3 else {}
        filled.add(CALL, {"n": number, "evidence": [{"blob": name} for name in evidence]}, id_=f"e{number}",
                   content=evidence)  # fmt: skip
    assert told(filled) == []
    return filled


def told(ledger: Ledger) -> list[str]:
    return [str(each) for each in ledger.breaks()]


def unguarded(engine: Engine, tamper: Tamper) -> None:
    """What somebody does who may take the triggers away."""
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE entries DISABLE TRIGGER ALL"))
            connection.execute(text("ALTER TABLE blobs DISABLE TRIGGER ALL"))
        else:
            rows = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in rows:
                connection.execute(text(f"DROP TRIGGER {name}"))
        tamper(connection)


def sql(*statements: str, **values: Any) -> Tamper:
    def run(connection: Connection) -> None:
        for statement in statements:
            names = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), names)

    return run


def row_of(connection: Connection, sequence: int) -> Mapping[str, Any]:
    found = connection.execute(text("SELECT * FROM entries WHERE sequence = :n"), {"n": sequence}).mappings().one()
    return dict(found)


def rewritten(sequence: int, **changes: Any) -> Tamper:
    """An entry changed by somebody who knows the rules: its digest and its own hash are right again."""

    def run(connection: Connection) -> None:
        row = dict(row_of(connection, sequence)) | changes
        row["digest"] = digest_of(row["body"])
        row["hash"] = hash_of(row["previous"], sequence, row["id"], row["kind"], row["recorded"], row["digest"])
        connection.execute(
            text("UPDATE entries SET body = :body, digest = :digest, hash = :hash WHERE sequence = :sequence"),
            {name: row[name] for name in ("body", "digest", "hash", "sequence")},
        )

    return run


def swapped(connection: Connection) -> None:
    """The numbers of two entries, each the other's."""
    for old, new in ((3, 100), (4, 3), (100, 4)):
        connection.execute(text("UPDATE entries SET sequence = :new WHERE sequence = :old"), {"old": old, "new": new})


def put_in(connection: Connection) -> None:
    """An entry after the last one, right in itself; its author forgot the head."""
    last = row_of(connection, 6)
    digest = digest_of("{}")
    new = hash_of(last["hash"], 7, "e7", CALL, last["recorded"], digest)
    connection.execute(
        text("INSERT INTO entries VALUES (7, 'e7', 'call', :recorded, '{}', :digest, :previous, :hash)"),
        {"recorded": last["recorded"], "digest": digest, "previous": last["hash"], "hash": new},
    )


def put_in_between(connection: Connection) -> None:
    """All later entries moved on by one, and the gap filled."""
    for old in (6, 5, 4):
        connection.execute(
            text("UPDATE entries SET sequence = :new WHERE sequence = :old"), {"old": old, "new": old + 1}
        )
    before = row_of(connection, 3)
    digest = digest_of("{}")
    new = hash_of(before["hash"], 4, "new", CALL, before["recorded"], digest)
    connection.execute(
        text("INSERT INTO entries VALUES (4, 'new', 'call', :recorded, '{}', :digest, :previous, :hash)"),
        {"recorded": before["recorded"], "digest": digest, "previous": before["hash"], "hash": new},
    )
    connection.execute(text("UPDATE head SET sequence = 7"))


CASES: Mapping[str, tuple[Tamper, list[str]]] = {
    "a body changed": (
        sql("UPDATE entries SET body = '{}' WHERE sequence = 2"),
        ["entry 2 (e2): its body was changed"],
    ),
    "a body that is no JSON any more": (
        sql("UPDATE entries SET body = 'n' WHERE sequence = 2"),
        ["entry 2 (e2): its body was changed"],
    ),
    "a date changed": (
        sql("UPDATE entries SET recorded = '2020-01-01T00:00:00.000000Z' WHERE sequence = 2"),
        ["entry 2 (e2): it was changed, or put in"],
    ),
    "a kind changed": (
        sql("UPDATE entries SET kind = 'feedback' WHERE sequence = 6"),
        ["entry 6 (e6): it was changed, or put in"],
    ),
    "an id changed": (
        sql("UPDATE entries SET id = 'other' WHERE sequence = 1"),
        ["entry 1 (other): it was changed, or put in"],
    ),
    "a link changed": (
        sql("UPDATE entries SET previous = hash WHERE sequence = 4"),
        ["entry 4 (e4): it was changed, or put in"],
    ),
    "changed by the rules": (
        rewritten(2, body='{"n":9}'),
        ["entry 2 (e2): the entry after it rests on another one: it was changed or replaced"],
    ),
    "the last one changed by the rules": (
        rewritten(6, body='{"n":9}'),
        ["entry 6 (e6): the head of the chain names another end: it or the head was changed"],
    ),
    "one deleted": (sql("DELETE FROM entries WHERE sequence = 3"), ["entry 3: it is missing"]),
    "some deleted": (
        sql("DELETE FROM entries WHERE sequence IN (2, 3, 4)"),
        ["entry 2: it and the entries to 4 are missing"],
    ),
    "the first one deleted": (sql("DELETE FROM entries WHERE sequence = 1"), ["entry 1: it is missing"]),
    "the end cut off": (
        sql("DELETE FROM entries WHERE sequence > 4"),
        ["entry 5: it and the entries to 6 are missing"],
    ),
    "all deleted": (sql("DELETE FROM entries"), ["entry 1: it and the entries to 6 are missing"]),
    "one put in at the end": (
        put_in,
        ["entry 7 (e7): it is beyond the end that the head of the chain names: it was put in, or the head was changed"],
    ),
    "one put in before the first": (
        sql("INSERT INTO entries SELECT 0, 'e0', kind, recorded, body, digest, previous, hash "
            "FROM entries WHERE sequence = 1"),
        ["entry 0 (e0): it was put in"],
    ),
    "one put in between": (
        put_in_between,
        [f"entry {n} (e{n - 1}): it was changed, or put in" for n in (5, 6, 7)],
    ),
    "two swapped": (
        swapped,
        ["entry 3 (e4): it was changed, or put in", "entry 4 (e3): it was changed, or put in"],
    ),
    "two bodies swapped": (
        sql(
            "CREATE TABLE kept AS SELECT sequence, body FROM entries WHERE sequence IN (3, 4)",
            "UPDATE entries SET body = (SELECT body FROM kept WHERE kept.sequence = 7 - entries.sequence) "
            "WHERE sequence IN (3, 4)",
        ),
        ["entry 3 (e3): its body was changed", "entry 4 (e4): its body was changed"],
    ),
    "the head gone": (
        sql("DELETE FROM head"),
        ["entry 6 (e6): the head of the chain, which names its end, is gone"],
    ),
    "the head's hash changed": (
        sql("UPDATE head SET hash = :nothing", nothing=BEGINNING),
        ["entry 6 (e6): the head of the chain names another end: it or the head was changed"],
    ),
    "the head set back": (
        sql("UPDATE head SET sequence = 4, hash = (SELECT hash FROM entries WHERE sequence = 4)"),
        ["entry 5: it is beyond the end that the head of the chain names: it was put in, or the head was changed"],
    ),
    "a body taken away": (
        sql("UPDATE entries SET body = NULL WHERE sequence = 2"),
        ["entry 2 (e2): its body is missing, and no retention took it away"],
    ),
    "evidence gone": (
        sql("DELETE FROM blobs"),
        [f"entry 3 (e3): what it rests on is gone ({NAME[:12]}…)"],
    ),
    "evidence that cannot be unpacked": (
        sql("UPDATE blobs SET body = :odd", odd=b"odd"),
        [f"entry 3 (e3): what it rests on was changed ({NAME[:12]}…)"],
    ),
    "evidence changed": (
        sql("UPDATE blobs SET body = :other", other=pack(b"[]")),
        [f"entry 3 (e3): what it rests on was changed ({NAME[:12]}…)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_right_entry_is_named_when_somebody_with_all_rights_was_at_it(
    engine: Engine, ledger: Ledger, case: str
) -> None:
    tamper, expected = CASES[case]
    unguarded(engine, tamper)
    assert told(ledger) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE sequence = 2",
        "UPDATE entries SET kind = 'feedback' WHERE sequence = 2",
        "UPDATE entries SET hash = digest, body = NULL WHERE sequence = 2",
        "UPDATE entries SET sequence = 9 WHERE sequence = 2",
        "DELETE FROM entries WHERE sequence = 2",
        "UPDATE blobs SET hash = 'other'",
        "UPDATE blobs SET kind = kind, body = hash",
    ],
)
def test_the_database_refuses_when_an_entry_or_evidence_is_to_be_changed(
    engine: Engine, ledger: Ledger, statement: str
) -> None:
    if "body = hash" in statement and engine.dialect.name == "postgresql":
        statement = statement.replace("body = hash", "body = convert_to(hash, 'UTF8')")
    with pytest.raises(DatabaseError, match="append-only"), writing(engine) as connection:
        connection.execute(text(statement))
    assert told(ledger) == []


def test_the_database_refuses_when_entries_are_to_be_replaced_or_emptied(engine: Engine, ledger: Ledger) -> None:
    statement = (
        "TRUNCATE entries"
        if engine.dialect.name == "postgresql"
        else "INSERT OR REPLACE INTO entries "
        "SELECT sequence, id, kind, recorded, '{}', digest, previous, hash FROM entries"
    )
    with pytest.raises(DatabaseError, match="append-only"), writing(engine) as connection:
        connection.execute(text(statement))
    assert told(ledger) == []


def test_the_chain_follows_the_written_rule_when_an_auditor_reckons_it_alone(engine: Engine, ledger: Ledger) -> None:
    previous = BEGINNING
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM entries ORDER BY sequence")).mappings().all()
    for row in rows:
        digest = hashlib.sha256(row["body"].encode()).hexdigest()
        covered = [previous, row["sequence"], row["id"], row["kind"], row["recorded"], digest]
        previous = hashlib.sha256(json.dumps(covered, separators=(",", ":")).encode()).hexdigest()
        assert (row["digest"], row["hash"]) == (digest, previous)
    assert ledger.head() == (6, previous)
