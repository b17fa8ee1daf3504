"""The rights that docs/ledger.md gives to the service's own role on PostgreSQL are enough, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from cds.ledger.database import engine_of
from cds.ledger.ledger import CALL, Ledger
from hooks.seen_tokens import SeenInDatabase
from tests.ledger.postgresql import PostgreSQL

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def restricted_url(postgresql: PostgreSQL, open_ledger: Callable[..., Ledger]) -> str:
    """A database made by its owner, for a role with the rights of the page."""
    owner = postgresql.new_database()
    open_ledger(owner).start()
    role = f"therapy_{uuid4().hex}"
    (grants,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    engine = create_engine(make_url(owner).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(grants.replace("TO therapy_cds", f"TO {role}")))
    engine.dispose()
    return owner.replace("postgres@", f"{role}@")


def test_the_service_can_do_all_it_must_when_its_role_has_the_rights_of_the_page(
    restricted_url: str, open_ledger: Callable[..., Ledger]
) -> None:
    days = iter(range(100))
    ledger = open_ledger(restricted_url, clock=lambda: NOON + timedelta(days=next(days)))
    ledger.check()
    for _ in range(2):
        ledger.add(CALL, {}, content={"a" * 64: ("evidence", b"x")}, known_as={"card": "card"})
    assert ledger.forget(NOON + timedelta(days=1)) == 1
    assert list(ledger.breaks()) == []
    assert ledger.find("card") is not None
    engine = engine_of(restricted_url)
    seen = SeenInDatabase(engine)
    assert [seen.first_time("iss", "jti", 4_000_000_000) for _ in range(2)] == [True, False]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries",
        "UPDATE entries SET hash = ''",
        "TRUNCATE entries",
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "DROP TRIGGER entries_kept ON entries",
        "DELETE FROM head",
        "UPDATE blobs SET body = ''",
        "UPDATE alembic_version SET version_num = ''",
    ],
)
def test_the_database_refuses_when_that_role_wants_more(restricted_url: str, statement: str) -> None:
    engine = engine_of(restricted_url)
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
