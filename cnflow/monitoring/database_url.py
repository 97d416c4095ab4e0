"""URL of the database that a run is recorded in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.config.monitoring import MonitoringHub

FILE = "monitoring.db"
"""Database of all runs of a folder, where the user names no other."""


def database_url(settings: MonitoringHub, run_dir: Path) -> str:
    """Return the URL of SQLAlchemy for the run in *run_dir*, with ``~`` and variables replaced."""
    endpoint = settings.logging_endpoint
    if not endpoint:
        return f"sqlite:///{Path(run_dir).absolute().parent / FILE}"
    url = os.path.expandvars(endpoint)
    head, separator, rest = url.partition(":///")
    return f"{head}{separator}{Path(rest).expanduser()}" if separator and rest.startswith("~") else url
