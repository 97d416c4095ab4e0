"""Stagings that download files from HTTP and FTP servers.

::

    Separate:  stage_in ──> task of its own on the same executor: download ──> the task reads the copy
               retried as any task; every node of the executor must see the folder of the copies
    InTask:    replace_task ──> the task: download, then the app's function
               the node that runs the task downloads its file, and no folder is shared
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError
from cnflow.interfaces.staging import Staging
from cnflow.staging.file_names import name_of
from cnflow.tasks.staging.download import RetryPolicy
from cnflow.tasks.staging.wrappers import FetchInputs, as_function, fetch_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File


class _Download(Staging):
    """Stages files in, never out.

    Args:
        timeout: seconds of silence after which a try fails.
        tries: how often a connection that fails, or a server in trouble, is tried; other answers are final.
        pause: seconds before the second try, doubled before each further one.
    """

    def __init__(self, timeout: float = 60.0, tries: int = 4, pause: float = 0.5) -> None:
        if not (timeout > 0 and tries >= 1 and pause >= 0):
            raise ConfigurationError(
                f"{type(self).__name__}(timeout={timeout!r}, tries={tries!r}, pause={pause!r}): timeout must be above "
                "0, tries at least 1 and pause at least 0."
            )
        self.timeout = timeout
        self.tries = tries
        self.pause = pause

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is of one of the schemes."""
        return file.scheme in self.schemes

    @property
    def _policy(self) -> RetryPolicy:
        return RetryPolicy(self.timeout, self.tries, self.pause)


class _SeparateDownload(_Download):
    def stage_in(self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None) -> Future[Any]:
        """Submit a task that downloads *file*."""
        file.local_path = dm.place(executor, name_of(file.url))
        return dm.submit(executor, fetch_file, file, self._policy, after=parent_fut)


class _InTaskDownload(_Download):
    def stage_in(self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None) -> None:  # noqa: ARG002 - part of the seam
        """Set the path of the copy; the task itself downloads it."""
        file.local_path = dm.place(executor, name_of(file.url))

    def replace_task(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        func: Callable[..., Any],
    ) -> Callable[..., Any]:
        """Wrap *func*: first download every file of these schemes among its arguments."""
        if isinstance(func, FetchInputs) and func.schemes == self.schemes and func.policy == self._policy:
            return as_function(func)
        return as_function(FetchInputs(func, self.schemes, self._policy))


class HTTPSeparateTaskStaging(_SeparateDownload):
    """Downloads ``http:`` and ``https:`` by tasks of their own."""

    schemes = ("http", "https")


class HTTPInTaskStaging(_InTaskDownload):
    """Downloads ``http:`` and ``https:`` in the task that reads them."""

    schemes = ("http", "https")


class FTPSeparateTaskStaging(_SeparateDownload):
    """Downloads ``ftp:`` by tasks of their own; anonymous unless the URL has ``user:password@``."""

    schemes = ("ftp",)


class FTPInTaskStaging(_InTaskDownload):
    """Downloads ``ftp:`` in the task that reads them; anonymous unless the URL has ``user:password@``."""

    schemes = ("ftp",)
