"""Parsl's DataFlowKernel and its loader."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow import assemble, dataflow
from cnflow import config as config_module
from cnflow.compat.parsl.config import Config
from cnflow.compat.parsl.errors import InvalidResourceSpecification
from cnflow.compat.parsl.memo import USE_CACHE, BasicMemoizer, Memoizer
from cnflow.compat.parsl.monitoring import LiveMonitoring
from cnflow.compat.parsl.resources import pop_resources
from cnflow.compat.parsl.states import STATE_OF, States
from cnflow.compat.parsl.task_record import ParslTaskRecord
from cnflow.config.selection import select_config
from cnflow.config.switches import settings_of
from cnflow.dataflow import loaded_run
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, NO_OPTIONS, AppOptions, CallOptions
from cnflow.dataflow.memo.cache import CacheDecision
from cnflow.dataflow.memo.checkpoint_paths import get_all_checkpoints
from cnflow.model.task import AppFunction, AppKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow import AppFuture
    from cnflow.dataflow.task_record import TaskRecord


class DataFlowKernel(dataflow.DataFlowKernel):
    """`cnflow.DataFlowKernel`, made from a Config and started at once; `load` also makes it the loaded run."""

    def __init__(self, config: config_module.Config | None = None) -> None:
        config = Config() if config is None else config
        memoizer = config.memoizer if isinstance(config, Config) else None
        self.memoizer = BasicMemoizer() if memoizer is None else memoizer
        if config.usage_address is None:
            config = config.model_copy(update={"usage_tracking": 0})
        _make_working_folders(config)
        super().__init__(
            graph=assemble.new_graph(
                _with_checkpoints(config, self.memoizer),
                record_class=ParslTaskRecord,
                look_up_first=self._ask_memoizer,
            )
        )
        self.memoizer.dfk = self
        assemble.start(self)
        self.run_dir = str(self.run_dir)  # type: ignore[assignment]  # text in Parsl: scripts append to it

    @property
    def monitoring(self) -> LiveMonitoring | None:
        """Monitoring of this run; None where there is none."""
        settings, hub = settings_of(self.config.monitoring), self._graph.hub
        if settings is None or hub is None:
            return None
        return LiveMonitoring(settings, [sink for sink, _ in hub._sinks])  # noqa: SLF001 - nobody else asks for them

    def _ask_memoizer(self, record: TaskRecord) -> CacheDecision | None:
        """Return the memoizer's decision on the task of *record*; None leaves it to cnflow's own cache."""
        found = self.memoizer.check_memo(record)
        if found is USE_CACHE:
            return None
        if found is None:
            return CacheDecision.RUN
        record.value = found.result()
        return CacheDecision.KNOWN

    def submit(  # type: ignore[override]
        self,
        func: Callable[..., Any] | AppFunction,
        *positional: Any,  # noqa: ANN401 - parameters of today's Parsl, or of 0.9, or cnflow's
        **by_name: Any,  # noqa: ANN401 - the same
    ) -> AppFuture:
        """Make a task: by the parameters of today's Parsl or of 0.9 of a function, by cnflow's own of an app.

        Today's are ``(func, app_args, executors, cache, ignore_for_cache, app_kwargs, join)``, those of 0.9
        ``(func, *args, executors, fn_hash, cache, **kwargs)``.
        """
        if isinstance(func, AppFunction):
            return self._submit_app(func, *positional, **by_name)
        if _is_of_today(positional, by_name):
            return self._submit_function(func, *positional, **by_name)
        by_name.pop("fn_hash", None)
        options = {name: by_name.pop(name) for name in ("executors", "cache") if name in by_name}
        return self._submit_function(func, positional, app_kwargs=by_name, **options)

    def _submit_function(  # noqa: PLR0913, PLR0917 - Parsl's signature
        self,
        func: Callable[..., Any],
        app_args: Sequence[Any] = (),
        executors: str | Sequence[str] = "all",
        cache: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
        ignore_for_cache: Sequence[str] | None = None,
        app_kwargs: Mapping[str, Any] | None = None,
        join: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
    ) -> AppFuture:
        options = AppOptions(executors=executors, cache=cache, ignore_for_cache=tuple(ignore_for_cache or ()))
        kind = AppKind.JOIN if join else AppKind.PYTHON
        return self._submit_app(AppFunction(func, kind), app_args, dict(app_kwargs or {}), options)

    def _submit_app(
        self,
        app: AppFunction,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: AppOptions = NO_OPTIONS,
        call_options: CallOptions = NO_CALL_OPTIONS,
    ) -> AppFuture:
        """Submit to cnflow, with the resources of Parsl's keyword; an invalid specification fails the task."""
        try:
            resources = pop_resources(app.original, kwargs)
        except InvalidResourceSpecification as error:
            return super().submit(AppFunction(_raise_in_task(error), AppKind.JOIN, app.name), (), {})
        if resources is not None:
            call_options = call_options._replace(resources=resources)
        return super().submit(app, tuple(args), kwargs, options, call_options)

    @property
    def task_state_counts(self) -> dict[States, int]:
        """Number of tasks in each state, by Parsl's names."""
        counts = dict.fromkeys(States, 0)
        for state, number in self.task_counts().items():
            counts[STATE_OF[state]] += number
        return counts

    def checkpoint(self, tasks: Sequence[AppFuture] | None = None) -> str:  # noqa: ARG002 - Parsl's signature
        """Write the results of all tasks, whichever *tasks* names; see `cnflow.DataFlowKernel.checkpoint`."""
        return super().checkpoint()


