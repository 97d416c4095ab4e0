"""Finds the run that a command names, and where its records are.

::

    --run 007 | DIR | ID ──> folder of the run ──its socket answers──────────> live: asked by its socket
    --db URL ────────┐         └──monitoring.db beside it, which has the run─> recorded: asked through the `Reader`
                     └──> Reader ──> the run's folder

A run that is neither live nor recorded has no answer, and the message says how to record the next one.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.control_socket import find_live_run
from cnflow.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from cnflow.monitoring.queries.reader import Reader
    from cnflow.monitoring.queries.views import RunView

RUNS = "runinfo"
"""Folder of runs that is used where none is named."""

DATABASE = "monitoring.db"
"""Name of the database in a folder of runs."""


class RunPlace(NamedTuple):
    """A run, and where its records are."""

    folder: Path
    is_live: bool
    """Its driver answers on this machine."""

    reader: Reader | None
    """Database that has the run; None where it is not monitored."""

    id: str
    """Of the run in the database."""


def find_run(name: str, database: str = "") -> RunPlace:
    """Return the place of the run that *name* and *database*, the values of ``--run`` and ``--db``, stand for.

    Raises:
        ConfigurationError: there is no such run, or it has ended and was not monitored.
    """
    if database:
        from cnflow.monitoring.store.endpoint import expanded

        url = expanded(database) if "://" in database else database
        return _in_database(url, "" if name == RUNS else name)
    folder = _folder_of(Path(name)) or _folder_of(Path(RUNS) / name)
    if folder is not None:
        return _in_folder(folder)
    found = next((file for file in (Path(name) / DATABASE, Path(RUNS) / DATABASE, Path(name)) if file.is_file()), None)
    if found is None:
        raise ConfigurationError(
            f"There is no run {name!r} here. Name the folder of the run or of all runs, its number, or add --db URL."
        )
    return _in_database(str(found), "" if name in {RUNS, str(found)} else name)


def _folder_of(place: Path) -> Path | None:
    if not place.is_dir():
        return None
    try:
        return find_live_run(place)
    except ConfigurationError:
        runs = [entry for entry in place.iterdir() if entry.name.isdigit() and entry.is_dir()]
    if runs and not place.name.isdigit():
        return max(runs, key=lambda entry: int(entry.name))
    return place if place.name.isdigit() else None


def _in_folder(folder: Path) -> RunPlace:
    is_live, file = _is_live(folder), folder.absolute().parent / DATABASE
    try:
        reader = _open(str(file)) if file.is_file() else None
    except ConfigurationError:
        if not is_live:
            raise
        reader = None  # it cannot be read, as one of another version; the driver answers
    if reader is not None:
        for place in dict.fromkeys((folder.absolute(), folder.resolve())):
            with contextlib.suppress(ConfigurationError):  # a run that was not monitored, beside others that were
                return RunPlace(folder, is_live, reader, reader.run(str(place)).id)
        reader.close()
    if not is_live:
        raise ConfigurationError(
            f"The run in {folder} has ended, and {file} does not have it: it ran without Config(monitoring=True), or "
            "its database is elsewhere; then name that by --db URL. Its logs are there: cnflow logs."
        )
    return RunPlace(folder, is_live, None, "")


def _in_database(database: str, name: str) -> RunPlace:
    reader = _open(database)
    view: RunView = reader.run(name)
    folder = Path(view.run_dir)
    return RunPlace(folder, reader.has_folder(view) and _is_live(folder), reader, view.id)


def _open(database: str) -> Reader:
    with MissingExtraError.for_import("The database of monitoring", "monitoring"):
        from cnflow.monitoring.queries.reader import Reader  # with SQLAlchemy, which a live run's questions need not
    return Reader(database)


def _is_live(folder: Path) -> bool:
    try:
        return find_live_run(folder) == folder
    except ConfigurationError:
        return False
