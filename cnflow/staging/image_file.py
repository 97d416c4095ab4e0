"""Staging for files in the image of a task: checked where it runs, never copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cnflow.errors import ConfigurationError
from cnflow.interfaces.staging import Staging
from cnflow.tasks.staging.wrappers import CheckImageFiles, wrapped_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File


class ImageFileStaging(Staging):
    """For ``docker:/path``: a file or folder of the image in which the task runs. Read only."""

    schemes = ("docker",)

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* has a ``docker:`` URL.

        Raises:
            ConfigurationError: it names another image, or no path.
        """
        if file.scheme != "docker":
            return False
        if file.netloc or not file.path.strip("/"):
            raise ConfigurationError(
                f"{file.url} names no file of the task's own image: write docker:/path, and choose the image by "
                "image= of the app."
            )
        return True

    def can_stage_out(self, file: File) -> bool:
        """Return False.

        Raises:
            ConfigurationError: it is a ``docker:`` URL: what a task writes in its image ends with the container.
        """
        if file.scheme == "docker":
            raise ConfigurationError(
                f"{file.url} cannot be an output: images are read only, and what a task writes there would end with "
                "its container."
            )
        return False

    def stage_in(self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None) -> None:  # noqa: ARG002 - part of the seam
        """Set the path.

        Raises:
            ConfigurationError: the executor's tasks run in no image.
        """
        if not getattr(dm.dfk.executors.get(executor), "image", None):
            raise ConfigurationError(
                f"{file.url}: tasks of executor {executor!r} run in no image. Write image= in the app or the executor."
            )
        file.local_path = unquote(file.path)

    def replace_task(
        self,
        dm: DataManager,
        executor: str,
        file: File,  # noqa: ARG002 - part of the seam
        func: Callable[..., Any],
    ) -> Callable[..., Any]:
        """Wrap *func*: first check that the image has the files."""
        return wrapped_once(func, CheckImageFiles(func, str(dm.dfk.executors[executor].image)))
