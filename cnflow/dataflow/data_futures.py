"""What stands for a file that a task will make."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.model.file import File

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.model.file import FileLike

    _FileFuture = Future[File]
else:
    _FileFuture = Future


class DataFuture(_FileFuture):
    """Stands for a `File` until its task has made it; passing it to another app makes an edge of the graph.

    Its state is that of the task's future, at every moment: done when that is, failed with the very same exception,
    cancelled when that is. Two are equal when they are the same object.

    Args:
        parent: future of whatever makes the file, in most cases the task's AppFuture; None when the file is there.
        file_obj: the file; text and paths become one.
        tid: id of the task.

    Attributes:
        parent: as above; a finished future when None was given. What depends on this one depends on that.
        file_obj: the result.
        tid: as above.
    """

    def __init__(self, parent: Future[Any] | None, file_obj: FileLike, tid: TaskId | None = None) -> None:
        super().__init__()
        self.parent = _finished() if parent is None else parent
        self.file_obj = file_obj if isinstance(file_obj, File) else File(file_obj)
        self.tid = tid
        self.parent.add_done_callback(self._parent_is_done)

    @classmethod
    def done_with(cls, file: FileLike) -> DataFuture:
        """One for a *file* that is there."""
        return cls(None, file)

    @property
    def filepath(self) -> str:
        """Path to open the file by, known before the file is made.

        Raises:
            ConfigurationError: the file is elsewhere and was not staged.
        """
        return self.file_obj.filepath

    @property
    def filename(self) -> str:
        """Last part of the file's path."""
        return self.file_obj.filename

    def result(self, timeout: float | None = None) -> File:
        """The file, when it is made.

        Raises:
            TimeoutError: not within *timeout* seconds.
            CancelledError: the task was cancelled.
            Exception: whatever the task failed with.
        """
        self.parent.result(timeout)
        return self.file_obj

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the task failed with, if it did; waits and raises as `result` does."""
        return self.parent.exception(timeout)

    def cancel(self) -> bool:
        """Cancel the task, and with it all its other outputs; False if it is done."""
        return self.parent.cancel()

    def cancelled(self) -> bool:
        """Whether the task was cancelled."""
        return self.parent.cancelled()

    def running(self) -> bool:
        """Whether the task runs now."""
        return self.parent.running()

    def done(self) -> bool:
        """Whether the task is done, failed or cancelled."""
        return self.parent.done()

    def _parent_is_done(self, parent: Future[Any]) -> None:
        """Wake who waits for this very future; who asks it is answered by the parent, maybe a bit earlier."""
        if parent.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif error := parent.exception():
            self.set_exception(error)
        else:
            self.set_result(self.file_obj)

    def __repr__(self) -> str:
        name = getattr(self.parent, "name", "")
        maker = "" if self.tid is None else f" of task {self.tid}" + (f" ({name})" if name else "")
        return f"<DataFuture{maker} for {self.file_obj.url!r}, {_state(self)}>"


def _finished() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


def _state(future: Future[Any]) -> str:
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    return "failed" if future.exception() else "done"