def _is_of_today(positional: Sequence[Any], by_name: Mapping[str, Any]) -> bool:
    """Return whether a call of `DataFlowKernel.submit` has the parameters of today's Parsl."""
    today = {"app_args", "app_kwargs", "ignore_for_cache", "join"}
    if by_name.keys() & today:
        return True
    if not by_name.keys() <= {"executors", "cache"} or not positional:
        return False
    labels = positional[1] if len(positional) > 1 else "all"
    are_labels = isinstance(labels, str) or (
        isinstance(labels, list | tuple) and all(isinstance(each, str) for each in labels)
    )
    return isinstance(positional[0], list | tuple) and are_labels


def _raise_in_task(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def _make_working_folders(config: config_module.Config) -> None:
    """Make the folders that executors have as `working_dir`, which Parsl's scripts need not make."""
    for executor in config.executors:
        folder = getattr(executor, "working_dir", None)
        if folder:
            with contextlib.suppress(OSError):  # a folder of nodes alone: the node reports what it lacks
                Path(folder).mkdir(parents=True, exist_ok=True)


def _with_checkpoints(config: config_module.Config, memoizer: Memoizer) -> config_module.Config:
    """Add all checkpoints of *config*'s folder, which today's Parsl loads where it writes some and none is named."""
    if not isinstance(memoizer, BasicMemoizer) or memoizer.checkpoint_mode is None:
        return config
    if memoizer.checkpoint_files is not None:
        return config
    return config.model_copy(update={"checkpoint_files": get_all_checkpoints(config.run_dir)})


def load(config: config_module.Config | None = None) -> DataFlowKernel:
    """Start a run and make it the loaded one.

    Raises:
        ConfigurationError: a run is loaded already, or *config* is no Config.
    """
    loaded_run.check_none_loaded()
    dfk = DataFlowKernel(select_config(config, "parsl.load"))
    assemble.make_current(dfk)
    return dfk


class _Loader(type):
    @property
    def _dfk(cls) -> dataflow.DataFlowKernel | None:
        return loaded_run.current()


class DataFlowKernelLoader(metaclass=_Loader):
    """Parsl's old home of the functions of these names."""

    clear = staticmethod(assemble.clear)
    dfk = staticmethod(assemble.dfk)
    load = staticmethod(load)
    wait_for_current_tasks = staticmethod(assemble.wait_for_current_tasks)
