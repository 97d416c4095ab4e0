"""Finds the database of a run, and refuses one that cannot be used, before the run begins. Needs no SQLAlchemy."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cnflow.config.paths import expand_path
from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.text import mask_url

if TYPE_CHECKING:
    from cnflow.config.monitoring import MonitoringHub

DATABASE = "monitoring.db"
"""Name of the file in `Config.run_dir`."""

SCHEMA = "0002"
"""Last revision in `migrations`."""

_VERSIONS = "alembic_version"
_TIMEOUT = 60.0


def endpoint_of(settings: MonitoringHub, run_dir: Path) -> str:
    """Return the URL of the database; *run_dir* is that of the Config.

    Raises:
        ConfigurationError: a variable in it is not set.
    """
    if settings.logging_endpoint is None:
        return f"sqlite:///{(run_dir / DATABASE).absolute()}"
    scheme, slashes, rest = settings.logging_endpoint.partition(":///")
    try:
        if slashes and scheme == "sqlite":
            return f"sqlite:///{Path(expand_path(rest)).absolute()}"
        return expand_path(settings.logging_endpoint)
    except ValueError as error:
        raise ConfigurationError(f"MonitoringHub: logging_endpoint: {error}.") from error


def expanded(url: str) -> str:
    """Return the *url* of a command with its variables, so that a password need not stand in the list of processes.

    Raises:
        ConfigurationError: a variable in it is not set.
    """
    try:
        return expand_path(url)
    except ValueError as error:
        raise ConfigurationError(f"The database {mask_url(url)!r}: {error}.") from error


def check(url: str) -> None:
    """Refuse a database that cannot be written, or is another program's.

    Raises:
        ConfigurationError: says why, and what to do.
        MissingExtraError: packages are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("alembic", "sqlalchemy")):
        raise MissingExtraError("Monitoring", "monitoring")
    if url.startswith("sqlite:///"):
        _check_file(url, Path(url.removeprefix("sqlite:///")))
    else:
        _check_by_process(url)


def _check_file(url: str, path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise _unusable(url, f"there is no folder {str(folder)!r}")
    if not path.exists():
        if not os.access(folder, os.W_OK):
            raise _unusable(url, f"the folder {str(folder)!r} cannot be written")
        return
    if not path.is_file():
        raise _unusable(url, "it is no file")
    if not os.access(path, os.W_OK):
        raise _unusable(url, "the file cannot be written")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1.0)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            versions = (
                list(connection.execute("SELECT version_num FROM alembic_version")) if _VERSIONS in tables else []
            )
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return  # locked: the writer waits
    except sqlite3.DatabaseError as error:
        raise _unusable(url, str(error)) from error
    if tables and _VERSIONS not in tables:
        raise _unusable(url, "it has tables of another program")
    if tables and versions != [(SCHEMA,)]:
        _check_by_process(url)


def _check_by_process(url: str) -> None:
    """Let a process of its own look, whose packages the driver does not need."""
    command = [sys.executable, "-m", "cnflow.monitoring.store.check"]
    path = os.pathsep.join(each for each in sys.path if each)
    try:
        done = subprocess.run(
            command,
            input=url.encode(),
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        raise _unusable(url, f"it did not answer within {_TIMEOUT:.0f} s") from None
    if done.returncode:
        raise ConfigurationError(done.stderr.decode(errors="replace").strip())


def _unusable(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"Monitoring cannot use the database {mask_url(url)!r}: {why}. Set MonitoringHub(logging_endpoint=...) to one "
        "that can be written, such as 'sqlite:////home/ann/monitoring.db'."
    )
