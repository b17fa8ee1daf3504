"""Alembic's steps from one shape of the ledger's tables to the next."""
