"""The first ledger: a chain of entries that the database itself keeps from being changed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A body may be taken away when its time is over; nothing else of an entry ever changes.
_KEPT = ("sequence", "id", "kind", "recorded", "digest", "previous", "hash")


def upgrade() -> None:
    """Make the tables, and the triggers that keep entries and blobs as they are."""
    op.create_table(
        "entries",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("recorded", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("entries_recorded", "entries", ["recorded"])
    has_body = sa.text("body IS NOT NULL")
    op.create_index(
        "entries_with_body", "entries", ["recorded"], sqlite_where=has_body, postgresql_where=has_body
    )  # fmt: skip
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.execute(f"INSERT INTO head (id, sequence, hash) VALUES (1, 0, '{'0' * 64}')")  # noqa: S608 - no input
    op.create_table(
        "blobs",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("last_used", sa.BigInteger, nullable=False),
    )
    op.create_index("blobs_last_used", "blobs", ["last_used"])
    op.create_table(
        "names",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_index("names_sequence", "names", ["sequence"])
    op.create_table(
        "seen_tokens",
        sa.Column("client", sa.String(255), primary_key=True),
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_index("seen_tokens_until", "seen_tokens", ["until"])
    if op.get_context().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _guard_sqlite() -> None:
    changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _KEPT)
    refuse = "SELECT RAISE(ABORT, 'the ledger is append-only')"
    exists = "EXISTS (SELECT 1 FROM entries WHERE sequence = NEW.sequence OR id = NEW.id)"
    op.execute(
        f"CREATE TRIGGER entries_kept BEFORE UPDATE ON entries WHEN NEW.body IS NOT NULL OR {changed} "
        f"BEGIN {refuse}; END"
    )
    op.execute(f"CREATE TRIGGER entries_stay BEFORE DELETE ON entries BEGIN {refuse}; END")
    # INSERT OR REPLACE takes the old row away without asking the trigger above.
    op.execute(f"CREATE TRIGGER entries_new BEFORE INSERT ON entries WHEN {exists} BEGIN {refuse}; END")
    op.execute(
        "CREATE TRIGGER blobs_kept BEFORE UPDATE ON blobs WHEN NEW.hash IS NOT OLD.hash OR NEW.body IS NOT OLD.body "
        f"BEGIN {refuse}; END"
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
    )
    changed = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in _KEPT)
    refuse = "EXECUTE FUNCTION ledger_is_append_only()"
    op.execute(
        f"CREATE TRIGGER entries_kept BEFORE UPDATE ON entries FOR EACH ROW WHEN (NEW.body IS NOT NULL OR {changed}) "
        f"{refuse}"
    )
    op.execute(f"CREATE TRIGGER entries_stay BEFORE DELETE ON entries FOR EACH ROW {refuse}")
    op.execute(f"CREATE TRIGGER entries_not_emptied BEFORE TRUNCATE ON entries FOR EACH STATEMENT {refuse}")
    op.execute(
        "CREATE TRIGGER blobs_kept BEFORE UPDATE ON blobs FOR EACH ROW "
        f"WHEN (NEW.hash IS DISTINCT FROM OLD.hash OR NEW.body IS DISTINCT FROM OLD.body) {refuse}"
    )


def downgrade() -> None:
    """Refused: a ledger is not taken down by its own service."""
    raise NotImplementedError("the ledger is append-only; drop the database by hand if it must go")
