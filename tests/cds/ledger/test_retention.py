"""What retention takes away, what stays, and how it is told from a hand that took something away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from cds.ledger.database import writing
from cds.ledger.ledger import CALL, Ledger
from cds.ledger.retention import PORTION
from tests.cds.ledger.conftest import NOON, Clock

Opener = Callable[..., Ledger]


def filled(ledger: Ledger, clock: Clock, days: int) -> None:
    """A call each day, with evidence of its own, evidence of all days, and policies."""
    for day in range(days):
        content = {f"{day:064d}": ("evidence", b"own"), "a" * 64: ("evidence", b"all"), "b" * 64: ("policies", b"p")}
        ledger.add(CALL, {"day": day}, id_=f"day-{day}", content=content, known_as={f"card-{day}": "card"})
        clock.now += timedelta(days=1)


def chain_of(ledger: Ledger) -> list[str]:
    return [str(each) for each in ledger.breaks() if "rests on" not in each.what]


def test_bodies_and_evidence_go_and_the_chain_stays_when_their_time_is_over(
    engine: Engine, ledger: Ledger, clock: Clock
) -> None:
    filled(ledger, clock, 6)
    assert ledger.forget(NOON + timedelta(days=4)) == 4
    assert [entry.body and entry.body.get("day") for entry in ledger.entries()] == [None] * 4 + [4, 5, None]
    assert chain_of(ledger) == []
    assert ledger.find("card-1") is None
    assert ledger.find("card-4") is not None
    with engine.connect() as connection:
        left = connection.execute(text("SELECT hash FROM blobs ORDER BY hash")).scalars().all()
    assert left == [f"{4:064d}", f"{5:064d}", "a" * 64, "b" * 64]
    assert ledger.forget(NOON + timedelta(days=4)) == 0
    assert ledger.head()[0] == 7


def test_a_body_is_missed_when_a_hand_took_it_away_and_not_retention(
    engine: Engine, ledger: Ledger, clock: Clock
) -> None:
    filled(ledger, clock, 6)
    ledger.forget(NOON + timedelta(days=2))
    with writing(engine) as connection:  # the database lets a body go, since retention must
        connection.execute(text("UPDATE entries SET body = NULL WHERE sequence IN (1, 4)"))
    assert chain_of(ledger) == ["entry 4 (day-3): its body is missing, and no retention took it away"]


def test_no_retention_is_believed_when_its_own_entry_was_changed(engine: Engine, ledger: Ledger, clock: Clock) -> None:
    filled(ledger, clock, 2)
    ledger.forget(NOON + timedelta(days=1))
    with writing(engine) as connection:
        guard = "DROP TRIGGER entries_kept" + (" ON entries" if connection.dialect.name == "postgresql" else "")
        connection.execute(text(guard))
        connection.execute(text("UPDATE entries SET body = 'odd' WHERE kind = 'retention'"))
    assert [each.split(": ")[1] for each in chain_of(ledger)] == [
        "its body is missing, and no retention took it away",
        "its body was changed",
    ]


def test_retention_runs_by_itself_when_it_is_set(engine: Engine, clock: Clock) -> None:
    ledger = Ledger(engine, retention_days=10, clock=clock)
    for _ in range(30):
        ledger.add(CALL, {})
        clock.now += timedelta(days=1)
    held = [entry for entry in ledger.entries(CALL) if entry.body is not None]
    assert len(held) == 11  # today's and those of the ten days before
    assert list(ledger.breaks()) == []


def test_a_large_ledger_is_cleared_in_portions_when_retention_is_set_later(engine: Engine, clock: Clock) -> None:
    ledger = Ledger(engine, clock=clock)
    for _ in range(PORTION * 2 + 10):
        ledger.add(CALL, {})
    clock.now += timedelta(days=30)
    later = Ledger(engine, retention_days=1, clock=clock)
    held = []
    for _ in range(4):
        later.add(CALL, {})
        held.append(sum(entry.body is not None for entry in later.entries(CALL)))
    assert held == [PORTION + 10 + 1, 10 + 2, 3, 4]
    assert list(later.breaks()) == []


def test_nothing_is_left_in_the_file_when_a_body_was_taken_away(
    tmp_path: Path, clock: Clock, open_ledger: Opener
) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", clock=clock)
    ledger.add(CALL, {"said": "marked-4711"})
    ledger.add(CALL, {"said": "x" * 100_000})
    assert b"marked-4711" in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    clock.now += timedelta(days=1)
    ledger.forget(clock.now)
    assert b"marked-4711" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
