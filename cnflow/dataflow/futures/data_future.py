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

    Its state is that of its parent, at every moment: done when that is, failed with the very same exception, cancelled
    when that is. Two are equal when they are the same object.

    Args:
        parent: future of whatever puts the file where its URL says: the task's own, or that of the staging which takes
            the file there afterwards; None when the file is there.
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
        """The file, when it is where its URL says.

        Raises:
            TimeoutError: not within *timeout* seconds.
            CancelledError: the task was cancelled.
            Exception: whatever the task failed with, or what took its file away; a DependencyError where that was not
                tried.
        """
        self.parent.result(timeout)
        return self.file_obj

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What would be raised by `result`, if anything; waits as that does."""
        return self.parent.exception(timeout)

    def cancel(self) -> bool:
        """Cancel the task, and with it all its other outputs; or only what takes this one away. False if it is done."""
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
        name = getattr(self.parent, "name", "") if getattr(self.parent, "tid", self.tid) == self.tid else ""
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
