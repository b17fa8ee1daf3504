"""Launches and sessions of the SMART app: shared by workers, sealed, gone when they have expired."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables. They are no part of the chain: rows are changed and taken away."""
    for name in ("smart_launches", "smart_sessions"):
        op.create_table(
            name,
            sa.Column("name", sa.String(64), primary_key=True),
            sa.Column("body", sa.LargeBinary, nullable=False),
            sa.Column("until", sa.BigInteger, nullable=False),
        )
        op.create_index(f"{name}_until", name, ["until"])


def downgrade() -> None:
    """Take the tables away: nothing but open sessions is lost."""
    op.drop_table("smart_sessions")
    op.drop_table("smart_launches")
