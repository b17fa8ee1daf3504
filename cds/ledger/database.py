"""The database under the ledger: connected, bounded in time, and brought up to date by migrations.

SQLite in one file (write-ahead log) unless a URL names PostgreSQL. Nothing waits longer than `WAIT_SECONDS`, so that
a database that is away costs a caller a clear error and not a hanging call.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from cds.errors import SettingsError

log = logging.getLogger(__name__)
WAIT_SECONDS = 2
NEWEST = "0002"
# Any number will do, as long as nobody else's program locks the same one in this database.
_MIGRATION_LOCK = 7_300_411
# Alembic keeps what it is working on where all of a process see it.
_ALEMBIC = threading.Lock()
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}


def engine_of(url: str) -> Engine:
    """Connections to the database of a URL (`sqlite:///file`, `postgresql://…`); SettingsError where it is none.

    Nothing is connected yet, so a database that is away does not keep the service from starting.
    """
    target = _target(url)
    try:
        engine = create_engine(target, hide_parameters=True, **_options(target))
    except (ImportError, NoSuchModuleError):
        remedy = "Install the driver: pip install 'therapy-cds[postgresql]'"
        raise _refuse(f"needs a driver for {target.get_backend_name()}", remedy) from None
    if target.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "do_connect", _connect_postgresql)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction of somebody who writes: SQLite lets one in at a time, and here they wait before they read."""
    with engine.connect() as connection:
        connection = connection.execution_options(writes=True)
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees the database as it was when it began, whatever others write meanwhile."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # SQLite does so by itself
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def wipe(engine: Engine) -> None:
    """Bring what was taken away out of SQLite's write-ahead log too, where it would stay until it is overwritten.

    PostgreSQL does so in its own time (autovacuum).
    """
    if engine.dialect.name == "sqlite":
        driver = engine.raw_connection()
        try:
            driver.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as problem:  # somebody reads: the next one who writes enough does it
            log.info("the write-ahead log is not emptied yet (%s)", type(problem).__name__)
        finally:
            driver.close()


def cause_of(problem: Exception) -> str:
    """What a log may say of an error: its class, and its code or, where no statement was under way, its message.

    The message of a failed statement may hold what it was about, and so a patient.
    """
    origin = getattr(problem, "orig", None)
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    told = [type(problem).__name__, code]
    if origin is not None and getattr(problem, "statement", None) is None:
        told.append(" ".join(str(origin).split()))
    return ", ".join(str(part) for part in told if part)


def migrate(engine: Engine) -> None:
    """Bring the tables up to date; one process at a time, however many workers start at once.

    SettingsError where a newer version of this service has written the database.
    """
    if _version(engine) == NEWEST:
        return
    # What it logs of itself says nothing to an operator; it begins as soon as it is imported.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Imported here: only a first start needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with _ALEMBIC, writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        found = _version_in(connection)
        if found is not None and found > NEWEST:
            remedy = "Run that version, or name another database"
            raise _refuse(f"was written by a newer version of this service (schema {found})", remedy)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return _version_in(connection)


def _version_in(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _target(url: str) -> URL:
    try:
        target = make_url(url)
    except (ArgumentError, ValueError):
        raise _refuse("is no database URL", "Write sqlite:///file or postgresql://user@host/name") from None
    if (driver := _DRIVERS.get(target.get_backend_name())) is None:
        raise _refuse(f"names {target.get_backend_name()}", "Use sqlite or postgresql")
    target = target.set(drivername=driver)
    if driver == "sqlite":
        if not target.database or target.database == ":memory:":
            raise _refuse("names no file", "Write sqlite:////var/lib/therapy-cds/ledger.sqlite3")
        _make_file(Path(target.database))
    return target


def _make_file(path: Path) -> None:
    """The file, readable by its owner only: it holds what is known of patients.

    One that is there is never opened here: closing it again would undo the locks of all of this process's connections
    to it (sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
            raise PermissionError(errno.EACCES, "")
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else type(problem).__name__
        raise _refuse(f"names {path}, which cannot be written ({reason})", "Name a file in a writable folder") from None


def _options(target: URL) -> dict[str, Any]:
    if target.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": WAIT_SECONDS}, "pool_size": 16, "pool_timeout": WAIT_SECONDS}
    milliseconds = WAIT_SECONDS * 1000
    arguments = {
        "connect_timeout": WAIT_SECONDS,
        "tcp_user_timeout": milliseconds,
        "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
        "application_name": "therapy-cds",
    }
    return {
        "connect_args": arguments,
        # The chain relies on it: who waited for the head sees it as the one before left it.
        "isolation_level": "READ COMMITTED",
        "pool_pre_ping": True,
        "pool_size": 16,
        "pool_timeout": WAIT_SECONDS,
        "pool_recycle": 1800,
    }


def _connect_postgresql(_dialect: object, _record: object, arguments: Any, options: Any) -> Any:  # noqa: ANN401 - DBAPI
    """A connection that gives up, where the driver itself would wait for an answer for good."""
    # Imported here: whoever uses SQLite needs no driver.
    from cds.ledger.patience import BoundedConnection

    return BoundedConnection.connect(*arguments, **options)


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
    # The driver's own transactions begin too late: see _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
    try:
        _use_log(cursor)
    except sqlite3.OperationalError as problem:  # the listener's own error would be nobody's to catch
        raise OperationalError("PRAGMA journal_mode", None, problem, hide_parameters=True) from None
    # FULL: what was answered is on disk, also when the machine loses its power.
    cursor.execute("PRAGMA synchronous = FULL")
    # What retention takes away is overwritten, not only unlinked.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


@retry(
    retry=retry_if_exception_type(sqlite3.OperationalError),
    stop=stop_after_delay(WAIT_SECONDS),
    wait=wait_random(0.005, 0.05),
    reraise=True,
)
def _use_log(cursor: sqlite3.Cursor) -> None:
    """Switch to the write-ahead log, once for a file: for this lock SQLite does not wait by itself when it is taken."""
    if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        cursor.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    is_writer = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


def _refuse(what: str, remedy: str) -> SettingsError:
    return SettingsError(f"THERAPY_CDS_DATABASE_URL {what}", where="environment", remedy=remedy)
