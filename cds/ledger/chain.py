"""The chain: each entry's hash covers the one before it, so that nothing is changed, taken out or put in unseen.

    hash = SHA-256 of the JSON list [previous hash, sequence, id, kind, recorded, SHA-256 of the body]

A body may be taken away when its retention is over; its digest stays, and the chain with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from cds.ledger.tables import entries, head

BEGINNING = "0" * 64
RETENTION = "retention"
# Made once: building a statement costs more than running it.
_END = select(head.c.sequence, head.c.hash).where(head.c.id == 1).with_for_update()
_ENTRY = insert(entries)
_MOVE = update(head).where(head.c.id == 1)


@dataclass(frozen=True)
class Break:
    """A place where the chain does not hold: the entry, and what is wrong with it."""

    sequence: int
    id: str
    what: str

    def __str__(self) -> str:
        """One line for an auditor."""
        name = f" ({self.id})" if self.id else ""
        return f"entry {self.sequence}{name}: {self.what}"


def digest_of(body: str) -> str:
    """The SHA-256 of a body, in hexadecimal."""
    return hashlib.sha256(body.encode()).hexdigest()


def hash_of(previous: str, sequence: int, id_: str, kind: str, recorded: str, digest: str) -> str:
    """The hash of an entry, over the hash of the one before it."""
    covered = json.dumps([previous, sequence, id_, kind, recorded, digest], separators=(",", ":"))
    return hashlib.sha256(covered.encode()).hexdigest()


def append(connection: Connection, id_: str, kind: str, recorded: str, body: str) -> int:
    """Put an entry at the end of the chain, and give its sequence. Other writers wait until this one is through."""
    last = connection.execute(_END).one()
    sequence = int(last.sequence) + 1
    digest = digest_of(body)
    new_hash = hash_of(last.hash, sequence, id_, kind, recorded, digest)
    row = {"sequence": sequence, "id": id_, "kind": kind, "recorded": recorded, "body": body, "digest": digest}
    connection.execute(_ENTRY, row | {"previous": last.hash, "hash": new_hash})
    connection.execute(_MOVE, {"sequence": sequence, "hash": new_hash})
    return sequence


def breaks(connection: Connection) -> Iterator[Break]:
    """Every place where the chain does not hold, first to last; none where all is well.

    To be run on one state of the database (`cds.ledger.database.reading`). An entry that was changed or put in without
    knowledge of the rules breaks its own hash; with it, the entry after it, or the head, rests on another one.
    """
    end = connection.execute(select(head.c.sequence, head.c.hash).where(head.c.id == 1)).one_or_none()
    forgotten = _forgotten(connection)
    rows = connection.execute(select(entries).order_by(entries.c.sequence).execution_options(yield_per=500))
    before = _Before(0, "", BEGINNING)
    for row in rows:
        if row.sequence != before.sequence + 1:
            if row.sequence <= before.sequence or row.sequence % 1:
                yield Break(row.sequence, row.id, "it was put in")
                continue
            yield Break(before.sequence + 1, "", _missing(before.sequence + 1, row.sequence - 1))
        wrong = list(_of_itself(row, forgotten))
        if row.sequence == before.sequence + 1 and row.previous != before.hash and not (before.is_wrong or wrong):
            yield Break(
                before.sequence, before.id, "the entry after it rests on another one: it was changed or replaced"
            )
        yield from wrong
        before = _Before(row.sequence, row.id, row.hash, bool(wrong))
    yield from _at_the_end(end, before)


@dataclass(frozen=True)
class _Before:
    """What is known of the entry before."""

    sequence: int
    id: str
    hash: str
    is_wrong: bool = False


def _of_itself(row: Row[tuple[object, ...]], forgotten: Sequence[tuple[int, str]]) -> Iterable[Break]:
    if row.body is None:
        if not any(row.sequence <= last and row.recorded < before for last, before in forgotten):
            yield Break(row.sequence, row.id, "its body is missing, and no retention took it away")
    elif not _is_as_written(row.body, row.digest):
        yield Break(row.sequence, row.id, "its body was changed")
    if hash_of(row.previous, row.sequence, row.id, row.kind, row.recorded, row.digest) != row.hash:
        yield Break(row.sequence, row.id, "it was changed, or put in")


def _is_as_written(body: object, digest: str) -> bool:
    """Whether a body is still what its digest says. SQLite takes bytes, too, where text belongs."""
    return isinstance(body, str) and digest_of(body) == digest


def _at_the_end(end: Any, last: _Before) -> Iterable[Break]:  # noqa: ANN401 - the row of `head`, if it is there
    if end is None:
        yield Break(last.sequence, last.id, "the head of the chain, which names its end, is gone")
    elif end.sequence > last.sequence:
        yield Break(last.sequence + 1, "", _missing(last.sequence + 1, end.sequence))
    elif end.sequence < last.sequence:
        what = "it is beyond the end that the head of the chain names: it was put in, or the head was changed"
        yield Break(end.sequence + 1, last.id if end.sequence + 1 == last.sequence else "", what)
    elif end.hash != last.hash and not last.is_wrong:
        yield Break(last.sequence, last.id, "the head of the chain names another end: it or the head was changed")


def _forgotten(connection: Connection) -> list[tuple[int, str]]:
    """What recorded retentions have taken away: bodies up to an entry that were recorded before a moment."""
    rows = connection.execute(
        select(entries.c.body, entries.c.digest).where(entries.c.kind == RETENTION, entries.c.body.is_not(None))
    )
    told = [json.loads(row.body) for row in rows if _is_as_written(row.body, row.digest)]
    # The last one mostly covers all others; a later one covers less where clocks were set back.
    widest: dict[str, int] = {}
    for each in told:
        widest[each["before"]] = max(each["last"], widest.get(each["before"], 0))
    found: list[tuple[int, str]] = []
    for before, last in sorted(widest.items(), reverse=True):
        if not found or last > found[-1][0]:
            found.append((last, before))
    return found


def _missing(first: int, last: int) -> str:
    return "it is missing" if first == last else f"it and the entries to {last} are missing"
