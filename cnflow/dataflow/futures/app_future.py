"""`AppFuture`: the result of a call of an app.

    app(...) ──> PENDING ───────────────────────────────> FINISHED    set_result() or set_exception(), by the task graph
                    │  ^ a task that is retried stays here
                    │
                    ├── cancel() ──> the task graph stops the task
                    │                    ├─> CANCELLED_AND_NOTIFIED   set_cancelled(), when it has stopped
                    │                    └─> FINISHED                 it ended by itself in that moment
                    │
                    └── future[key], future.name ──> LiftedFuture, which settles in a callback of this one

A settled future never changes. Callbacks run in the thread that settles it, outside the task graph's lock. States are
those of `concurrent.futures`; `AppFuture.task_status` has the finer ones of the task.
"""

from __future__ import annotations

from concurrent.futures import Future
from time import monotonic
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.futures import shared_lock
from cnflow.dataflow.futures.awaiting import bridge_to
from cnflow.dataflow.futures.callbacks import CallbacksApart
from cnflow.dataflow.futures.details import TaskDetails
from cnflow.dataflow.futures.look_up import LookUp
from cnflow.dataflow.futures.origin import provenance_of
from cnflow.dataflow.futures.parts import Part, refuse_attribute
from cnflow.dataflow.references.kept_result import KeptResult
from cnflow.errors import DependencyError, SerializationError
from cnflow.model.task import title_of
from cnflow.text import describe_error
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import NoReturn

    from typing_extensions import Self, TypeVar

    from cnflow.dataflow.futures.awaiting import Bridge
    from cnflow.dataflow.futures.callbacks import CallbackThreads
    from cnflow.dataflow.futures.data_future import DataFuture
    from cnflow.dataflow.futures.owner import FutureOwner
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.model.provenance import Place, Provenance
    from cnflow.model.task import AppFunction

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")  # defaults of type variables are news of Python 3.13


