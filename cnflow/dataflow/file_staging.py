"""Arranges that the files of a task are staged in and out, by the stagings of the executor that it goes to.

Nothing here moves a byte or waits: files are replaced by copies or by futures of copies, the task's function is
wrapped, and the task is held back until the tasks that follow it are arranged::

    call with files
       │  choose the executor; refuse outputs that none of its stagings moves
       │  _StageIn, for each input: staging.stage_in ──> future of the copy, a dependency of the task
       │                            staging.replace_task ──> wrapped function
       v
    add_task(after=gate)    held back, since stage-out tasks need the task's future
       │  StageOut, for each output and stream: staging.stage_out ──> future of the file at its URL, in `outputs`
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
from cnflow.dataflow.copies import StagedCopies
from cnflow.dataflow.file_routes import FileRoutes
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.stage_out import StageOut, file_of, path_of, place_outputs
from cnflow.dataflow.staging_table import Arrival
from cnflow.dataflow.visible_paths import VisiblePaths
from cnflow.interfaces import Staging
from cnflow.model.file import File
from cnflow.model.task import AppFunction
from cnflow.model.visible_files import enclosing_folder
from cnflow.run_logs import task_files
from cnflow.staging import BuiltInStaging

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from cnflow.dataflow import AppFuture, DataFlowKernel
    from cnflow.dataflow.call_options import AppOptions, CallOptions
    from cnflow.dataflow.loop import TaskGraph
    from cnflow.dataflow.references.keeper import Recipe
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

    def is_own_place(self, path: str | None) -> bool:
        """Return True if *path* came from `place`: nothing else is in its folder."""
        folder = os.path.dirname(path or "")  # noqa: PTH120 - a text
        above, name = os.path.split(folder)
        return name.startswith(f"{self._token}-") and os.path.basename(above) == "staged"  # noqa: PTH119 - the same

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
        folder = current_folder()
        routes = self._routes(label, app, folder)
        may_stage_out = self._may_stage_out(routes, call)
        if routes.check is not None:
            folder = folder if enclosing_folder(folder, routes.check.visible.own) else ""
        if call is not NO_CALL_OPTIONS:
            call = call._replace(folder=folder)
        place = file_in_sandbox if call.sandbox else absolute_file
        stage_in = _StageIn(self, label, app.function, lambda file: place(file, folder), routes)
        args = tuple(stage_in.stage(value) for value in args)
        if call.inputs:
            call = call._replace(inputs=tuple(stage_in.stage(value) for value in call.inputs))
        kwargs = {name: value if name in _NOT_INPUTS else stage_in.stage(value) for name, value in kwargs.items()}
        if "inputs" in kwargs and call.inputs:
            kwargs["inputs"] = list(call.inputs)
        app = self._app(app, stage_in.function)
        if stage_in.may_have_items:
            call = call._replace(leaves=())
        if not may_stage_out:
            kwargs = place_outputs(kwargs, call)
            record = self._graph.add_task(app, args, kwargs, options, call, executor=label)
            stage_in.copies.remove_after(record.future)
            return self._remember_files(record, stage_in.arrivals)
        gate: Future[Any] = Future()
        record = self._graph.add_task(app, args, kwargs, options, call, executor=label, after=(gate,))
        try:
            StageOut(self, label, record, routes).stage_all()
        except BaseException:
            record.future.cancel()
            raise
        finally:
            gate.set_result(None)
        stage_in.copies.remove_after(record.future)
        return self._remember_files(record, stage_in.arrivals)

    def _remember_files(self, record: TaskRecord, arrivals: Sequence[Arrival]) -> AppFuture:
        """Note the copies that a task waits for, and the files of its streams, for `cnflow logs`; return its future."""
        future = record.future
        if arrivals:
            self._graph.staging.expect(record, arrivals)
        if future.stdout is not None or future.stderr is not None:
            folder = record.call_options.folder
            task_files.record(self._graph.run_dir, future.tid, record.app.name, folder, future.stdout, future.stderr)
        return future

    def run_again(self, recipe: Recipe) -> AppFuture:
        """Submit the task of *recipe* once more, since a file of it was lost."""
        return self._graph.run_again(recipe)

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

    def _routes(self, label: str, app: AppFunction, folder: str) -> FileRoutes:
        live = self._executors[label]
        visible = getattr(live, "visible_files", None)
        check = None if visible is None else VisiblePaths(visible, label, app.name, folder)
        items = getattr(live, "items", None)
        return FileRoutes(live.storage_access, items, check, os.fspath(self._run_dir), folder)

    def _may_stage_out(self, routes: FileRoutes, call: CallOptions) -> bool:
        """Return True if an output or stream is moved by anyone; raise the error of one that nobody moves, or is lost.

        Before anything is submitted.
        """
        stagings = [routes.staging_out("outputs", file) for file in call.outputs]
        may = any(map(_has_stage_out, stagings))
        for name, stream in (("stdout", call.stdout), ("stderr", call.stderr)):
            file = file_of(stream)
            if file is not None:
                routes.staging_out(name, file)
                may = True
            elif stream == AUTO_LOGNAME and self._graph.config.std_autopath is not None:
                may = True  # it may return a File, but is called only once there is a task
            elif stream == AUTO_LOGNAME:
                may = may or self._own_logs_travel(routes, name)
            else:
                may = routes.stream_travels(name, path_of(stream)) or may
        return may

    def _own_logs_travel(self, routes: FileRoutes, name: str) -> bool:
        if routes.check is None:
            return False
        if routes.items is None:
            routes.check.check_own(name, routes.run_dir)
            return False
        return routes.check.is_lost(routes.run_dir)


class _StageIn:
    """Stages in the files of one task.

    Args:
        manager: data manager of the run.
        label: executor of the task.
        function: function of the task.
        place: returns a file for the task, with its path as the task has it.
        routes: choose the stagings.

    Attributes:
        function: the task's, wrapped by each staging that runs with it.
        may_have_items: True if a file may travel over the task's connection.
        copies: made by tasks of their own.
        arrivals: copies that the task waits for.
    """

    def __init__(
        self,
        manager: DataManager,
        label: str,
        function: Callable[..., Any],
        place: Callable[[File], File],
        routes: FileRoutes,
    ) -> None:
        self._manager = manager
        self._label = label
        self.function = function
        self._place = place
        self._routes = routes
        self.may_have_items = False
        self.copies = StagedCopies()
        self.arrivals: list[Arrival] = []

    def stage(self, value: Any) -> Any:  # noqa: ANN401 - any argument
        """Return the argument to pass: for a file its own copy, or a future of that; other values unchanged."""
        if not isinstance(value, _FILES):
            return value
        original = value if isinstance(value, File) else value.file_obj
        staging = self._routes.staging_in(original, is_made=isinstance(value, DataFuture))
        file = self._routes.absolute(original) if isinstance(staging, BuiltInStaging) else self._place(original)
        file.hold = original.hold
        self.may_have_items |= self._routes.items is not None and not staging.needs_visible_files
        argument = file if isinstance(value, File) else DataFuture(value.parent, file, value.tid)
        parent = None if isinstance(value, File) else value
        copy = staging.stage_in(self._manager, self._label, file, parent)
        if copy is not None:
            self.arrivals.append(Arrival(original.url, copy, parent))
        self.function = staging.replace_task(self._manager, self._label, file, self.function) or self.function
        if self._manager.is_own_place(file.local_path):  # no other folder is cnflow's to remove
            self.copies.add(file.local_path, copy)
        return argument if copy is None else copy


def _make_app(app: AppFunction | None, function: Callable[..., Any]) -> AppFunction:
    return AppFunction(function) if app is None else AppFunction(function, app.kind, app.name, app.original)


def _has_stage_out(staging: Staging) -> bool:
    """Return True if *staging* acts on outputs; the one for ``file:`` does not."""
    cls = type(staging)
    if cls.place_of_output is not Staging.place_of_output:
        return True
    return cls.stage_out is not Staging.stage_out or cls.replace_task_stage_out is not Staging.replace_task_stage_out


def _has_file_options(call: CallOptions) -> bool:
    return call is not NO_CALL_OPTIONS and bool(
        call.inputs or call.outputs or call.stdout is not None or call.stderr is not None
    )
