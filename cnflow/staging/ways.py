"""Stagings whose user chooses who moves the files: the task, a task of its own, or the driver.

::

    in_task     the node that runs the task moves its files           needs the program or package in its image
    separate    a task of its own on the same executor moves them     the same, and a folder that its nodes share
    driver      a thread of the driver moves them; between it and     nothing on the nodes
                the nodes they travel over the tasks' connection
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.staging import through_driver
from cnflow.staging.moves import SeparateTask
from cnflow.tasks.staging.wrappers import MakeOutputFolders, wrapped_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File

IN_TASK, SEPARATE, DRIVER = WAYS = ("in_task", "separate", "driver")


class WayStaging(SeparateTask):
    """Moves files in the way that `way` names."""

    way: str | None
    """One of `WAYS`; None leaves the choice to `way_for`."""

    def way_for(self, dm: DataManager, executor: str) -> str:
        """The way for the tasks of *executor*."""
        if self.way is not None:
            return self.way
        return SEPARATE if through_driver.shares_copies(dm, executor) else DRIVER

    def is_separate(self, dm: DataManager, executor: str, path: str) -> bool:
        """Return whether a task of its own moves the file whose copy is at *path*."""
        return self.way_for(dm, executor) == SEPARATE and super().is_separate(dm, executor, path)

    def stage_in(
        self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None
    ) -> Future[Any] | None:
        """Choose the path of the copy; have it made, unless the task itself makes it."""
        if self.way_for(dm, executor) != DRIVER:
            return super().stage_in(dm, executor, file, parent_fut)
        return through_driver.fetch(dm, executor, file, self.name_of_copy(file), parent_fut, self.mover)

    def replace_task(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Wrap *func* where the task itself brings its files."""
        if self.way_for(dm, executor) != DRIVER:
            return super().replace_task(dm, executor, file, func)
        return None

    def place_of_output(self, dm: DataManager, executor: str, file: File) -> str | None:
        """Have the output travel to the driver, where that moves it and tasks do not see the run's folder."""
        if self.way_for(dm, executor) != DRIVER:
            return None
        return through_driver.place_of_output(dm, executor, self.name_of_copy(file))

    def stage_out(self, dm: DataManager, executor: str, file: File, app_fu: Future[Any]) -> Future[Any] | None:
        """Choose the path of the copy; have it sent, unless the task itself sends it."""
        if self.way_for(dm, executor) != DRIVER:
            return super().stage_out(dm, executor, file, app_fu)
        return through_driver.send(dm, file, self.name_of_copy(file), app_fu, self.mover)

    def replace_task_stage_out(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Wrap *func*: make the folder that it writes to, and send the file where the task itself does."""
        if self.way_for(dm, executor) != DRIVER:
            return super().replace_task_stage_out(dm, executor, file, func)
        if through_driver.shares_copies(dm, executor):
            return wrapped_once(func, MakeOutputFolders(func))
        return None

    def replace_task_stream(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Wrap *func* where the task itself sends what it prints."""
        if self.way_for(dm, executor) != DRIVER:
            return super().replace_task_stream(dm, executor, file, func)
        return None


def check_way(staging: str, way: str | None) -> None:
    """Refuse a way that is unknown.

    Raises:
        UnknownNameError: *way* is not None, and none of `WAYS`.
    """
    if way is not None and way not in WAYS:
        raise UnknownNameError(f"way of {staging}", way, WAYS)


def check_tries(staging: str, timeout: float, tries: int, pause: float) -> None:
    """Refuse limits that allow no try.

    Raises:
        ConfigurationError: one of them does.
    """
    if not (timeout > 0 and tries >= 1 and pause >= 0):
        raise ConfigurationError(
            f"{staging}(timeout={timeout!r}, tries={tries!r}, pause={pause!r}): timeout must be above 0, tries at "
            "least 1 and pause at least 0."
        )
