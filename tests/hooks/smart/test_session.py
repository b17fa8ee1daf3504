"""Launches and sessions in the database: sealed, good for their own browser, gone when they are over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import Engine, func, select, update

from cds.errors import TechnicalError
from cds.ledger.database import engine_of, migrate
from cds.ledger.tables import smart_launches, smart_sessions
from hooks.smart.keys import Keys
from hooks.smart.session import Launch, Session, Store, browser_digest
from tests.ledger.databases import Database

BROWSER = "a-browser"
LAUNCH = Launch(
    iss="https://ehr.example.org",
    browser=browser_digest(BROWSER),
    verifier="verifier-secret",
    nonce="nonce-secret",
    scopes="launch",
    token_endpoint="https://ehr.example.org/token",
    issuer="https://ehr.example.org",
)


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    found = engine_of(database.url)
    migrate(found)
    yield found
    found.dispose()


@pytest.fixture
def store(engine: Engine, keys_folder: Path) -> Store:
    return Store(engine, Keys(keys_folder))


def session() -> Session:
    now, seconds = int(time.time()), 300
    return Session(
        iss="https://ehr.example.org", patient="patient-4711", assessment="a1", browser=browser_digest(BROWSER),
        access_token="access-secret", token_endpoint="https://ehr.example.org/token", token_until=now + seconds,
        until=now + seconds, asked="launch", granted="launch",
    )  # fmt: skip


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (smart_launches, smart_sessions)
        )


def test_one_of_several_workers_gets_a_launch_when_all_want_it(store: Store) -> None:
    state = store.begin(LAUNCH)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take(state, BROWSER), range(8)))
    assert [each for each in taken if each] == [LAUNCH]


def test_a_launch_is_gone_when_another_browser_brought_its_state(store: Store) -> None:
    state = store.begin(LAUNCH)
    assert store.take(state, "another") is None
    assert store.take(state, BROWSER) is None


def test_a_session_is_found_in_its_own_browser_only_when_it_is_looked_for(store: Store) -> None:
    kept = session()
    handle = store.add(kept)
    assert store.find(handle, BROWSER) == replace(kept, handle=handle)
    assert store.find(handle, "another") is None
    assert store.find("made-up", BROWSER) is None


def test_new_tokens_are_kept_when_a_session_changes(store: Store) -> None:
    handle = store.add(session())
    found = store.find(handle, BROWSER)
    assert found is not None
    store.change(replace(found, access_token="another-secret"))
    changed = store.find(handle, BROWSER)
    assert changed is not None
    assert changed.access_token == "another-secret"
    store.end(changed)
    assert store.find(handle, BROWSER) is None


def test_expired_rows_are_taken_away_when_the_next_one_comes(store: Store, engine: Engine) -> None:
    handle, state = store.add(session()), store.begin(LAUNCH)
    assert rows(engine) == 2
    with time_machine.travel(time.time() + 601):
        assert store.find(handle, BROWSER) is None
        assert store.take(state, BROWSER) is None
        store.begin(LAUNCH)
        store.add(session())
        assert rows(engine) == 2


def test_nothing_can_be_read_when_somebody_looks_into_the_database(store: Store, engine: Engine) -> None:
    handle, state = store.add(session()), store.begin(LAUNCH)
    with engine.connect() as connection:
        found = [tuple(row) for table in (smart_launches, smart_sessions) for row in connection.execute(select(table))]
    text = repr(found)
    for secret in (handle, state, "access-secret", "verifier-secret", "nonce-secret", "patient-4711", BROWSER):
        assert secret not in text


@pytest.mark.parametrize("what", ["garbage", "another's"])
def test_a_session_is_not_found_when_its_row_was_changed(store: Store, engine: Engine, what: str) -> None:
    handle, other = store.add(session()), store.add(session())
    with engine.begin() as connection:
        bodies = list(connection.execute(select(smart_sessions.c.body)).scalars())
        # Each gets the other's row, or one that nobody sealed.
        for row in connection.execute(select(smart_sessions)).all():
            swapped = b"garbage" if what == "garbage" else next(body for body in bodies if body != row.body)
            connection.execute(update(smart_sessions).where(smart_sessions.c.name == row.name).values(body=swapped))
    assert store.find(handle, BROWSER) is None
    assert store.find(other, BROWSER) is None


def test_it_is_told_when_the_database_is_away(store: Store, database: Database) -> None:
    for how in database.ways:
        with database.away(how), pytest.raises(TechnicalError, match="Sessions cannot be kept"):
            store.begin(LAUNCH)
    assert store.take(store.begin(LAUNCH), BROWSER) == LAUNCH


def test_no_secret_is_shown_when_they_are_printed() -> None:
    text = repr(LAUNCH) + repr(replace(session(), refresh_token="refresh-secret", handle="handle-secret"))
    assert "secret" not in text
    assert browser_digest(BROWSER) not in text
