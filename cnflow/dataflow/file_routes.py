"""Chooses the staging of each file of a call, and arranges which outputs travel over the connection of its tasks.

::

    path that tasks see ──────────────> first of `storage_access` that can move it, `NoOpFileStaging` by default
    path that they do not see ────────> the built-in transfer, where the executor has `items`; else refused
    File.temp ────────────────────────> the run's folder where tasks see it; else it stays on its node

    output or stream that travels ──> Leave, which the worker gets ──> item ──> place on this machine, then done
                                                                         └──> no place: its file has the item
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.call_folder import absolute_path
from cnflow.errors import StagingError
from cnflow.staging import BUILT_IN, Direction, NoOpFileStaging, staging_for
from cnflow.staging.built_in import RUN_FOLDER
from cnflow.tasks.staging.items import STREAMS, Leave
from cnflow.tasks.staging.steps import OUT
from cnflow.text import describe_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.dataflow.temporary_files import TemporaryOutputs
    from cnflow.dataflow.visible_paths import VisiblePaths
    from cnflow.interfaces import Staging
    from cnflow.interfaces.items import ItemStore
    from cnflow.model.file import File
    from cnflow.model.task import Outcome


class FileRoutes(NamedTuple):
    """Stagings for the files of one call."""

    stagings: Sequence[Staging] | None
    items: ItemStore | None
    """Of the executor; None where its tasks get no files over its connection."""

    check: VisiblePaths | None
    """Of the executor; None where tasks see all files of this machine."""

    run_dir: str
    folder: str
    """The driver's folder at the call."""

    def staging_in(self, file: File, *, is_made: bool) -> Staging:
        """Return the staging of an input; *is_made*: by a task.

        Raises:
            UnknownNameError, ConfigurationError: no staging moves it, or tasks would not find it.
        """
        staging = staging_for(file, self.stagings, Direction.IN)
        if file.scheme == "temp":
            return self._of_temporary(staging)
        if self.check is not None and staging.needs_visible_files:
            if self._must_travel(staging, file.path) and (is_made or self._is_here(file)):
                return BUILT_IN
            self.check.check_input(file, is_made=is_made)
        return staging

    def staging_out(self, name: str, file: File) -> Staging:
        """Return the staging of an output or stream, for messages called *name*.

        Raises:
            UnknownNameError, ConfigurationError: no staging moves it, or it would be lost with its container or node.
        """
        staging = staging_for(file, self.stagings, Direction.OUT)
        if file.scheme == "temp":
            return self._of_temporary(staging)
        if self.check is not None and staging.needs_visible_files:
            if self._must_travel(staging, file.path):
                return BUILT_IN
            self.check.check_output(name, file)
        return staging

    def stream_travels(self, name: str, path: Any) -> bool:  # noqa: ANN401 - a user's value, checked where it is opened
        """Return True if the stream at *path*, which is no `File` with a staging, travels.

        Raises:
            ConfigurationError: it would be lost with its container or node.
        """
        if self.check is None or not isinstance(path, (str, os.PathLike)):
            return False
        if self.items is not None and self.check.is_lost(os.fspath(path)):
            return True
        self.check.check_output(name, path)
        return False

    def absolute(self, file: File) -> File:
        """Return a clean copy of *file* with the path that it has on this machine."""
        return file.at(absolute_path(file.path, self.folder)) if file.scheme == "file" else file.cleancopy()

    def _must_travel(self, staging: Staging, path: str) -> bool:
        is_path = isinstance(staging, NoOpFileStaging) and self.items is not None
        return is_path and self.check is not None and self.check.is_lost(path)

    def _of_temporary(self, staging: Staging) -> Staging:
        sees_run = self.check is None or not self.check.is_lost(self.run_dir)
        return RUN_FOLDER if staging is BUILT_IN and (sees_run or self.items is None) else staging

    def _is_here(self, file: File) -> bool:
        path = absolute_path(file.path, self.folder)
        return file.glob or os.path.lexists(path)


class LeftFiles:
    """Outputs and streams of one task that travel over its connection.

    Args:
        items: of the executor.
        temporary: takes those that stay on their node.
    """

    def __init__(self, items: ItemStore | None, temporary: TemporaryOutputs) -> None:
        self._items = items
        self._temporary = temporary
        self._appended: dict[str, tuple[str, str]] = {}
        self.leaves: list[Leave] = []
        self.places: dict[str, str] = {}

    def add_output(self, number: int, file: File, place: str) -> None:
        """Have the output *number* travel to *place*, or stay on its node if that is empty."""
        kind = "directory" if file.directory else "glob" if file.glob else ""
        self.leaves.append(Leave(f"outputs/{number}", file.path if file.scheme == "file" else file.filename, kind))
        if place:
            self.places[f"outputs/{number}"] = place

    def add_stream(self, name: str, place: str, mode: str) -> None:
        """Have a stream travel to *place*: appended to what is there, or in place of it if *mode* begins with ``w``."""
        self.leaves.append(Leave(name, place))
        if place in (leave.path for leave in self.leaves[:-1] if leave.name in STREAMS):
            return  # both streams are one file, which comes once
        self.places[name] = place
        if not mode.startswith("w"):
            self.places[name] = _part_beside(place)
            self._appended[name] = (self.places[name], place)

    def on_items(self, outcome: Outcome) -> None:
        """Append streams to their files, and give temporary outputs their items.

        Raises:
            StagingError: a stream cannot be appended; everything else was done.
        """
        self._take(outcome)
        failures = [error for part, place in self._appended.values() if (error := _append(part, place)) is not None]
        if failures:
            raise failures[0]

    def _take(self, outcome: Outcome) -> None:
        for item in outcome.items:
            kind, _, number = item.name.partition("/")
            if kind == "outputs" and self._items is not None and outcome.error is None:
                self._temporary.enter(int(number), item)
            elif kind in {"outputs", *STREAMS} and self._items is not None:
                self._items.release(item)


def mode_of(stream: Any) -> str:  # noqa: ANN401 - a user's value, checked where it is opened
    """Return the mode in which *stream*, a path or ``(path, mode)``, is opened."""
    is_pair = isinstance(stream, tuple) and len(stream) > 1 and isinstance(stream[1], str)
    return stream[1] if is_pair else "a+"


def _part_beside(place: str) -> str:
    folder, name = os.path.split(place)
    return os.path.join(folder, f".{name[:40]}.{os.urandom(6).hex()}.part")  # noqa: PTH118 - the same


def _append(part: str, place: str) -> StagingError | None:
    """Append the file at *part* to the one at *place*, and remove it; return the error of that place."""
    if not os.path.exists(part):  # noqa: PTH110 - a text; the attempt was lost before it began
        return None
    try:
        if not os.path.exists(place):  # noqa: PTH110 - the same
            os.replace(part, place)  # noqa: PTH105 - the same
            return None
        with Path(part).open("rb") as source, Path(place).open("ab") as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        why = f"What the task printed cannot be appended to {place}: {describe_error(error)}"
        return StagingError(why, url=place, step=OUT)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)  # noqa: PTH108 - the same
    return None
