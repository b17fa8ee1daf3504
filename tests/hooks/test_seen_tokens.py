"""Used tokens: once for each issuer until they expire, also where several workers look at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import Engine, func, select, text

from cds.errors import TechnicalError
from cds.ledger.database import engine_of, migrate, writing
from cds.ledger.tables import seen_tokens
from hooks.sandbox.processes import free_port
from hooks.seen_tokens import CLEAN_SECONDS, SeenInDatabase, SeenTokens

NOW = 1_800_000_000
ISS = "https://ehr.example.org"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = engine_of(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def seen(engine: Engine) -> SeenTokens:
    return SeenInDatabase(engine)


def test_a_token_counts_once_when_it_comes_again(seen: SeenTokens) -> None:
    with time_machine.travel(NOW, tick=False):
        assert [seen.first_time(ISS, "a", NOW + 60) for _ in range(3)] == [True, False, False]


def test_two_issuers_may_use_one_id_when_they_do_not_know_each_other(seen: SeenTokens) -> None:
    with time_machine.travel(NOW, tick=False):
        assert seen.first_time(ISS, "a", NOW + 60)
        assert seen.first_time("https://other.example.org", "a", NOW + 60)
        assert seen.first_time(ISS, "b", NOW + 60)


def test_an_id_may_be_used_again_when_its_token_has_expired(seen: SeenTokens) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        assert seen.first_time(ISS, "a", NOW + 60)
        clock.shift(60)
        assert not seen.first_time(ISS, "a", NOW + 120)
        clock.shift(1)
        assert seen.first_time(ISS, "a", NOW + 120)


def test_an_id_may_be_any_text_when_a_client_is_odd(seen: SeenTokens) -> None:
    with time_machine.travel(NOW, tick=False):
        for odd in ("x" * 100_000, "'; DROP TABLE seen_tokens; --", "\ud800", "é"):
            assert seen.first_time(ISS, odd, NOW + 60)
            assert not seen.first_time(ISS, odd, NOW + 60)


def test_expired_tokens_are_forgotten_when_time_passes(engine: Engine) -> None:
    seen = SeenInDatabase(engine)
    with time_machine.travel(NOW, tick=False) as clock:
        for number in range(20):
            seen.first_time(ISS, str(number), NOW + 60)
        clock.shift(CLEAN_SECONDS + 1)
        seen.first_time(ISS, "new", NOW + 600)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(seen_tokens)).scalar() == 1


def test_no_id_is_kept_in_clear_when_it_is_remembered(engine: Engine) -> None:
    SeenInDatabase(engine).first_time(ISS, "token-id-4711", 2**40)
    with engine.connect() as connection:
        (row,) = connection.execute(select(seen_tokens)).all()
    assert row.client == ISS
    assert len(row.token) == 64
    assert "4711" not in row.token


def test_one_of_many_is_the_first_when_all_look_at_once(tmp_path: Path, engine: Engine) -> None:
    others = [engine_of(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") for _ in range(2)]
    workers = [SeenInDatabase(each) for each in others]
    found: list[bool] = []
    start = threading.Barrier(8)

    def look(worker: SeenInDatabase) -> None:
        start.wait(5)
        found.append(worker.first_time(ISS, "a", 2**40))

    threads = [threading.Thread(target=look, args=(workers[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for each in others:
        each.dispose()
    assert sorted(found) == [False] * 7 + [True]


def test_nobody_is_let_in_when_the_database_is_away(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with writing(engine) as connection:
        connection.execute(text("DROP TABLE seen_tokens"))
    with pytest.raises(TechnicalError) as caught:
        SeenInDatabase(engine).first_time(ISS, "token-id-4711", 2**40)
    assert caught.value.remedy
    assert "4711" not in caplog.text + str(caught.value)


def test_nobody_is_let_in_when_nobody_answers_for_the_database() -> None:
    away = SeenInDatabase(engine_of(f"postgresql://service@127.0.0.1:{free_port()}/ledger"))
    with pytest.raises(TechnicalError):
        away.first_time(ISS, "a", 2**40)
