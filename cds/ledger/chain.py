"""The chain: each entry's hash covers the one before it, so that nothing is changed, taken out or put in unseen.

    hash = SHA-256 of the JSON list [previous hash, sequence, id, kind, recorded, SHA-256 of the body]

A body may be taken away when its retention is over; its digest stays, and the chain with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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

    An entry put in without knowledge of the rules breaks its own hash; one put in with it breaks the entry after it,
    or the head.
    """
    rows = connection.execute(select(entries).order_by(entries.c.sequence).execution_options(yield_per=500))
    forgotten = _forgotten(connection)
    previous, expected = BEGINNING, 1
    for row in rows:
        if row.sequence != expected:
            yield Break(expected, "", _missing(expected, row.sequence))
        elif row.previous != previous:
            yield Break(row.sequence, row.id, "it does not follow the entry before it, which was changed or replaced")
        yield from _of_itself(row, forgotten)
        previous, expected = row.hash, row.sequence + 1
    end = connection.execute(select(head.c.sequence, head.c.hash).where(head.c.id == 1)).one_or_none()
    if end is None:
        yield Break(expected, "", "the head of the chain is missing")
    elif end.sequence >= expected:
        yield Break(expected, "", _missing(expected, end.sequence + 1))
    elif (end.sequence, end.hash) != (expected - 1, previous):
        yield Break(expected - 1, "", "it is not the end that the head of the chain names: entries were put in")


def _of_itself(row: Row[tuple[object, ...]], forgotten: int) -> Iterable[Break]:
    if row.body is None:
        if row.sequence > forgotten:
            yield Break(row.sequence, row.id, "its body is missing, and no retention took it away")
    elif digest_of(row.body) != row.digest:
        yield Break(row.sequence, row.id, "its body was changed")
    if hash_of(row.previous, row.sequence, row.id, row.kind, row.recorded, row.digest) != row.hash:
        yield Break(row.sequence, row.id, "it was changed, or put in")


def _forgotten(connection: Connection) -> int:
    """The last entry whose body a recorded retention has taken away."""
    rows = connection.execute(
        select(entries.c.body).where(entries.c.kind == RETENTION, entries.c.body.is_not(None))
    ).scalars()
    return max((int(json.loads(body)["last"]) for body in rows), default=0)


def _missing(first: int, following: int) -> str:
    if following == first + 1:
        return "it is missing"
    return f"it and the entries to {following - 1} are missing"
