"""Staging for files in ZIP archives.

::

    in:   stage_in ──> task of its own: extract ──> the task reads the copy
    out:  the task writes the copy ──> stage_out ──> task of its own: add to the archive, remove the copy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError, ZipAuthorityError
from cnflow.interfaces.staging import Staging
from cnflow.staging.file_names import safe_name
from cnflow.tasks.staging.wrappers import MakeOutputFolders, add_file, as_function, extract_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File

_SUFFIX = ".zip/"


class ZipPath(NamedTuple):
    """Path of a file in an archive."""

    archive: str
    """Path of the archive."""

    name: str
    """Path of the member in the archive."""


class ZipFileStaging(Staging):
    """Extracts files from ZIP archives and adds files to them: ``zip:/path/to.zip/inner/name``.

    By tasks of their own on the same executor, whose nodes must see the archive. Tasks of one archive wait for each
    other. A file replaces another of the same name in the archive.
    """

    schemes = ("zip",)

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* has a ``zip:`` URL.

        Raises:
            ZipAuthorityError: it has a host.
            ConfigurationError: it names no member of an archive.
        """
        if file.scheme == "zip":
            split(file)
        return file.scheme == "zip"

    def can_stage_out(self, file: File) -> bool:
        """Same as `can_stage_in`."""
        return self.can_stage_in(file)

    def stage_in(self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None) -> Future[Any]:
        """Submit a task that extracts *file*."""
        archive, name = split(file)
        file.local_path = dm.place(executor, safe_name(file.filename))
        return dm.submit(executor, extract_file, file, archive, name, after=parent_fut)

    def stage_out(self, dm: DataManager, executor: str, file: File, app_fu: Future[Any]) -> Future[Any]:
        """Submit a task that adds *file* to the archive and removes the copy that the task wrote."""
        archive, name = split(file)
        file.local_path = dm.place(executor, safe_name(file.filename))
        return dm.submit(executor, add_file, file, archive, name, after=app_fu)

    def replace_task_stage_out(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        func: Callable[..., Any],
    ) -> Callable[..., Any]:
        """Wrap *func*: first make the folder that it writes to."""
        return as_function(func if isinstance(func, MakeOutputFolders) else MakeOutputFolders(func))


def split(file: File) -> ZipPath:
    """Archive and member of a ``zip:`` URL: the archive's path ends with the first ``.zip`` that a slash follows.

    Raises:
        ZipAuthorityError: it has a host.
        ConfigurationError: it names no member of an archive, or one that lies outside of it.
    """
    if file.netloc:
        raise ZipAuthorityError(
            f"{file.url} begins with the host {file.netloc!r}, but an archive is a file that is opened by its path: "
            "write zip:/path/to.zip/name."
        )
    archive, name = zip_path_split(file.path)
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name:
        raise ConfigurationError(f"{file.url} names no file in an archive: write zip:/path/to.zip/name.")
    if not file.url.endswith(file.path):
        raise ConfigurationError(f"{file.url} holds '?' or '#', which cannot be part of the name of a zip: URL.")
    return ZipPath(archive, name)


def zip_path_split(path: str) -> ZipPath:
    """Archive and member of the *path* of a ``zip:`` URL; the member is empty where it names none."""
    head, _, name = path.partition(_SUFFIX)
    return ZipPath(head + _SUFFIX[:-1], name)
