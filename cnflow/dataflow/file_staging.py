"""Has the files of a task brought and taken away, by the stagings of the executor that it goes to.

Nothing here moves a byte, nor waits: it replaces files by copies or by futures of them, wraps the task's function, and
holds the task back until what follows it is arranged.
"""

from __future__ import annotations

import itertools
import os
import uuid
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.call_options import AUTO_LOGNAME, INHIBIT, NO_CALL_OPTIONS
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.interfaces import Staging
from cnflow.model.file import File
from cnflow.model.task import AppFunction, AppKind
from cnflow.staging import Direction, staging_for
from cnflow.tasks.shell import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow import AppFuture, DataFlowKernel
    from cnflow.dataflow.call_options import AppOptions, CallOptions
    from cnflow.dataflow.loop import TaskGraph
    from cnflow.dataflow.task_record import TaskRecord

_MOVED = (File, DataFuture)
_NOT_INPUTS = frozenset({"inputs", "outputs", "stderr", "stdout"})
"""Keywords that are no inputs themselves; the elements of ``inputs`` are."""


def holds_files(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether one of the arguments, not of what is inside them, is to be staged; asked for every task."""
    for value in args:
        if isinstance(value, _MOVED):
            return True
    return any(isinstance(value, _MOVED) for value in kwargs.values()) if kwargs else False


class DataManager:
    """The data manager of one run; for stagings see `cnflow.interfaces.DataManager`.

    Args:
        dfk: the run.
        graph: its task graph.
    """

    def __init__(self, dfk: DataFlowKernel, graph: TaskGraph) -> None:
        self.dfk = dfk
        self._graph = graph
        self._executors = graph.executors
        self._run_dir = graph.run_dir
        self._token = uuid.uuid4().hex[:8]
        self._numbers = itertools.count()
        self._apps: weakref.WeakValueDictionary[tuple[AppFunction | None, Any], AppFunction] = (
            weakref.WeakValueDictionary()
        )

    # For stagings

    def place(self, executor: str, name: str) -> str:
        """As `cnflow.interfaces.DataManager.place`."""
        live = self._executors[executor]
        folder = live.working_dir
        if not os.path.isabs(folder):  # noqa: PTH117 - it is of another machine, maybe
            # Workers start in a relative one; in a container, nothing of the driver's can be counted on.
            folder = "" if live.image or folder else os.fspath(self._run_dir)
        return os.path.join(folder, "staged", f"{self._token}-{next(self._numbers)}", name)  # noqa: PTH118 - the same

    def submit(
        self,
        executor: str,
        function: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - the function's own
        after: Future[Any] | None = None,
    ) -> AppFuture:
        """As `cnflow.interfaces.DataManager.submit`."""
        app = self._app(None, function)
        return self._graph.add_task(app, args, {}, executor=executor, after=() if after is None else (after,)).future

    # For the kernel

    def submit_with_files(
        self, app: AppFunction, args: tuple[Any, ...], kwargs: dict[str, Any], options: AppOptions, wishes: CallOptions
    ) -> AppFuture:
        """Submit a task with its files.

        Raises:
            ConfigurationError: no executor can run it, or a file is of a kind that this one's stagings do not move.
                Nothing was submitted but stagings of other files, which are of no consequence.
            Exception: what a staging of the user's raises.
        """
        if kwargs.get(INHIBIT) or not (_wants_files(wishes) or holds_files(args, kwargs)):
            return self._graph.add_task(app, args, kwargs, options, wishes).future
        label = self._graph.choose_executor(app, options)
        self._check_outputs(label, wishes)
        bringing = _Bringing(self, label, app.function)
        args = tuple(bringing.of(value) for value in args)
        if wishes.inputs:
            wishes = wishes._replace(inputs=tuple(bringing.of(value) for value in wishes.inputs))
        kwargs = {name: value if name in _NOT_INPUTS else bringing.of(value) for name, value in kwargs.items()}
        if "inputs" in kwargs and wishes.inputs:
            kwargs["inputs"] = list(wishes.inputs)
        app = self._app(app, bringing.function)
        if not self._may_take_away(label, wishes):
            return self._graph.add_task(app, args, _with_own_outputs(kwargs), options, wishes, executor=label).future
        gate: Future[Any] = Future()
        record = self._graph.add_task(app, args, kwargs, options, wishes, executor=label, after=(gate,))
        try:
            _Taking(self, label, record).all()
        except BaseException:
            record.future.cancel()
            raise
        finally:
            gate.set_result(None)
        return record.future

    def stagings(self, executor: str) -> Sequence[Staging] | None:
        """Those of *executor*, as in its settings."""
        return self._executors[executor].storage_access

    def wrapped(self, app: AppFunction, function: Callable[..., Any]) -> AppFunction:
        """*app*, run by *function*; the same object for equal functions, so that each is sent to a manager once."""
        return self._app(app, function)

    def _app(self, app: AppFunction | None, function: Callable[..., Any]) -> AppFunction:
        if app is not None and function is app.function:
            return app
        try:
            made = self._apps.get((app, function))
        except TypeError:  # a function that cannot be compared
            return _app_of(app, function)
        if made is None:
            made = self._apps[app, function] = _app_of(app, function)
        return made

    def _check_outputs(self, label: str, wishes: CallOptions) -> None:
        """Refuse before anything is submitted."""
        for file in (*wishes.outputs, *filter(None, map(_file_of, (wishes.stdout, wishes.stderr)))):
            staging_for(file, self.stagings(label), Direction.OUT)

    def _may_take_away(self, label: str, wishes: CallOptions) -> bool:
        streams = (wishes.stdout, wishes.stderr)
        if any(_file_of(stream) is not None for stream in streams):
            return True
        if self._graph.config.std_autopath is not None and AUTO_LOGNAME in streams:
            return True  # it may say a file, which is known only when there is a task
        stagings = (staging_for(file, self.stagings(label), Direction.OUT) for file in wishes.outputs)
        return any(map(_takes_away, stagings))


class _Bringing:
    """Stages in the files of one task."""

    def __init__(self, manager: DataManager, label: str, function: Callable[..., Any]) -> None:
        self._manager = manager
        self._label = label
        self.function = function
        """The task's, wrapped by each staging that wants to be run with it."""

    def of(self, value: Any) -> Any:  # noqa: ANN401 - any argument
        """What stands for *value*: a file's own copy, or a future of it; all else as it is."""
        if not isinstance(value, _MOVED):
            return value
        given = value if isinstance(value, File) else value.file_obj
        file = given.cleancopy()
        standing_in = file if isinstance(value, File) else DataFuture(value.parent, file, value.tid)
        staging = staging_for(file, self._manager.stagings(self._label), Direction.IN)
        parent = None if isinstance(value, File) else value
        brought = staging.stage_in(self._manager, self._label, file, parent)
        self.function = staging.replace_task(self._manager, self._label, file, self.function) or self.function
        return standing_in if brought is None else brought


class _Taking:
    """Arranges that the files of one task, which is not launched yet, are staged out."""

    def __init__(self, manager: DataManager, label: str, record: TaskRecord) -> None:
        self._manager = manager
        self._label = label
        self._record = record
        self._function: Any = record.app.function
        if record.app.kind is AppKind.BASH:
            self._function = Command(self._function)  # what is put around it is then done after the command
        self._is_wrapped = False

    def all(self) -> None:
        """Outputs and streams; the record and the future are changed accordingly."""
        record, future = self._record, self._record.future
        record.kwargs = _with_own_outputs(record.kwargs)
        promised = list(record.call_options.outputs)
        own = record.kwargs["outputs"] if "outputs" in record.kwargs else [file.cleancopy() for file in promised]
        checked = []
        for number, (file, copy) in enumerate(zip(promised, own, strict=True)):
            taken, is_left = self._one(copy)
            if taken is not None:
                future.outputs[number] = DataFuture(taken, file, future.tid)
            if taken is not None or is_left:
                checked.append(copy)
        record.call_options = record.call_options._replace(outputs=tuple(checked))
        future.stdout = self._stream("stdout")
        future.stderr = self._stream("stderr")
        if self._is_wrapped:
            record.app = self._manager.wrapped(record.app, self._function)

    def _stream(self, name: str) -> Any:  # noqa: ANN401 - what stands for it in the task's future
        record = self._record
        given = getattr(record.call_options, name)
        file = _file_of(given)
        if file is None:
            return given
        copy = file.cleancopy()
        taken, _ = self._one(copy)
        seen: Any = (copy, given[1]) if isinstance(given, tuple) else copy
        record.call_options = record.call_options._replace(**{name: seen})
        if name in record.kwargs:
            record.kwargs = {**record.kwargs, name: seen}
        return DataFuture(record.future if taken is None else taken, file, record.future.tid)

    def _one(self, copy: File) -> tuple[Future[Any] | None, bool]:
        """Until when the file is on its way, and whether it stays where the task wrote it."""
        staging = staging_for(copy, self._manager.stagings(self._label), Direction.OUT)
        taken = staging.stage_out(self._manager, self._label, copy, self._record.future)
        wrapped = staging.replace_task_stage_out(self._manager, self._label, copy, self._function)
        if wrapped is not None:
            self._function, self._is_wrapped = wrapped, True
        if taken is not None or wrapped is not None:
            self._record.memoize = False  # a known result would leave the file unmade
        return taken, wrapped is None and copy.scheme == "file"


def _app_of(app: AppFunction | None, function: Callable[..., Any]) -> AppFunction:
    return AppFunction(function) if app is None else AppFunction(function, app.kind, app.name, app.original)


def _takes_away(staging: Staging) -> bool:
    """Whether it does anything at all about outputs; that for ``file:`` does not."""
    cls = type(staging)
    return cls.stage_out is not Staging.stage_out or cls.replace_task_stage_out is not Staging.replace_task_stage_out


def _wants_files(wishes: CallOptions) -> bool:
    return wishes is not NO_CALL_OPTIONS and bool(
        wishes.inputs or wishes.outputs or wishes.stdout is not None or wishes.stderr is not None
    )


def _with_own_outputs(kwargs: dict[str, Any]) -> dict[str, Any]:
    """*kwargs* with copies of its outputs: what the task does to them is not seen by those who wait for them."""
    if not kwargs.get("outputs"):
        return kwargs
    return {**kwargs, "outputs": [file.cleancopy() if isinstance(file, File) else file for file in kwargs["outputs"]]}


def _file_of(stream: object) -> File | None:
    """The file that *stream* is staged to; a pair of path and mode is a path that needs no staging."""
    if isinstance(stream, tuple) and stream and isinstance(stream[0], File) and stream[0].scheme != "file":
        return stream[0]
    return stream if isinstance(stream, File) else None
