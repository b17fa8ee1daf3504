"""The ledger: every call's assessment is on record before its answer leaves, and stays as it was recorded."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, Engine, Insert, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from cds.errors import LedgerUnavailable
from cds.ledger.breaker import Breaker
from cds.ledger.chain import Break, append, breaks
from cds.ledger.content import AS_IT_LIES, content_breaks, unchanged
from cds.ledger.database import WAIT_SECONDS, cause_of, migrate, reading, wipe, writing
from cds.ledger.evidence import pack
from cds.ledger.retention import LASTING, PORTION, forget_portion
from cds.ledger.tables import blobs, entries, head, names

log = logging.getLogger(__name__)
Json = dict[str, Any]
CALL = "call"
FEEDBACK = "feedback"
REFUSAL = "refusal"
_TIDY_EVERY = timedelta(hours=24)
_TRY_AGAIN = timedelta(minutes=10)
_PAGE = 200


@dataclass(frozen=True)
class Entry:
    """One entry of the chain; `body` is None where its retention is over. `recorded` is UTC, ISO 8601."""

    sequence: int
    id: str
    kind: str
    recorded: str
    body: Json | None
    hash: str


class Ledger:
    """One database of what was said. Safe to share between threads; several processes may write to one database."""

    def __init__(
        self,
        engine: Engine,
        *,
        retention_days: int | None = None,
        clock: Callable[[], datetime] | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """`retention_days`: how long bodies and evidence are kept; None keeps them for good.

        `breaker` is shared with others that use the same database.
        """
        self._engine = engine
        self._retention = timedelta(days=retention_days) if retention_days else None
        self._clock = clock or (lambda: datetime.now(UTC))
        self._breaker = breaker or Breaker()
        self._is_migrated = False
        self._tidy_at: datetime | None = None
        self._lasting: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._migrating = threading.Lock()

    # ------------------------------------------------------------------------------------------- writing

    def add(
        self,
        kind: str,
        body: Mapping[str, Any],
        *,
        id_: str | None = None,
        content: Mapping[str, tuple[str, bytes]] | None = None,
        known_as: Mapping[str, str] | None = None,
    ) -> str:
        """Put one entry on record, whole or not at all, and give its id.

        `content` is what it rests on (`hash: (kind, bytes)`), `known_as` the names by which it is looked up
        (`name: kind`). LedgerUnavailable where it cannot be written, within `WAIT_SECONDS` or a few times that.
        """
        id_ = id_ or str(uuid4())
        text = msgspec.json.encode(body).decode()
        new = {name: held for name, held in (content or {}).items() if name not in self._lasting}
        packed = [{"hash": name, "kind": what, "body": pack(data)} for name, (what, data) in new.items()]
        with self._telling("written"):
            self._be_ready()
            with writing(self._engine) as connection:
                sequence = append(connection, id_, kind, self._now(), text)
                _put(connection, blobs, [row | {"last_used": sequence} for row in packed])
                rows = [{"name": name, "kind": what, "sequence": sequence} for name, what in (known_as or {}).items()]
                _put(connection, names, rows)
        self._lasting |= {name for name, (what, _) in new.items() if what in LASTING}
        self._tidy_now_and_then()
        return id_

    # ------------------------------------------------------------------------------------------- reading

    def find(self, name: str) -> Entry | None:
        """The entry of this id, or in which an assessment, card, suggestion or coverage assertion of it stands."""
        if not (name.isascii() and name.isprintable()):
            return None  # PostgreSQL would take some such names for a fault
        with self._telling("read"):
            self._be_ready()
            with self._engine.connect() as connection:
                row = connection.execute(select(entries).where(entries.c.id == name)).one_or_none()
                if row is None:
                    wanted = select(names.c.sequence).where(names.c.name == name).scalar_subquery()
                    row = connection.execute(select(entries).where(entries.c.sequence == wanted)).one_or_none()
                return None if row is None else _entry(row)

    def entries(self, *kinds: str, since: datetime | None = None, until: datetime | None = None) -> Iterator[Entry]:
        """Entries of some kinds (all, where none is named), oldest first; those whose body is gone too."""
        wanted = select(entries).order_by(entries.c.sequence).limit(_PAGE)
        if kinds:
            wanted = wanted.where(entries.c.kind.in_(kinds))
        if since is not None:
            wanted = wanted.where(entries.c.recorded >= _text(since))
        if until is not None:
            wanted = wanted.where(entries.c.recorded < _text(until))
        last = -1
        while True:
            # Page by page, so that a reader who takes his time holds no connection meanwhile.
            with self._telling("read"):
                self._be_ready()
                with self._engine.connect() as connection:
                    rows = connection.execute(wanted.where(entries.c.sequence > last)).all()
            yield from map(_entry, rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1].sequence

    def content(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """The content of some hashes; what is not there any more, or not as it was, is left out."""
        with self._telling("read"):
            self._be_ready()
            with self._engine.connect() as connection:
                rows = connection.execute(select(blobs.c.hash, AS_IT_LIES).where(blobs.c.hash.in_(set(hashes))))
                found = {row.hash: unchanged(row.hash, row.body) for row in rows}
        return {name: content for name, content in found.items() if content is not None}

    def head(self) -> tuple[int, str]:
        """The last entry's number and hash: whoever notes it elsewhere can tell a ledger that was made anew."""
        with self._telling("read"):
            self._be_ready()
            with self._engine.connect() as connection:
                row = connection.execute(select(head.c.sequence, head.c.hash)).one()
                return int(row.sequence), str(row.hash)

    def breaks(self) -> Iterator[Break]:
        """Every place where the chain does not hold, or where content of an entry was changed or is gone."""
        with self._telling("read"):
            self._be_ready()
            with reading(self._engine) as connection:
                yield from breaks(connection)
                yield from content_breaks(connection)

    def check(self) -> None:
        """LedgerUnavailable where the database cannot be written to right now; it writes nothing that lasts."""
        with self._telling("written"):
            self._be_ready()
            with writing(self._engine) as connection:
                connection.execute(update(head).where(head.c.id == 0).values(sequence=0))

    def start(self) -> None:
        """Bring the tables up to date now, so that the first call need not; a database that is away is logged."""
        try:
            with self._telling("opened"):
                self._be_ready()
        except LedgerUnavailable as problem:
            log.error("%s; calls are answered once it is back", problem.what)

    def close(self) -> None:
        """Let go of all connections; the next use makes new ones."""
        self._engine.dispose()

    # --------------------------------------------------------------------------------------- housekeeping

    def forget(self, before: datetime) -> int:
        """Take away bodies and evidence recorded before a moment, on record; how many bodies went."""
        gone = 0
        with self._telling("written"):
            self._be_ready()
            while True:
                with writing(self._engine) as connection:
                    portion = forget_portion(connection, _text(before), self._now())
                gone += portion
                if portion < PORTION:
                    break
            if gone:
                wipe(self._engine)
        return gone

    def _tidy_now_and_then(self) -> None:
        """Carry out the retention, where there is one: a portion at a time until nothing is left, then once a day."""
        if self._retention is None:
            return
        now = self._clock()
        with self._lock:
            if self._tidy_at is not None and now < self._tidy_at:
                return
            self._tidy_at = now + _TIDY_EVERY
        try:
            with writing(self._engine) as connection:
                portion = forget_portion(connection, _text(now - self._retention), self._now())
            if portion == PORTION:
                self._tidy_at = now
            elif portion:
                wipe(self._engine)
        except SQLAlchemyError as problem:  # the call itself is on record: this can wait a while
            self._tidy_at = now + _TRY_AGAIN
            log.error("retention could not be carried out (%s)", cause_of(problem))

    def _be_ready(self) -> None:
        """Make or migrate the tables, once; a database that was away at the start is made ready when it is back."""
        if self._is_migrated:
            return
        # While the database is away each call waits in vain, but not for all that wait before it.
        if not self._migrating.acquire(timeout=WAIT_SECONDS):
            raise TimeoutError
        try:
            if not self._is_migrated:
                migrate(self._engine)
                self._is_migrated = True
        finally:
            self._migrating.release()

    @contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        """Errors of the database as ours."""
        try:
            with self._breaker.guarding():
                yield
        except (SQLAlchemyError, TimeoutError) as problem:
            # What is there may be another database by the time it is back.
            self._lasting = frozenset()
            log.error("the ledger could not be %s (%s)", done, cause_of(problem))
            raise LedgerUnavailable(
                f"The ledger could not be {done}",
                where="ledger",
                remedy="Try again; if it lasts, the operator finds the cause in the log",
            ) from None

    def _now(self) -> str:
        return _text(self._clock())


