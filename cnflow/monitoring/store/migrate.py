"""Brings a database of monitoring to the schema of this version, by Alembic's revisions in `migrations`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from cnflow.errors import ConfigurationError
from cnflow.text import mask_url

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

VERSION_TABLE = "alembic_version"


def migrate(engine: Engine) -> None:
    """Make the tables, or change those of an older schema, in one transaction.

    Raises:
        ConfigurationError: the database is another program's, or of a newer schema.
        SQLAlchemyError: it cannot be reached or written.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7205759403792793)")  # two runs that begin at once
        check_schema(connection)
        config = _config()
        if _revision(connection) != head():
            config.attributes["connection"] = connection
            logging.getLogger("alembic").setLevel(logging.WARNING)
            command.upgrade(config, "head")


def check_schema(connection: Connection) -> None:
    """Refuse a database that has tables of another program, or of a newer version of cnflow.

    Raises:
        ConfigurationError: it has.
    """
    names = set(inspect(connection).get_table_names())
    where = mask_url(connection.engine.url.render_as_string(hide_password=True))
    if VERSION_TABLE not in names:
        if names & {"workflow", "task", "try", "status"}:
            raise ConfigurationError(
                f"The database {where} has tables of another program, such as Parsl's monitoring. Use a database of "
                "its own: MonitoringHub(logging_endpoint=...)."
            )
        return
    revision = _revision(connection)
    known = {each.revision for each in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise ConfigurationError(
            f"The database {where} has the schema {revision!r}, which this version of cnflow does not have. Use the "
            "version that made it, or a newer one."
        )


def head() -> str | None:
    """Return the revision of this version's schema."""
    return _scripts().get_current_head()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
