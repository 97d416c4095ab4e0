"""Two ways to move the files of a scheme: by tasks of their own, and within the task that reads or writes them.

::

    Separate:  stage_in ──> task of its own on the same executor: bring ──> the task reads the copy
               the task writes the copy ──> stage_out ──> task of its own: send, remove the copy
               every node of the executor sees the folder of the copies; where it does not, as InTask
    InTask:    replace_task, replace_task_stage_out ──> the task: bring, the app's function, send
               the node that runs the task moves its files, and no folder is shared
"""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from cnflow.interfaces.staging import Staging
from cnflow.model.visible_files import enclosing_folder
from cnflow.staging.file_names import safe_name
from cnflow.tasks.staging.movers import bring_file, send_file
from cnflow.tasks.staging.wrappers import (
    BringInputs,
    MakeOutputFolders,
    SendOutputs,
    SendStream,
    as_function,
    wrapped_once,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File
    from cnflow.tasks.staging.wrappers import Mover


class MovedStaging(Staging):
    """Staging whose files are moved by a `Mover`, in either direction, and copied on the node meanwhile."""

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is of one of the schemes."""
        return file.scheme in self.schemes

    def can_stage_out(self, file: File) -> bool:
        """Same as `can_stage_in`."""
        return self.can_stage_in(file)

    @property
    @abstractmethod
    def mover(self) -> Mover:
        """What moves the files; made at each call of an app, so that it has what files of settings hold then."""

    def name_of_copy(self, file: File) -> str:
        """Name of the copy of *file*."""
        return safe_name(file.filename)

    def is_separate(self, dm: DataManager, executor: str, path: str) -> bool:  # noqa: ARG002 - for the subclasses
        """Return whether a task of its own moves the file whose copy is at *path*."""
        return False

    def stage_in(
        self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None
    ) -> Future[Any] | None:
        """Choose the path of the copy; submit a task that makes it, unless the task itself does."""
        file.local_path = dm.place(executor, self.name_of_copy(file))
        if not self.is_separate(dm, executor, file.local_path):
            return None
        return dm.submit(executor, bring_file, file, self.mover, after=parent_fut)

    def replace_task(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Wrap *func*: first bring every file of these schemes among its arguments."""
        if file.local_path is None or self.is_separate(dm, executor, file.local_path):
            return None
        return wrapped_once(func, BringInputs(func, self.schemes, self.mover))

    def stage_out(self, dm: DataManager, executor: str, file: File, app_fu: Future[Any]) -> Future[Any] | None:
        """Choose the path of the copy; submit a task that sends it, unless the task itself does."""
        file.local_path = dm.place(executor, self.name_of_copy(file))
        if not self.is_separate(dm, executor, file.local_path):
            return None
        return dm.submit(executor, send_file, file, self.mover, after=app_fu)

    def replace_task_stage_out(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Wrap *func*: first make the folder that it writes to; afterwards, send the file, unless another task does."""
        if file.local_path is None or self.is_separate(dm, executor, file.local_path):
            return wrapped_once(func, MakeOutputFolders(func))
        return wrapped_once(func, SendOutputs(func, self.schemes, self.mover))

    def replace_task_stream(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Wrap *func*: afterwards, send the file, unless another task does."""
        if file.local_path is None or self.is_separate(dm, executor, file.local_path):
            return None
        return as_function(SendStream(func, file.__copy__(), self.mover))


class SeparateTask(MovedStaging):
    """Moves files by tasks of their own where the nodes share the folder of the copies, and in the task elsewhere."""

    def is_separate(self, dm: DataManager, executor: str, path: str) -> bool:
        """Return whether all nodes of *executor* see *path*."""
        visible = getattr(dm.dfk.executors.get(executor), "visible_files", None)  # join apps run in none
        if visible is None:
            return True
        return os.path.isabs(path) and bool(enclosing_folder(path, (*visible.own, *visible.others)))  # noqa: PTH117 - of a node
