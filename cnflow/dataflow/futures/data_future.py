"""`DataFuture`: a file that a task will make."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.futures.app_future import failure_in
from cnflow.dataflow.futures.awaiting import bridge_to
from cnflow.dataflow.futures.callbacks import CallbacksApart, on_done
from cnflow.html_tables import table
from cnflow.model.file import File
from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Generator

    from cnflow.dataflow.futures.awaiting import Bridge
    from cnflow.dataflow.futures.callbacks import CallbackThreads
    from cnflow.ids import TaskId
    from cnflow.model.file import FileLike

    _FileFuture = Future[File]
else:
    _FileFuture = Future


class DataFuture(CallbacksApart, _FileFuture):
    """Stands for a `File` until its task has made it; passed to another app, it makes an edge of the graph.

    A DataFuture has its parent's state at every moment: it is done when the parent is, failed with the very same
    exception, or cancelled. Two are equal when they are the same object.

    Args:
        parent: future of the work that puts the file where its URL points: the task's own, or that of the staging
            which moves the file there afterwards; None when the file is there.
        file_obj: the file; text and paths are made into one.
        tid: id of the task.

    Attributes:
        parent: as above, or a finished future in place of None; tasks that use the file depend on it.
        file_obj: the result.
        tid: as above.
    """

    _bridge: Bridge | None = None

    def __init__(self, parent: Future[Any] | None, file_obj: FileLike, tid: TaskId | None = None) -> None:
        super().__init__()
        self.parent = _done_future() if parent is None else parent
        self.file_obj = file_obj if isinstance(file_obj, File) else File(file_obj)
        self.tid = tid
        on_done(self.parent, self._on_parent_done)

    @property
    def filepath(self) -> str:
        """Path to open the file by; known before the file is made.

        Raises:
            ConfigurationError: the file is on another machine and was not staged.
        """
        return self.file_obj.filepath

    @property
    def filename(self) -> str:
        """The same as `filepath`, as in Parsl; of a file on another machine the last part of its path."""
        is_here = self.file_obj.scheme == "file" or self.file_obj.local_path is not None
        return self.filepath if is_here else self.file_obj.filename

    def result(self, timeout: float | None = None) -> File:
        """Wait until the file is where its URL points, and return it.

        Raises:
            TimeoutError: it is not there after *timeout* seconds.
            CancelledError: the task was cancelled.
            Exception: the error of the task or of the staging; a DependencyError where neither was run.
        """
        error = self.parent.exception(timeout)  # not its result, which may stay on a node
        if error is not None:
            raise error
        return self.file_obj

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result` does, and return the exception that it would raise; None if it would return the file."""
        return self.parent.exception(timeout)

    def __await__(self) -> Generator[Any, None, File]:
        """Wait in an event loop, as `AppFuture.__await__` does."""
        while not self.done():
            self._bridge = bridge_to(self.parent, self._bridge)
            yield from self._bridge.wait()
        return self.result()

    def cancel(self) -> bool:
        """Cancel the task with all its other outputs, or only the staging of this one; return False if it is done."""
        return self.parent.cancel()

    def cancelled(self) -> bool:
        """Return whether the parent was cancelled."""
        return self.parent.cancelled()

    def running(self) -> bool:
        """Return whether the parent runs now."""
        return self.parent.running()

    def done(self) -> bool:
        """Return whether the parent is done, failed or cancelled."""
        return self.parent.done()

    def _callback_threads(self) -> CallbackThreads | None:
        of_parent = getattr(type(self.parent), "_callback_threads", None)
        return None if of_parent is None else of_parent(self.parent)

    def _failure(self) -> BaseException | None:
        return failure_in(self.parent)

    def _on_parent_done(self, parent: Future[Any]) -> None:
        """Wake the threads that wait for this future; direct queries get the parent's state, maybe a bit earlier."""
        if parent.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif error := failure_in(parent):
            self.set_exception(error)
        else:
            self.set_result(self.file_obj)

    def _repr_html_(self) -> str:
        maker = getattr(self.parent, "name", "") if self.tid is not None else ""
        task = "" if self.tid is None else str(self.tid)
        return table(
            ["file", "task", "app", "state"], [[mask_url(self.file_obj.url), task, maker, _state_of(self)]], {1}
        )

    def __repr__(self) -> str:
        name = getattr(self.parent, "name", "") if getattr(self.parent, "tid", self.tid) == self.tid else ""
        maker = "" if self.tid is None else f" of task {self.tid}" + (f" ({name})" if name else "")
        return f"<DataFuture{maker} for {mask_url(self.file_obj.url)!r}, {_state_of(self)}>"


def _done_future() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


def _state_of(future: Future[Any]) -> str:
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    return "failed" if failure_in(future) else "done"
