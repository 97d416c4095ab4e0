"""Runs revisions on the connection that `cnflow.monitoring.store.migrate` lends; see Alembic's documentation."""

from __future__ import annotations

from alembic import context

from cnflow.monitoring.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
context.run_migrations()
