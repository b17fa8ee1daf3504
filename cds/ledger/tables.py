"""The ledger's tables, the same on SQLite and PostgreSQL. Migrations make them; `metadata` is what they come to.

- `entries`: the chain. Nothing in it is changed, and nothing but a body past its retention is taken away.
- `head`: the end of the chain, by which writers wait for one another and a cut-off end is noticed.
- `blobs`: evidence, policies and vocabularies by the hash of what they hold, each kept once.
- `names`: which entry an assessment, card, suggestion or coverage assertion stands in.
- `seen_tokens`: the tokens of clients that have been used, until they expire.
- `smart_launches`, `smart_sessions`: launches of the app that have begun, and its sessions, sealed, until they expire.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

metadata = MetaData()
_HAS_BODY = text("body IS NOT NULL")

entries = Table(
    "entries",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("recorded", String(32), nullable=False),
    Column("body", Text, nullable=True),
    Column("digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("entries_recorded", "recorded"),
    # What retention still has to look at.
    Index("entries_with_body", "recorded", sqlite_where=_HAS_BODY, postgresql_where=_HAS_BODY),
)

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("last_used", BigInteger, nullable=False),
    Index("blobs_last_used", "last_used"),
)

names = Table(
    "names",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Index("names_sequence", "sequence"),
)

seen_tokens = Table(
    "seen_tokens",
    metadata,
    Column("client", String(255), primary_key=True),
    Column("token", String(64), primary_key=True),
    Column("until", BigInteger, nullable=False),
    Index("seen_tokens_until", "until"),
)

smart_launches = Table(
    "smart_launches",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("smart_launches_until", "until"),
)

smart_sessions = Table(
    "smart_sessions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("smart_sessions_until", "until"),
)
