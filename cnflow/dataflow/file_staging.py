"""Arranges that the files of a task are staged in and out, by the stagings of the executor that it goes to.

Nothing here moves a byte or waits: files are replaced by copies or by futures of copies, the task's function is
wrapped, and the task is held back until the tasks that follow it are arranged::

    call with files
       │  choose the executor; refuse outputs that none of its stagings moves
       │  _StageIn, for each input: staging.stage_in ──> future of the copy, a dependency of the task
       │                            staging.replace_task ──> wrapped function
       v
    add_task(after=gate)    held back, since stage-out tasks need the task's future
       │  _StageOut, for each output and stream: staging.stage_out ──> future of the file at its URL, in `outputs`
       │                                         staging.replace_task_stage_out ──> wrapped function
       v
    gate is set: the task is launched once its inputs are there
"""

from __future__ import annotations

import itertools
import os
import threading
import uuid
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.call_folder import absolute_file, current_folder, file_in_sandbox
from cnflow.dataflow.call_options import AUTO_LOGNAME, INHIBIT, NO_CALL_OPTIONS
from cnflow.dataflow.code_at_call import keep_function
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.visible_paths import VisiblePaths
from cnflow.interfaces import Staging
from cnflow.model.file import File
from cnflow.model.task import AppFunction, AppKind
from cnflow.model.visible_files import enclosing_folder
from cnflow.run_logs import task_files
from cnflow.staging import Direction, staging_for
from cnflow.tasks.shell import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from cnflow.dataflow import AppFuture, DataFlowKernel
    from cnflow.dataflow.call_options import AppOptions, CallOptions
    from cnflow.dataflow.loop import TaskGraph
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces.staging import S

_FILES = (File, DataFuture)
_NOT_INPUTS = frozenset({"inputs", "outputs", "stderr", "stdout"})
"""Keywords whose values are not inputs; the elements of ``inputs`` are staged one by one."""


