"""Staging for files that need not be moved: driver and tasks see them under the same path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.interfaces.staging import Staging
from cnflow.staging.file_names import is_on_this_machine
from cnflow.tasks.staging.wrappers import CheckContents, wrapped_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File


class NoOpFileStaging(Staging):
    """For ``file:`` on this machine or a shared file system: leaves every file where it is, and checks it there.

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

    def replace_task(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,
        func: Callable[..., Any],
    ) -> Callable[..., Any] | None:
        """Wrap *func* where the user says what *file* contains: first compare that."""
        if file.sha256 is None and file.size is None:
            return None
        return wrapped_once(func, CheckContents(func))
