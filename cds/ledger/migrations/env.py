"""Runs the steps on the connection that `cds.ledger.database.migrate` holds."""

from alembic import context

from cds.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
