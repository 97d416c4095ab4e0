"""What calling an app returns."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.dataflow.futures import shared_lock
from cnflow.dataflow.futures.parts import Asked, explain, refuse_attribute
from cnflow.errors import DependencyError, SerializationError
from cnflow.model.task import title_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from typing_extensions import Self, TypeVar

    from cnflow.dataflow.futures.data_future import DataFuture
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.model.task import AppFunction

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")  # defaults of type variables are news of Python 3.13


class Canceller(Protocol):
    """What a future asks of the kernel that made it."""

    def cancel(self, future: AppFuture) -> bool:
        """As `AppFuture.cancel`."""

    def state_name(self, future: AppFuture) -> str:
        """As `AppFuture.task_status`."""

    def record_of(self, future: AppFuture, app: AppFunction) -> TaskRecord:
        """As `AppFuture.task_record`."""


class AppFuture(Future[R]):
    """Stands for the result of a task; passing it to another app makes an edge of the graph.

    A `concurrent.futures.Future` in every way: usable with `concurrent.futures.wait` and `as_completed`, and with
    `asyncio.wrap_future`.

    ``future["key"]`` and ``future.name`` stand for that element or attribute of the result, and are AppFutures too.

    Attributes:
        tid: id of the task.
        name: of the app.
        stdout, stderr: where the task's streams go, as given, or the name that was made for them; a DataFuture for a
            `File`; None is nowhere.
    """

    __iter__ = None
    """Else Python would take ``future[0]``, ``future[1]`` and so on without end."""

    stdout: Any = None
    stderr: Any = None
    _files: list[DataFuture] | None = None

    # What the base class would make for each one; see `conditions`.
    _condition: Any = shared_lock.UNWAITED
    _state = "PENDING"
    _result: Any = None
    _exception: BaseException | None = None
    _done_callbacks: Any = ()

    def __init__(self, tid: TaskId, app: AppFunction, kernel: Canceller) -> None:
        self._waiters: list[Any] = []
        self.tid = tid
        self.name = app.name
        self._app = app
        self._kernel = kernel

    def result(self, timeout: float | None = None) -> R:
        """As of any future: what the task returned, or its exception raised; waits *timeout* seconds at most."""
        self._prepare_to_wait()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As of any future: what the task raised, or None; waits *timeout* seconds at most."""
        self._prepare_to_wait()
        return super().exception(timeout)

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """As of any future: *fn* is called with it when it is done, or now if it is."""
        with shared_lock.lock:
            if not self._done_callbacks:
                self._done_callbacks = []
        super().add_done_callback(fn)

    def _prepare_to_wait(self) -> None:
        if not self.done():
            with shared_lock.lock:
                if self._condition is shared_lock.UNWAITED:
                    self._condition = shared_lock.condition()

    def cancel(self) -> bool:
        """Want the task no more. A task that waits never runs; one that runs is stopped.

        Returns:
            False when it is done already. True otherwise; a running task takes a moment to stop, and if it ends by
            itself in that moment, its result stands: `cancelled` tells.
        """
        return self._kernel.cancel(self)

    def task_status(self) -> str:
        """Where the task is: waiting, launched, done, failed, dependency_failed or cancelled."""
        return self._kernel.state_name(self)

    @property
    def task_record(self) -> TaskRecord:
        """What is known of the task, as in ``dfk.tasks``; of one that is final, no more than its future and its app."""
        return self._kernel.record_of(self, self._app)

    def settle_cancelled(self) -> None:
        """Make it a cancelled future; for the kernel."""
        super().cancel()
        self.set_running_or_notify_cancel()

    @property
    def outputs(self) -> list[DataFuture]:
        """Stands for each file of ``outputs=``, in that order."""
        if self._files is None:
            self._files = []  # made when asked for: hardly any task has files, and all of them are collected as garbage
        return self._files

    @outputs.setter
    def outputs(self, files: list[DataFuture]) -> None:
        self._files = files

    @property
    def _outputs(self) -> list[DataFuture]:
        """Their name in the reference, by which stagings that were written for it ask."""
        return self.outputs

    def __getitem__(self, key: Any) -> AppFuture[Any]:  # noqa: ANN401 - whatever the result takes
        """Stands for ``result()[key]``; returns at once."""
        return LiftedFuture(self, Asked(key, is_attribute=False))

    def __getattr__(self, name: str) -> AppFuture[Any]:
        """Stands for ``result().name``; returns at once.

        Raises:
            AttributeError: *name* begins with an underscore, or is nearly that of an attribute that the future has.
        """
        refuse_attribute(name, _OWN)
        return LiftedFuture(self, Asked(name, is_attribute=True))

    def __copy__(self) -> Self:
        """Itself: there is one task."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself, as for a copy."""
        return self

    def __reduce__(self) -> NoReturn:
        """A future cannot leave the driver.

        Raises:
            SerializationError: says what to do instead.
        """
        raise SerializationError(
            f"The future of {title_of_future(self)} cannot be pickled. Pass it to an app as an argument, where its "
            "result takes its place, or pass its result().",
        )

    def __repr__(self) -> str:
        return f"<AppFuture of task {self.tid} ({self.name}), {self.task_status()}>"


class LiftedFuture(AppFuture):
    """Stands for a part of a task's result. Made by asking the task's future; no task itself.

    It is cancelled when the task is, fails with a `cnflow.errors.DependencyError` when the task does, and with the
    error of the look-up (`KeyError`, `IndexError`, `AttributeError` or another) when the result has no such part.

    Args:
        whole: stands for what the part is of.
        asked: the part.
    """

    def __init__(self, whole: AppFuture, asked: Asked) -> None:
        super().__init__(whole.tid, whole._app, whole._kernel)  # noqa: SLF001 - its own class's
        self._whole = whole
        self._asked = asked
        whole.add_done_callback(self._settle)

    def cancel(self) -> bool:
        """Cancel the task, and with it all parts of its result; False if this is done."""
        return not self.done() and self._whole.cancel()

    def task_status(self) -> str:
        """Where the task is; when that is done, how the look-up ended."""
        return self._kernel.state_name(self) if self._whole.done() else self._whole.task_status()

    @property
    def task_record(self) -> TaskRecord:
        """Of the task."""
        return self._whole.task_record

    def _settle(self, whole: Future[Any]) -> None:
        if whole.cancelled():
            self.settle_cancelled()
        elif error := whole.exception():
            self.set_exception(DependencyError(title_of_future(self), title_of_future(whole), error))
        else:
            self._look_up(whole.result())

    def _look_up(self, result: Any) -> None:  # noqa: ANN401 - any user's value
        try:
            part = self._asked.of(result)
        except BaseException as error:  # noqa: BLE001 - a user's type; what it raises is this future's
            explain(error, result, title_of_future(self._whole))
            self.set_exception(error)
        else:
            self.set_result(part)

    def __repr__(self) -> str:
        return f"<AppFuture of {title_of_future(self)}, {self.task_status()}>"


_OWN = (
    *(name for name in dir(AppFuture) if not name.startswith("_")),
    *("name", "tid"),  # set by the constructor
)


def title_of_future(future: Future[Any]) -> str:
    """How messages call what *future* stands for."""
    if isinstance(future, LiftedFuture):
        return f"{title_of_future(future._whole)}{future._asked}"  # noqa: SLF001 - public names would hide a result's
    if isinstance(future, AppFuture):
        return title_of(future.tid, future.name)
    return repr(future)  # another's: that is all that tells it from others
