"""Movers for servers and archives, and the tasks that move one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.tasks.staging.copies import remove_copy
from cnflow.tasks.staging.options import Content, ServerOptions
from cnflow.tasks.staging.steps import IN, OUT, staging_step
from cnflow.tasks.staging.wrappers import Mover, with_absolute_path

if TYPE_CHECKING:
    from cnflow.model.file import File


class ServerMover(NamedTuple):
    """Downloads from and uploads to HTTP and FTP servers; implements `Mover`."""

    options: ServerOptions

    def bring(self, file: File) -> None:
        """Implements `Mover.bring`."""
        from cnflow.tasks.staging.download import fetch

        content = Content(file.sha256, file.size)
        fetch(file.url, file.filepath, self.options, content)

    def version(self, file: File) -> str:
        """Text by which an HTTP server tells one content of *file* from another; empty where there is none."""
        from cnflow.tasks.staging.http import version_of

        return version_of(file.url, self.options) if file.scheme in {"http", "https"} else ""

    def send(self, file: File) -> None:
        """Implements `Mover.send`."""
        from cnflow.tasks.staging.upload import send

        send(file.filepath, file.url, self.options)


class ArchiveMover(NamedTuple):
    """Extracts from and adds to ZIP archives; implements `Mover`."""

    kind: str = "zip"
    """Tells it apart from another mover."""

    def bring(self, file: File) -> None:
        """Implements `Mover.bring`."""
        from cnflow.tasks.staging.archives import extract, split_path

        extract(*split_path(file.path), file.filepath)

    def send(self, file: File) -> None:
        """Implements `Mover.send`."""
        from cnflow.tasks.staging.archives import add, split_path

        add(file.filepath, *split_path(file.path))


def bring_file(file: File, mover: Mover) -> File:
    """Bring *file* to its ``local_path``, relative to the current folder; return it with the absolute path.

    Raises:
        StagingError: it cannot be brought.
    """
    placed = with_absolute_path(file)
    with staging_step(IN, placed):
        mover.bring(placed)
    return placed


def send_file(file: File, mover: Mover) -> None:
    """Send the copy of *file* to its URL, and remove the copy.

    Raises:
        StagingError: there is no copy, or it cannot be sent.
    """
    placed = with_absolute_path(file)
    with staging_step(OUT, placed):
        mover.send(placed)
    remove_copy(placed.filepath)
