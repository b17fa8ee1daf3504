"""Databases of both kinds, which can be away for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tests.ledger.postgresql import PostgreSQL


class Database(Protocol):
    """A database for one test."""

    url: str
    ways: tuple[str, ...]

    def away(self, how: str) -> AbstractContextManager[None]:
        """Away until the block is left, in one of the `ways`."""


class SqliteDatabase:
    """A file; while it is away, somebody else writes and does not end."""

    ways: tuple[str, ...] = ("locked",)

    def __init__(self, path: Path) -> None:
        """`path` need not be there yet."""
        self.url = f"sqlite:///{path}"
        self._path = path

    @contextmanager
    def away(self, how: str) -> Iterator[None]:
        """`locked`: as by a backup program that holds the file."""
        assert how in self.ways
        other = sqlite3.connect(self._path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()


class PostgresqlDatabase:
    """A database on a real server, which may be frozen or shut down."""

    ways: tuple[str, ...] = ("frozen", "shut down")

    def __init__(self, server: PostgreSQL) -> None:
        """A new database on it."""
        self.url = server.new_database()
        self._server = server

    @contextmanager
    def away(self, how: str) -> Iterator[None]:
        """`frozen`: connections are there and taken, and nothing is said. `shut down`: they are cut and refused."""
        assert how in self.ways
        go, come = {
            "frozen": (self._server.freeze, self._server.thaw),
            "shut down": (self._server.stop, self._server.start),
        }[how]
        go()
        try:
            yield
        finally:
            come()