def holds_files(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return True if an argument itself is to be staged; containers are not searched. Called for every task."""
    for value in args:
        if isinstance(value, _FILES):
            return True
    return any(isinstance(value, _FILES) for value in kwargs.values()) if kwargs else False


class DataManager:
    """Data manager of one run; implements `cnflow.interfaces.DataManager` for stagings.

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
        self._services: dict[Hashable, Any] = {}
        self._lock = threading.Lock()
        self.staged_out: set[Future[Any]] = set()
        """Futures of outputs on their way to their URLs, for which the run waits as for tasks."""

    # For stagings

    def place(self, executor: str, name: str) -> str:
        """Implements `cnflow.interfaces.DataManager.place`."""
        live = self._executors[executor]
        folder = live.working_dir
        if not os.path.isabs(folder):  # noqa: PTH117 - it is of another machine, maybe
            # Workers start in a relative one; in a container, no path of the driver's need exist.
            visible = getattr(live, "visible_files", None)
            run_dir = os.fspath(self._run_dir)
            is_hidden = bool(live.image) if visible is None else not enclosing_folder(run_dir, visible.own)
            folder = "" if is_hidden or folder else run_dir
        return os.path.join(folder, "staged", f"{self._token}-{next(self._numbers)}", name)  # noqa: PTH118 - the same

    def submit(
        self,
        executor: str,
        function: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - the function's own
        after: Future[Any] | None = None,
    ) -> AppFuture:
        """Implements `cnflow.interfaces.DataManager.submit`."""
        app = self._app(None, function)
        return self._graph.add_task(app, args, {}, executor=executor, after=() if after is None else (after,)).future

    def service(self, key: Hashable, make: Callable[[], S]) -> S:
        """Implements `cnflow.interfaces.DataManager.service`."""
        with self._lock:
            if key not in self._services:
                service = self._services[key] = make()
                self.dfk.on_cleanup(service.close)
            found: S = self._services[key]
            return found

    # For the run

    def submit_with_files(
        self, app: AppFunction, args: tuple[Any, ...], kwargs: dict[str, Any], options: AppOptions, call: CallOptions
    ) -> AppFuture:
        """Submit a task and the staging of its files.

        Raises:
            ConfigurationError: no executor can run it, or the executor's stagings do not move one of its files. The
                task was not submitted; tasks that stage other files may have been, and do no harm.
            Exception: the error of a user's staging.
        """
        if kwargs.get(INHIBIT) or not (_has_file_options(call) or holds_files(args, kwargs)):
            return self._graph.add_task(app, args, kwargs, options, call).future
        label = self._graph.choose_executor(app, options)
        self._check_outputs(label, call)
        folder, check = current_folder(), None
        visible = getattr(self._executors[label], "visible_files", None)
        if visible is not None:
            check = VisiblePaths(visible, label, app.name, folder)
            self._check_visible(check, call)
            folder = folder if enclosing_folder(folder, visible.own) else ""
        if call is not NO_CALL_OPTIONS:
            call = call._replace(folder=folder)
        place = file_in_sandbox if call.sandbox else absolute_file
        stage_in = _StageIn(self, label, app.function, lambda file: place(file, folder), check)
        args = tuple(stage_in.stage(value) for value in args)
        if call.inputs:
            call = call._replace(inputs=tuple(stage_in.stage(value) for value in call.inputs))
        kwargs = {name: value if name in _NOT_INPUTS else stage_in.stage(value) for name, value in kwargs.items()}
        if "inputs" in kwargs and call.inputs:
            kwargs["inputs"] = list(call.inputs)
        app = self._app(app, stage_in.function)
        if not self._may_stage_out(label, call):
            kwargs = _place_outputs(kwargs, call)
            return self._remember_streams(self._graph.add_task(app, args, kwargs, options, call, executor=label))
        gate: Future[Any] = Future()
        record = self._graph.add_task(app, args, kwargs, options, call, executor=label, after=(gate,))
        try:
            _StageOut(self, label, record).stage_all()
        except BaseException:
            record.future.cancel()
            raise
        finally:
            gate.set_result(None)
        return self._remember_streams(record)

    def _remember_streams(self, record: TaskRecord) -> AppFuture:
        """Write down the files of a task's streams, for `cnflow logs`; return its future."""
        future = record.future
        if future.stdout is not None or future.stderr is not None:
            folder = record.call_options.folder
            task_files.record(self._graph.run_dir, future.tid, record.app.name, folder, future.stdout, future.stderr)
        return future

    def stagings(self, executor: str) -> Sequence[Staging] | None:
        """Return the stagings in the settings of *executor*."""
        return self._executors[executor].storage_access

    def await_stage_out(self, staged: Future[Any]) -> None:
        """Have the run wait for *staged*, before it ends, as it waits for tasks."""
        self.staged_out.add(staged)
        staged.add_done_callback(self.staged_out.discard)

    def wrap(self, record: TaskRecord, executor: str, function: Callable[..., Any]) -> None:
        """Have a new task run by *function*: one object for equal functions, so that each is sent to a manager once."""
        record.app = self._app(record.app, function)
        keep_function(record, self._executors[executor])

    def _app(self, app: AppFunction | None, function: Callable[..., Any]) -> AppFunction:
        if app is not None and function is app.function:
            return app
        try:
            made = self._apps.get((app, function))
        except TypeError:  # a function that cannot be compared
            return _make_app(app, function)
        if made is None:
            made = self._apps[app, function] = _make_app(app, function)
        return made

    def _check_outputs(self, label: str, call: CallOptions) -> None:
        """Raise the error of an output that no staging moves, before anything is submitted."""
        for file in (*call.outputs, *filter(None, map(_file_of, (call.stdout, call.stderr)))):
            staging_for(file, self.stagings(label), Direction.OUT)

    def _check_visible(self, check: VisiblePaths, call: CallOptions) -> None:
        """Raise the error of an output or stream that would be lost with its container."""
        for file in call.outputs:
            check.check_output("outputs", file)
        for name, stream in (("stdout", call.stdout), ("stderr", call.stderr)):
            if stream == AUTO_LOGNAME and self._graph.config.std_autopath is None:
                check.check_own(name, str(self._run_dir))
            else:
                check.check_output(name, stream[0] if isinstance(stream, tuple) and stream else stream)

    def _may_stage_out(self, label: str, call: CallOptions) -> bool:
        streams = (call.stdout, call.stderr)
        if any(_file_of(stream) is not None for stream in streams):
            return True
        if self._graph.config.std_autopath is not None and AUTO_LOGNAME in streams:
            return True  # it may return a File, but is called only once there is a task
        stagings = (staging_for(file, self.stagings(label), Direction.OUT) for file in call.outputs)
        return any(map(_has_stage_out, stagings))


class _StageIn:
    """Stages in the files of one task.

    Args:
        manager: data manager of the run.
        label: executor of the task.
        function: function of the task.
        place: returns a file for the task, with its path as the task has it.
        check: refuses files that the task would not see; None: it sees all.

    Attributes:
        function: the task's, wrapped by each staging that runs with it.
    """

    def __init__(
        self,
        manager: DataManager,
        label: str,
        function: Callable[..., Any],
        place: Callable[[File], File],
        check: VisiblePaths | None,
    ) -> None:
        self._manager = manager
        self._label = label
        self.function = function
        self._place = place
        self._check = check

    def stage(self, value: Any) -> Any:  # noqa: ANN401 - any argument
        """Return the argument to pass: for a file its own copy, or a future of that; other values unchanged."""
        if not isinstance(value, _FILES):
            return value
        original = value if isinstance(value, File) else value.file_obj
        if self._check is not None:
            self._check.check_input(original, is_made=isinstance(value, DataFuture))
        file = self._place(original)
        argument = file if isinstance(value, File) else DataFuture(value.parent, file, value.tid)
        staging = staging_for(file, self._manager.stagings(self._label), Direction.IN)
        parent = None if isinstance(value, File) else value
        copy = staging.stage_in(self._manager, self._label, file, parent)
        self.function = staging.replace_task(self._manager, self._label, file, self.function) or self.function
        return argument if copy is None else copy


class _StageOut:
    """Arranges that the files of one task are staged out.

    Args:
        manager: data manager of the run.
        label: executor of the task.
        record: record of the task, which is not launched yet.
    """

    def __init__(self, manager: DataManager, label: str, record: TaskRecord) -> None:
        self._manager = manager
        self._label = label
        self._record = record
        self._function: Any = record.app.function
        if record.app.kind is AppKind.BASH:
            self._function = Command(self._function)  # so that wrappers run after the command, not after its making
        self._is_wrapped = False

    def stage_all(self) -> None:
        """Stage outputs and streams, and change the record and its future accordingly."""
        record, future = self._record, self._record.future
        call = record.call_options
        record.kwargs = _place_outputs(record.kwargs, call)
        promised = list(call.outputs)
        copies = record.kwargs["outputs"] if "outputs" in record.kwargs else [_placed(file, call) for file in promised]
        checked = []
        for number, (file, copy) in enumerate(zip(promised, copies, strict=True)):
            staged, is_left = self._stage(copy)
            if staged is not None:
                future.outputs[number] = DataFuture(staged, file, future.tid)
            if staged is not None or is_left:
                checked.append(copy)
        record.call_options = record.call_options._replace(outputs=tuple(checked))
        future.stdout = self._stage_stream("stdout")
        future.stderr = self._stage_stream("stderr")
        if self._is_wrapped:
            self._manager.wrap(record, self._label, self._function)

    def _stage_stream(self, name: str) -> Any:  # noqa: ANN401 - the task's future has it as an attribute
        record = self._record
        stream = getattr(record.call_options, name)
        file = _file_of(stream)
        if file is None:
            return stream
        copy = file.cleancopy()
        staged, _ = self._stage(copy, is_stream=True)
        local: Any = (copy, stream[1]) if isinstance(stream, tuple) else copy
        record.call_options = record.call_options._replace(**{name: local})
        if name in record.kwargs:
            record.kwargs = {**record.kwargs, name: local}
        return DataFuture(record.future if staged is None else staged, file, record.future.tid)

    def _stage(self, copy: File, *, is_stream: bool = False) -> tuple[Future[Any] | None, bool]:
        """Return the future of the file at its URL, and True if the file stays where the task wrote it."""
        staging = staging_for(copy, self._manager.stagings(self._label), Direction.OUT)
        staged = staging.stage_out(self._manager, self._label, copy, self._record.future)
        replace = staging.replace_task_stream if is_stream else staging.replace_task_stage_out
        wrapped = replace(self._manager, self._label, copy, self._function)
        if wrapped is not None:
            self._function, self._is_wrapped = wrapped, True
        if staged is not None:
            self._manager.await_stage_out(staged)
        if staged is not None or wrapped is not None:
            self._record.memoize = False  # with a cached result, the file would not be made
        return staged, wrapped is None and copy.scheme == "file"


def _make_app(app: AppFunction | None, function: Callable[..., Any]) -> AppFunction:
    return AppFunction(function) if app is None else AppFunction(function, app.kind, app.name, app.original)


def _has_stage_out(staging: Staging) -> bool:
    """Return True if *staging* acts on outputs; the one for ``file:`` does not."""
    cls = type(staging)
    return cls.stage_out is not Staging.stage_out or cls.replace_task_stage_out is not Staging.replace_task_stage_out


def _has_file_options(call: CallOptions) -> bool:
    return call is not NO_CALL_OPTIONS and bool(
        call.inputs or call.outputs or call.stdout is not None or call.stderr is not None
    )


def _place_outputs(kwargs: dict[str, Any], call: CallOptions) -> dict[str, Any]:
    """Return *kwargs* with copies of its outputs, since the task may change its own."""
    if not kwargs.get("outputs"):
        return kwargs
    outputs = [_placed(file, call) if isinstance(file, File) else file for file in kwargs["outputs"]]
    return {**kwargs, "outputs": outputs}


def _placed(file: File, call: CallOptions) -> File:
    """Return the copy of an output for the task: its path is absolute, or relative to the sandbox."""
    return file.cleancopy() if call.sandbox else absolute_file(file, call.folder)


def _file_of(stream: object) -> File | None:
    """Return the file that *stream* is staged to; a pair of path and mode is a path and needs no staging."""
    if isinstance(stream, tuple) and stream and isinstance(stream[0], File) and stream[0].scheme != "file":
        return stream[0]
    return stream if isinstance(stream, File) else None
