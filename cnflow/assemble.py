"""The only place that joins parts: makes live objects from a `Config`, and keeps the one run that is loaded."""

from __future__ import annotations

import atexit
import itertools
import logging
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow import __version__, logs, usage_tracking
from cnflow.blocks.callbacks import Scaling
from cnflow.config import (
    Config,
    ExecutorSettings,
    HighThroughputExecutor,
    ProviderSettings,
    ThreadPoolExecutor,
)
from cnflow.config.providers import without_images
from cnflow.config.registry import EXECUTORS, PROVIDERS
from cnflow.config.registry import load as load_class
from cnflow.dataflow import DataFlowKernel, join_apps, loaded_run
from cnflow.dataflow.executor_factory import NewExecutor
from cnflow.dataflow.loop import TaskGraph
from cnflow.dataflow.memo.cache import ResultCache
from cnflow.dataflow.router import RoutableExecutor
from cnflow.dataflow.task_record import TaskRecord
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.ids import RunId

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.dataflow.launching import FirstLookUp
    from cnflow.interfaces import Executor, Provider

logger = logging.getLogger(__name__)


def load(config: Config | None = None) -> DataFlowKernel:
    """Start a run and make it the loaded one.

    Args:
        config: a copy is taken, so that it can be changed or loaded again afterwards; None runs tasks in threads.

    Returns:
        The DFK; use it as a context manager, so that nothing is left behind whatever happens.

    Raises:
        AlreadyLoadedError: another run is loaded.
        ConfigurationError: *config* cannot work. What goes wrong later (no engine, no such image) is the error of the
            tasks that needed it.
    """
    loaded_run.check_none_loaded()
    if config is None:
        config = Config()
    if not isinstance(config, Config):
        raise ConfigurationError(f"load() takes a Config, not {type(config).__name__}. Write Config(executors=[...]).")
    dfk = new_run(config)
    make_current(dfk)
    start(dfk)
    return dfk


def make_current(dfk: DataFlowKernel) -> None:
    """Make *dfk* the loaded one until it ends, which it does at the latest with the interpreter."""
    loaded_run.set_current(dfk)
    dfk.on_cleanup(lambda: loaded_run.clear(dfk))
    atexit.register(dfk.cleanup)
    dfk.on_cleanup(lambda: atexit.unregister(dfk.cleanup))


def start(dfk: DataFlowKernel) -> None:
    """Start the executors of a new run, and its log if it is to have one; what fails leaves nothing behind."""
    try:
        end_of_log = logs.start(dfk.config.initialize_logging, dfk.run_dir)
        dfk.on_cleanup(usage_tracking.begin(dfk.config, dfk.task_counts))
        dfk.on_cleanup(end_of_log)
        logger.info("cnflow %s runs in %s", __version__, dfk.run_dir)
        dfk.start()
    except BaseException:
        dfk.cleanup()
        raise


def clear() -> None:
    """Forget the loaded DFK without ending its run."""
    loaded_run.clear()


def dfk() -> DataFlowKernel:
    """The loaded DFK.

    Raises:
        NoDataFlowKernelError: nothing is loaded.
    """
    return loaded_run.require("dfk()")


def wait_for_current_tasks() -> None:
    """Return when every task known now is final.

    Raises:
        NoDataFlowKernelError: nothing is loaded.
    """
    loaded_run.require("wait_for_current_tasks()").wait_for_current_tasks()


def new_run(config: Config) -> DataFlowKernel:
    """A DFK with all that a copy of *config* asks for; nothing is started and nothing loaded.

    Raises:
        ConfigurationError: *config* cannot work, or its `run_dir` cannot be written to.
    """
    return DataFlowKernel(graph=new_graph(config))


def new_graph(
    config: Config, *, record_class: type[TaskRecord] = TaskRecord, look_up_first: FirstLookUp | None = None
) -> TaskGraph:
    """The task graph of a run; the last two are those of `TaskGraph`.

    Raises:
        ConfigurationError: as `new_run`.
    """
    config = config.copied()
    run = RunId(uuid.uuid4().hex[:12])
    run_dir = make_run_dir(Path(config.run_dir))
    if config.ignore_images:
        config.executors = [_on_the_bare_node(executor) for executor in config.executors]
    factory = _ExecutorFactory(config, run, run_dir)
    new = [factory.make(executor) for executor in config.executors]
    return TaskGraph(
        config=config,
        run_dir=run_dir,
        executors=[executor for _, executor in new if executor is not None],
        routes=[route for route, _ in new],
        factory=factory,
        results=_known_results(config, run_dir),
        record_class=record_class,
        look_up_first=look_up_first,
    )


