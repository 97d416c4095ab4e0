"""Stagings for files in ZIP archives, which tasks open by their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError, ZipAuthorityError
from cnflow.staging.moves import MovedStaging, SeparateTask
from cnflow.tasks.staging.archives import split_path
from cnflow.tasks.staging.movers import ArchiveMover

if TYPE_CHECKING:
    from cnflow.model.file import File


class ZipPath(NamedTuple):
    """Path of a file in an archive."""

    archive: str
    """Path of the archive."""

    name: str
    """Path of the member in the archive."""


class _Zip(MovedStaging):
    """Extracts files from ZIP archives and adds files to them: ``zip:/path/to.zip/inner/name``.

    Tasks of one archive wait for each other. A file replaces another of the same name in the archive.
    """

    schemes = ("zip",)
    needs_visible_files = True

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* has a ``zip:`` URL.

        Raises:
            ZipAuthorityError: it has a host.
            ConfigurationError: it names no member of an archive.
        """
        if file.scheme == "zip":
            split(file)
        return file.scheme == "zip"

    @property
    def mover(self) -> ArchiveMover:
        """Opens archives."""
        return ArchiveMover()


class ZipFileStaging(_Zip, SeparateTask):
    """Extracts and adds files by tasks of their own on the same executor, whose nodes must see the archive."""


class ZipInTaskStaging(_Zip):
    """Extracts and adds files in the task that reads or writes them, whose node must see the archive."""


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
    return ZipPath(*split_path(path))
