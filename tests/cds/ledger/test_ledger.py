"""The ledger on a database that is shared, away, or of another time."""

from __future__ import annotations

import logging
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from cds.errors import LedgerUnavailable, SettingsError
from cds.ledger.breaker import Breaker
from cds.ledger.database import engine_of, migrate, writing
from cds.ledger.ledger import CALL, FEEDBACK, Ledger
from cds.ledger.tables import metadata
from tests.cds.ledger.conftest import NOON, Clock
from tests.ledger.databases import Database

EACH = 150
WRITERS = 2
# Far above what is waited for by design, and far below what a hanging call would take.
SECONDS = 10.0
Opener = Callable[..., Ledger]


def write_many(url: str, writer: int, gate: object) -> None:
    """One process of several; the first thing it does is to make the tables, as all do."""
    gate.wait()  # type: ignore[attr-defined]
    ledger = Ledger(engine_of(url))
    for number in range(EACH):
        content = {f"{number:064d}": ("evidence", str(number).encode())}
        ledger.add(CALL, {"writer": writer, "n": number}, content=content, known_as={f"{writer}-{number}": "card"})


def test_the_chain_has_no_gap_and_no_double_when_two_processes_write_at_once(
    database_url: str, open_ledger: Opener
) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate = spawn.Barrier(WRITERS)
    writers = [spawn.Process(target=write_many, args=(database_url, n, gate)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    ledger = open_ledger(database_url)
    found = list(ledger.entries())
    assert [entry.sequence for entry in found] == list(range(1, WRITERS * EACH + 1))
    said = sorted((entry.body["writer"], entry.body["n"]) for entry in found if entry.body)
    assert said == [(writer, n) for writer in range(WRITERS) for n in range(EACH)]
    # They did write side by side, not one after the other.
    assert len({entry.body["writer"] for entry in found[EACH // 2 : -EACH // 2] if entry.body}) == WRITERS
    assert list(ledger.breaks()) == []


def test_an_auditor_sees_no_break_when_calls_are_recorded_meanwhile(database_url: str, open_ledger: Opener) -> None:
    ledger, auditor = open_ledger(database_url), open_ledger(database_url)
    for _ in range(50):
        ledger.add(CALL, {})
    looking = auditor.breaks()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            ledger.add(CALL, {})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [list(looking)] + [list(auditor.breaks()) for _ in range(20)] == [[]] * 21
    finally:
        done.set()
        writer.join()


def test_the_tables_are_what_the_code_expects_when_they_have_been_made(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_tables_are_made_once_when_many_threads_start_at_once(database_url: str, open_ledger: Opener) -> None:
    ledgers = [open_ledger(database_url) for _ in range(6)]
    threads = [threading.Thread(target=ledger.add, args=(CALL, {})) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledgers[0].head()[0] == len(ledgers)


def test_nothing_is_logged_when_the_tables_are_made(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        migrate(engine)
    assert caplog.messages == []


def refused(ledger: Ledger) -> float:
    """The seconds until a call is refused."""
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable) as caught:
        ledger.add(CALL, {})
    assert caught.value.code == "CDS-401"
    return time.monotonic() - began


def test_calls_are_refused_in_time_and_then_go_on_when_the_database_is_away(
    database: Database, open_ledger: Opener
) -> None:
    ledger = open_ledger(database.url, breaker=Breaker(pause=0.0))  # without a pause, so that it is seen how it goes on
    ledger.add(CALL, {"n": 0})
    for number, way in enumerate(database.ways, 1):
        took: list[float] = []
        with database.away(way):
            # More at once than there are connections: nobody waits for the time-out of the one before.
            waiting = [threading.Thread(target=lambda: took.append(refused(ledger))) for _ in range(40)]  # noqa: B023
            for thread in waiting:
                thread.start()
            for thread in waiting:
                thread.join()
            with pytest.raises(LedgerUnavailable):
                ledger.check()
        assert len(took) == 40
        assert max(took) < SECONDS
        ledger.check()
        ledger.add(CALL, {"n": number})
    said = [entry.body["n"] for entry in ledger.entries() if entry.body]
    assert said == list(range(len(database.ways) + 1))
    assert list(ledger.breaks()) == []


def test_the_service_starts_and_goes_on_by_itself_when_the_database_is_away_at_first(
    database: Database, caplog: pytest.LogCaptureFixture, open_ledger: Opener
) -> None:
    for number, way in enumerate(database.ways, 1):
        ledger = open_ledger(database.url)
        with database.away(way):
            ledger.start()
            assert "calls are answered once it is back" in caplog.text
            caplog.clear()
            assert refused(ledger) < SECONDS
        ledger.add(CALL, {})
        assert ledger.head()[0] == number


def test_a_reader_holds_no_connection_when_he_takes_his_time(engine: Engine, ledger: Ledger) -> None:
    for _ in range(3):
        ledger.add(CALL, {})
    reading = ledger.entries()
    next(reading)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert len(list(reading)) == 2


def test_entries_are_chosen_when_kinds_and_days_are_named(ledger: Ledger, clock: Clock) -> None:
    for kind in (CALL, FEEDBACK, CALL):
        ledger.add(kind, {})
        clock.now += timedelta(days=1)
    assert [entry.sequence for entry in ledger.entries(CALL)] == [1, 3]
    assert [entry.sequence for entry in ledger.entries(since=NOON + timedelta(days=1))] == [2, 3]
    assert [entry.sequence for entry in ledger.entries(until=NOON + timedelta(days=1))] == [1]


@pytest.mark.parametrize("name", ["", "nothing", "\0", "é", "x" * 10_000])
def test_nothing_is_found_when_no_entry_has_that_name(ledger: Ledger, name: str) -> None:
    ledger.add(CALL, {}, known_as={"a-card": "card"})
    assert ledger.find(name) is None
    assert ledger.find("a-card") is not None


@pytest.mark.parametrize("odd", ["\0", "é", "\U0001f600", "'; DROP TABLE entries; --", "%s"])
def test_an_entry_is_kept_to_the_letter_when_its_words_are_odd(ledger: Ledger, odd: str) -> None:
    id_ = ledger.add(CALL, {odd: odd})
    found = ledger.find(id_)
    assert found is not None
    assert found.body == {odd: odd}
    assert list(ledger.breaks()) == []


# ------------------------------------------------------------------------------------------------- settings


def test_it_does_not_start_when_a_newer_version_wrote_the_database(engine: Engine, ledger: Ledger) -> None:
    ledger.add(CALL, {})
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        SettingsError, match=r"THERAPY_CDS_DATABASE_URL was written by a newer version .*\(schema 9999\)"
    ):
        Ledger(engine).start()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "is no database URL"),
        ("mysql://localhost/ledger", "names mysql"),
        ("oracle://localhost/ledger", "names oracle"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////dev/null/ledger.sqlite3", "names /dev/null/ledger.sqlite3, which cannot be written"),
        ("postgresql://user:secret-4711@host:port/name", "is no database URL"),
    ],
)
def test_it_does_not_start_when_the_url_is_none_for_a_ledger(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"^THERAPY_CDS_DATABASE_URL {why}") as caught:
        engine_of(url)
    assert caught.value.remedy
    assert "secret" not in str(caught.value)


def test_only_its_owner_may_read_when_a_file_is_made(tmp_path: Path, open_ledger: Opener) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "state" / "therapy-cds"
        ledger = open_ledger(f"sqlite:///{folder / 'ledger.sqlite3'}")
        ledger.add(CALL, {})
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    finally:
        os.umask(before)
    assert modes.pop("therapy-cds") == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3  # the file, its log and their index


def test_the_locks_of_a_file_stay_when_it_is_named_again(tmp_path: Path, open_ledger: Opener) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = open_ledger(f"sqlite:///{path}")
    ledger.add(CALL, {})
    open_ledger(f"sqlite:///{path}")
    # Another process that comes and goes takes the log away if it thinks that it was the last one.
    looking = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version'); c.close()"
    subprocess.run([sys.executable, "-c", looking, str(path)], check=True, timeout=60)
    assert path.with_name("ledger.sqlite3-wal").exists()
    ledger.add(CALL, {})
    assert list(open_ledger(f"sqlite:///{path}").breaks()) == []
    assert ledger.head()[0] == 2