class _ExecutorFactory:
    """Makes the executors of one run; see `cnflow.dataflow.executor_factory`."""

    def __init__(self, config: Config, run: RunId, run_dir: Path) -> None:
        self._config = config
        self._run = run
        self._run_dir = run_dir
        self._scaling = Scaling(config.strategy, config.max_idletime)
        self._settings: dict[str, ExecutorSettings] = {}

    def make(self, settings: ExecutorSettings) -> NewExecutor:
        settings = settings.model_copy(deep=True)
        if self._config.ignore_images:
            settings = _on_the_bare_node(settings)
        self._settings[settings.label] = settings
        is_template = _needs_image(settings) and not settings.image
        return NewExecutor(_place(settings), None if is_template else self._live(settings))

    def clone(self, template: str, image: str, label: str) -> Executor:
        return self._live(self._settings[template].model_copy(update={"image": image, "label": label}, deep=True))

    def make_joiner(self) -> Executor:
        return _joiner(self._config)

    def _live(self, settings: ExecutorSettings) -> Executor:
        return _executor(settings, self._run, self._run_dir, self._scaling)


def _known_results(config: Config, run_dir: Path) -> ResultCache:
    if not config.checkpoint_files and not config.checkpoint_mode:
        return ResultCache(files_by_content=config.cache_files_by == "content")
    from cnflow.dataflow.memo import Checkpointer, LoadedCheckpoints  # noqa: PLC0415 - a database; most runs need none

    earlier = LoadedCheckpoints(config.checkpoint_files) if config.checkpoint_files else None
    mode = config.checkpoint_mode
    checkpointer = Checkpointer(run_dir, mode, config.checkpoint_period) if mode else None
    return ResultCache(earlier, checkpointer, files_by_content=config.cache_files_by == "content")


def _joiner(config: Config) -> Executor:
    """The executor for the functions of join apps."""
    from cnflow.executors.threads.executor import ThreadPoolBackend  # noqa: PLC0415 - most runs join nothing, and none waits for its import

    return ThreadPoolBackend(ThreadPoolExecutor(label=join_apps.LABEL, max_threads=config.internal_tasks_max_threads))


def _on_the_bare_node(executor: ExecutorSettings) -> ExecutorSettings:
    """*executor* without its image; containers become as many blocks of plain processes on this machine."""
    if not _needs_image(executor):
        return executor.model_copy(update={"image": ""})
    assert isinstance(executor, HighThroughputExecutor)  # no other executor has a provider
    return executor.model_copy(update={"image": "", "provider": without_images(executor.provider)})


def _needs_image(executor: ExecutorSettings) -> bool:
    if not isinstance(executor, HighThroughputExecutor):
        return False
    return executor.provider.traits().runs_images


def _place(executor: ExecutorSettings) -> RoutableExecutor:
    return RoutableExecutor(
        executor.label, executor.image, _needs_image(executor), isinstance(executor, HighThroughputExecutor)
    )


def _executor(settings: ExecutorSettings, run: RunId, run_dir: Path, scaling: Scaling) -> Executor:
    live = load_class(_backend(settings.kind, "executor"), f"The executor {settings.kind!r}")
    if isinstance(settings, HighThroughputExecutor):
        made: Executor = live(settings, _provider_maker(settings.provider), run, run_dir, scaling)
    else:
        made = live(settings)
    return made


def _provider_maker(settings: ProviderSettings) -> Callable[[], Provider]:
    live = _live_provider(settings)
    return lambda: live(settings)


def _live_provider(settings: ProviderSettings) -> Any:  # noqa: ANN401 - the class named in the registry
    if settings.kind not in PROVIDERS:
        raise UnknownNameError("provider", settings.kind, PROVIDERS)
    backend = PROVIDERS[settings.kind]
    return load_class(backend.live, f"The provider {settings.kind!r}", backend.extra)


def _backend(kind: str, what: str) -> str:
    if kind not in EXECUTORS:
        raise UnknownNameError(what, kind, EXECUTORS)
    return EXECUTORS[kind].live


def make_run_dir(parent: Path) -> Path:
    """A fresh ``parent/NNN`` that only the user can enter; two runs that start at one moment get two.

    Raises:
        ConfigurationError: *parent* is no folder and cannot be made one.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"run_dir={str(parent)!r} cannot be used: {error}.") from error
    numbers = [int(entry.name) for entry in parent.iterdir() if entry.name.isdigit()]
    for number in itertools.count(max(numbers, default=-1) + 1):
        folder = parent / f"{number:03d}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue  # another run was faster; the next number is free or its
        return folder.resolve()
    raise AssertionError("numbers do not end")
