"""What was said, to whom, on what grounds: an append-only ledger on SQLite or PostgreSQL."""
