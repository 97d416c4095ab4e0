"""Adds the tables of served models."""

from __future__ import annotations

from alembic import op

from cnflow.monitoring.store import schema

revision = "0002"
down_revision = "0001"

TABLES = [schema.model_version, schema.model_histogram, schema.model_progress]


def upgrade() -> None:
    """Make them."""
    schema.metadata.create_all(op.get_bind(), tables=TABLES)


def downgrade() -> None:
    """Drop them."""
    schema.metadata.drop_all(op.get_bind(), tables=TABLES)
