"""The tables of cnflow 0.1, as `cnflow.monitoring.store.schema` has them until the first release."""

from __future__ import annotations

from alembic import op

from cnflow.monitoring.store import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    schema.metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drop every table."""
    schema.metadata.drop_all(op.get_bind())
