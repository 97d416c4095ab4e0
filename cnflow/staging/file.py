"""Staging for files that need not be moved: driver and tasks see them under the same path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.interfaces.staging import Staging
from cnflow.staging.file_names import is_on_this_machine

if TYPE_CHECKING:
    from cnflow.model.file import File


class NoOpFileStaging(Staging):
    """For ``file:`` on this machine or a shared file system: leaves every file where it is.

    Nothing is copied, so files of the same name in different folders stay apart. A URL with a host is for this machine
    only if the host is ``localhost``.
    """

    schemes = ("file",)
    needs_visible_files = True

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is a path, or a ``file:`` URL without a foreign host."""
        return is_on_this_machine(file)

    def can_stage_out(self, file: File) -> bool:
        """Same as `can_stage_in`."""
        return is_on_this_machine(file)