class AppFuture(CallbacksApart, Future[R]):
    """Stands for the result of a task; passed to another app, it makes an edge of the graph.

    A `concurrent.futures.Future` in every way: usable with `concurrent.futures.wait` and `as_completed`. In a coroutine
    ``await future`` waits for it, as do `asyncio.gather`, `asyncio.wait_for` and `asyncio.as_completed`.

    ``future["key"]`` and ``future.name`` stand for that element or attribute of the result, and are AppFutures too.

    Args:
        tid: id of the task.
        app: the called app.
        owner: task graph that runs the task.

    Attributes:
        tid: id of the task.
        name: name of the app.
        stdout, stderr: target of the task's stream: as in the call, or the path that was made for AUTO_LOGNAME; a
            DataFuture for a `File`; None where the stream is not kept.
    """

    __iter__ = None
    """Without this, iteration would ask for ``future[0]``, ``future[1]`` and so on without end."""

    stdout: Any = None
    stderr: Any = None
    _files: list[DataFuture] | None = None
    _bridge: Bridge | None = None

    # The base class makes these for each instance; see `shared_lock`.
    _condition: Any = shared_lock.NO_WAITERS
    _state = "PENDING"
    _result: Any = None
    _exception: BaseException | None = None
    _done_callbacks: Any = ()

    _is_asked = False
    """True once the user was given the task's exception; see `cnflow.dataflow.end_report`."""

    _ended = 0.0
    _executor = ""
    """Time at which the task was final, and the label of its executor; set by the task graph."""

    _place: Place | None = None
    _stopped = _seconds = 0.0
    _worker = -1
    _failures = 0
    _cached = False
    _key: bytes | None = None
    """Place, end, run time and worker of the last attempt, number of failed ones, whether the result was remembered,
    and the key of such a result."""

    def __init__(self, tid: TaskId, app: AppFunction, owner: FutureOwner) -> None:
        self._waiters: list[Any] = []
        self._began = monotonic()
        self.tid = tid
        self.name = app.name
        self._app = app
        self._owner = owner

    def result(self, timeout: float | None = None) -> R:
        """Wait, and return the task's result or raise its exception.

        Args:
            timeout: seconds; None waits without a limit.

        Raises:
            TimeoutError: the task is not done after *timeout* seconds, and goes on.
            CancelledError: it was cancelled.
            StagingError: a result that stayed on its node cannot be fetched.
        """
        self._prepare_to_wait()
        try:
            result: Any = super().result(timeout)
            return result.value(timeout) if type(result) is KeptResult else result  # type: ignore[no-any-return]
        except BaseException:
            if self.done():
                self._set_asked()
            raise

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result` does, and return the task's exception; None if it has succeeded."""
        self._prepare_to_wait()
        error = super().exception(timeout)
        if error is not None:
            self._set_asked()
        return error

    def _set_asked(self) -> None:
        self._is_asked = True

    def _callback_threads(self) -> CallbackThreads | None:
        return getattr(self._owner, "callbacks", None)

    def _failure(self) -> BaseException | None:
        return self._exception

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call *fn* with this future when it is done; at once if it is.

        It may take long, and wait for other tasks: it has a thread for itself then.
        """
        with shared_lock.lock:
            if not self._done_callbacks:
                self._done_callbacks = []
        super().add_done_callback(fn)

    def __await__(self) -> Generator[Any, None, R]:
        """Wait in an event loop, without blocking it; result and exceptions are those of `result`.

        Who awaits and is cancelled, or times out, does not cancel the task: `cancel` does.
        """
        while not self.done():
            self._bridge = bridge_to(self, self._bridge)
            yield from self._bridge.wait()
        if type(self._result) is KeptResult:
            yield from bridge_to(fetched := self._result.fetch(), None).wait()
            fetched.result()  # raises its error: `result` would try again, and block the loop meanwhile
        return self.result()

    def _prepare_to_wait(self) -> None:
        if not self.done():
            with shared_lock.lock:
                if self._condition is shared_lock.NO_WAITERS:
                    self._condition = shared_lock.new_condition()

    def cancel(self) -> bool:
        """Cancel the task: one that waits never runs, one that runs is stopped.

        Returns:
            False when the task is done. True otherwise; a running task takes a moment to stop, and if it ends by itself
            in that moment, its result stands and `cancelled` returns False.
        """
        return self._owner.cancel(self)

    def task_status(self) -> str:
        """Name of the task's `TaskState`, such as waiting, staging_in, launched, running, done or failed."""
        return self._owner.state_name(self)

    @property
    def task_record(self) -> TaskRecord:
        """Record of the task, as in ``dfk.tasks``; that of a final task holds no more than its future and its app."""
        return self._owner.record_of(self, self._app)

    @property
    def provenance(self) -> Provenance:
        """Where and when the task ran, and in which image and Python; see `cnflow.Provenance`."""
        return provenance_of(self)

    def set_cancelled(self) -> None:
        """Settle this future as cancelled; for the task graph, as `set_result` and `set_exception` are."""
        super().cancel()
        self.set_running_or_notify_cancel()

    @property
    def outputs(self) -> list[DataFuture]:
        """Futures of the files in ``outputs=``, in that order."""
        if self._files is None:
            self._files = []  # made on demand: few tasks have files, and each list is one more object to collect
        return self._files

    @outputs.setter
    def outputs(self, files: list[DataFuture]) -> None:
        self._files = files

    @property
    def _outputs(self) -> list[DataFuture]:
        """`outputs` by the name that stagings written for Parsl use."""
        return self.outputs

    def __getitem__(self, key: Any) -> AppFuture[Any]:  # noqa: ANN401 - whatever the result takes
        """Return a future of ``result()[key]``, at once."""
        return LiftedFuture(self, Part(key, is_attribute=False))

    def __getattr__(self, name: str) -> AppFuture[Any]:
        """Return a future of ``result().name``, at once.

        Raises:
            AttributeError: *name* begins with an underscore, or is nearly that of an attribute that the future has.
        """
        refuse_attribute(name, _OWN_ATTRIBUTES)
        return LiftedFuture(self, Part(name, is_attribute=True))

    def __copy__(self) -> Self:
        """Return this future: there is one task."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return this future, as `__copy__` does."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse: a future cannot leave the driver.

        Raises:
            SerializationError: always; the message offers the alternatives.
        """
        raise SerializationError(
            f"The future of {title_of_future(self)} cannot be pickled. Pass it to an app as an argument, where its "
            "result takes its place, or pass its result().",
        )

    def _details(self) -> TaskDetails:
        executor = self._executor or self.task_record.executor
        age = Seconds((self._ended or monotonic()) - self._began)
        return TaskDetails(self.tid, self.name, self.task_status(), age, executor)

    def __repr__(self) -> str:
        kept = f"; {self._result.where()}" if type(self._result) is KeptResult else ""
        return f"<AppFuture of task {self.tid} ({self.name}), {self._details().as_text()}{kept}>"

    def _repr_html_(self) -> str:
        """HTML for notebooks. A shown error counts as seen: it is not reported at the end of the run."""
        details = self._details()
        if details.state in {"failed", "dependency_failed"} and (error := self._failure()) is not None:
            self._set_asked()
            details = details._replace(error=describe_error(error))
        return details.as_html()


class LiftedFuture(AppFuture):
    """Stands for a part of a task's result; made by ``future[key]`` and ``future.name``, and no task itself.

    A lifted future is cancelled when the task is, fails with a `cnflow.errors.DependencyError` when the task does, and
    with the error of the look-up (`KeyError`, `IndexError`, `AttributeError` or another) when the result has no such
    part.

    Args:
        whole: future of the task, or of the part that holds this one.
        part: the element or attribute.
    """

    def __init__(self, whole: AppFuture, part: Part) -> None:
        super().__init__(whole.tid, whole._app, whole._owner)  # noqa: SLF001 - its own class's
        self._whole = whole
        self._part = part
        whole._add_own_callback(self._on_whole_done)  # noqa: SLF001 - the same

    def cancel(self) -> bool:
        """Cancel the task, and with it all parts of its result; return False if this future is done."""
        return not self.done() and self._whole.cancel()

    def task_status(self) -> str:
        """Name of the task's state; once the task is done, that of the look-up's outcome."""
        return self._owner.state_name(self) if self._whole.done() else self._whole.task_status()

    @property
    def task_record(self) -> TaskRecord:
        """Record of the task."""
        return self._whole.task_record

    @property
    def provenance(self) -> Provenance:
        """That of the whole result."""
        return self._whole.provenance

    def _details(self) -> TaskDetails:
        app = f"{self.name}{self._path}"
        return self._whole._details()._replace(app=app, state=self.task_status())  # noqa: SLF001 - its own class's

    @property
    def _path(self) -> str:
        outer = self._whole._path if isinstance(self._whole, LiftedFuture) else ""  # noqa: SLF001 - the same
        return f"{outer}{self._part}"

    def _set_asked(self) -> None:
        self._is_asked = True
        self._whole._set_asked()  # noqa: SLF001 - its own class's

    def _on_whole_done(self, whole: Future[Any]) -> None:
        if whole.cancelled():
            self.set_cancelled()
        elif error := failure_in(whole):
            self.set_exception(DependencyError(title_of_future(self), title_of_future(whole), error))
        else:
            task = title_of_future(self._whole)
            LookUp(self._part, task, self.set_result, self.set_exception).start(
                result_as_it_is(whole), self._callback_threads()
            )

    def __repr__(self) -> str:
        return f"<AppFuture of {title_of_future(self)}, {self.task_status()}>"


_OWN_ATTRIBUTES = (
    *(name for name in dir(AppFuture) if not name.startswith("_")),
    *("name", "tid"),  # set by the constructor
)


def failure_in(future: Future[Any]) -> BaseException | None:
    """Return the exception of *future*, which is done and not cancelled, for cnflow itself: the user has not asked."""
    peek = getattr(type(future), "_failure", None)
    return future.exception() if peek is None else peek(future)


def result_as_it_is(future: Future[Any]) -> Any:  # noqa: ANN401 - any result
    """Return the result of *future*, which is done and has one; a `KeptResult` where it stays on a node."""
    return Future.result(future) if isinstance(future, AppFuture) else future.result()


def is_asked(future: AppFuture) -> bool:
    """Return True once the user was given the exception of *future*, or of a part of it."""
    return future._is_asked  # noqa: SLF001 - a public name would hide a result's


def title_of_future(future: Future[Any]) -> str:
    """Name of *future*'s task or part in messages, such as ``Task 3 (square)['area']``."""
    if isinstance(future, LiftedFuture):
        return f"{title_of_future(future._whole)}{future._part}"  # noqa: SLF001 - public names would hide a result's
    if isinstance(future, AppFuture):
        return title_of(future.tid, future.name)
    return repr(future)  # a foreign future has no other name