def _text(moment: datetime) -> str:
    """A moment in UTC as it is stored: of one length, so that its order as text is its order in time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _entry(row: Any) -> Entry:  # noqa: ANN401 - a row of `entries`
    try:
        body = None if row.body is None else json.loads(row.body)
    except ValueError:
        remedy = "therapy-cds replay --verify tells what else was changed"
        raise LedgerUnavailable(
            f"Entry {row.sequence} was changed and cannot be read", where="ledger", remedy=remedy
        ) from None
    return Entry(int(row.sequence), row.id, row.kind, row.recorded, body, row.hash)


def _put(connection: Connection, table: Table, rows: list[Json]) -> None:
    """Insert rows; one that is there already is only marked as used again."""
    if rows:
        connection.execute(_put_statement(table, connection.dialect.name), rows)


@lru_cache(maxsize=8)
def _put_statement(table: Table, dialect: str) -> Insert:
    """Made once: its first column is the key, its last one says when it was used."""
    columns = [column.name for column in table.columns]
    making: Any = postgresql if dialect == "postgresql" else sqlite
    statement = making.insert(table)
    changed = {columns[-1]: statement.excluded[columns[-1]]}
    made: Insert = statement.on_conflict_do_update(index_elements=[columns[0]], set_=changed)
    return made
