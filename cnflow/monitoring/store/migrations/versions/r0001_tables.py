"""The tables of the first schema: those that no later revision adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import op

from cnflow.monitoring.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Table

revision = "0001"
down_revision = None

LATER = {"model_version", "model_histogram", "model_progress"}


def upgrade() -> None:
    """Make every table."""
    schema.metadata.create_all(op.get_bind(), tables=_tables())


def downgrade() -> None:
    """Drop every table."""
    schema.metadata.drop_all(op.get_bind(), tables=_tables())


def _tables() -> list[Table]:
    return [table for name, table in schema.metadata.tables.items() if name not in LATER]
