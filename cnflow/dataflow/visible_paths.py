"""Refuses files of a call that the tasks of its executor do not share with the driver: they would be lost in silence.

::

    AUTO_LOGNAME                ──the run's folder is not seen under its own path──> refused
    stdout=, stderr=, outputs=  ──in no folder that tasks see──> refused at the call
    File arguments, inputs=     ──the same, and they are here, or a task makes them──> refused
                                ──they are not here──> taken for files of the image, or of the node
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.call_folder import absolute_path
from cnflow.errors import ConfigurationError
from cnflow.model.file import File
from cnflow.model.visible_files import enclosing_folder

if TYPE_CHECKING:
    from cnflow.model.visible_files import VisibleFiles

_SCHEMES = frozenset({"file", "zip"})
"""Schemes of URLs whose paths are those of this machine."""


class VisiblePaths(NamedTuple):
    """Check of the files of one call."""

    visible: VisibleFiles
    executor: str
    app: str
    folder: str
    """The driver's folder at the call."""

    def check_output(self, name: str, file: Any) -> None:  # noqa: ANN401 - a user's value, checked where it is opened
        """Refuse *file*, a text, a path or a `File`, if what a task writes there is lost with its container or node.

        Devices, such as ``/dev/null``, are those of the container or node.

        Raises:
            ConfigurationError: names the file and what to do.
        """
        if isinstance(file, File):
            path = file.path if file.scheme in _SCHEMES else ""
        else:
            path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else ""
        if not path or path.startswith("/dev/"):
            return
        path = absolute_path(path, self.folder)
        if why := self._invisible(path):
            raise self._error(name, path, why, "it would be lost with them")

    def is_lost(self, path: str) -> bool:
        """Return True if tasks do not see *path*, so that it has to travel. Devices are those of the node."""
        path = absolute_path(path, self.folder)
        return not path.startswith("/dev/") and bool(self._invisible(path))

    def check_own(self, name: str, folder: str) -> None:
        """Refuse *folder*, a folder of this machine that cnflow chose, if tasks see another one or none at its path.

        Raises:
            ConfigurationError: names the folder and what to do.
        """
        path = os.path.normpath(folder)
        is_own = enclosing_folder(path, (*self.visible.own, *self.visible.others)) in self.visible.own
        if why := self._invisible(path) or ("" if is_own else path):
            raise self._error(name, path, why, "it would be lost with them")

    def check_input(self, file: File, *, is_made: bool) -> None:
        """Refuse a file that is here, or, if *is_made*, will be, and that tasks do not see.

        Raises:
            ConfigurationError: names the file and what to do.
        """
        if file.scheme not in _SCHEMES:
            return
        path = absolute_path(file.path if file.scheme == "zip" else file.filepath, self.folder)
        why = self._invisible(path)
        is_here = is_made or os.path.lexists(path if file.scheme == "file" else _archive_of(path))
        if why and is_here:
            raise self._error("inputs", path, why, "they would not find it")

    def _invisible(self, path: str) -> str:
        """Return the part of *path* that tasks do not see; empty if they see the file."""
        path = os.path.normpath(path)
        folder = enclosing_folder(path, (*self.visible.own, *self.visible.others))
        if not folder:
            return path
        if folder in self.visible.others:
            return ""
        real = os.path.realpath(path)
        is_visible = enclosing_folder(real, (*self.visible.own, *self.visible.others))
        return "" if is_visible else f"{real}, where a link in it leads to"

    def _error(self, name: str, path: str, why: str, effect: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.app}({name}={path!r}): tasks of executor {self.executor!r} do not see {why}; {effect}. "
            f"Of this machine they see {self.visible}. {self.visible.advice}"
        )


def _archive_of(path: str) -> str:
    """Return the path of the archive in that of one of its members."""
    return next((str(parent) for parent in (Path(path), *Path(path).parents) if parent.is_file()), path)
