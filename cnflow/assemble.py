"""Composition root: makes live objects from a `Config`, and keeps the one run that is loaded.

::

    load(config) ──copy──> RunContext ──> RunExecutors ──backend_of(settings)──> executors
                              │               │ makes more, for images and join apps
                              └──> TaskGraph <┘ ──> DataFlowKernel ──> start: log, statistics, executors
"""

from __future__ import annotations

import itertools
import logging
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow import __version__, exit_calls, logs, usage_tracking
from cnflow.adopted_run import adopt_ledger
from cnflow.budget.amounts import Terms
from cnflow.budget.spending import Spending
from cnflow.clock import SystemClock
from cnflow.config import Config, ExecutorSettings, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.config.image_lock import read_lock
from cnflow.config.monitoring import MonitoringHub
from cnflow.config.registry import backend_of
from cnflow.config.registry import load as load_target
from cnflow.config.selection import select_config
from cnflow.config.switches import settings_of
from cnflow.config.tables import at
from cnflow.dataflow import DataFlowKernel, join_apps, loaded_run
from cnflow.dataflow.call_folder import current_folder
from cnflow.dataflow.executor_factory import NewExecutor
from cnflow.dataflow.loop import TaskGraph
from cnflow.dataflow.memo.cache import ResultCache
from cnflow.dataflow.memo.checkpoint_paths import FILE, FOLDER
from cnflow.dataflow.router import RoutableExecutor
from cnflow.dataflow.run_events import end_event, run_event
from cnflow.dataflow.task_record import TaskRecord
from cnflow.errors import ConfigurationError
from cnflow.executors.high_throughput.standing_pools import bind_to_pool
from cnflow.executors.image_pins import RECORD, ImagePins
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.ledger import RunLedger, new_driver
from cnflow.model.manager_settings import PROTOCOL
from cnflow.monitoring.hub import EventHub
from cnflow.monitoring.store.endpoint import endpoint_of
from cnflow.run_logs.bounds import bounds_of
from cnflow.run_logs.stream import LogStream

if TYPE_CHECKING:
    import os

    from cnflow.dataflow.launching import FirstLookUp, TaskVariables
    from cnflow.dataflow.memo import Checkpointer
    from cnflow.interfaces import Executor
    from cnflow.interfaces.sink import Sink
    from cnflow.model.image import Image

logger = logging.getLogger(__name__)


def load(
    config: Config | str | os.PathLike[str] | None = None,
    *,
    adopt: str | os.PathLike[str] | None = None,
    replace: bool = False,
) -> DataFlowKernel:
    """Start a run and make it the loaded one.

    Args:
        config: copied, so that it can be changed or loaded again afterwards; or the path of a file with one, as
            `cnflow.config.load_config` reads it. None is that of ``cnflow run --config``; without such an option,
            tasks run in threads.
        adopt: folder of a run whose driver was killed, such as ``runinfo/007``: its blocks are taken over, and its
            tasks that still run, or ended meanwhile, serve the same tasks of this script. See
            `Config.adoptable_for`.
        replace: end the run that is loaded, with its unfinished tasks, before this one starts: for a notebook's cell
            that is run again.

    Returns:
        The DFK; use it as a context manager, so that nothing is left behind whatever happens.

    Raises:
        AlreadyLoadedError: another run is loaded, and *replace* is False.
        ConfigurationError: *config* cannot work, or *adopt* cannot be taken over with it. A later failure (no engine,
            no such image) is the error of the tasks that needed it.
    """
    if not replace:
        loaded_run.check_none_loaded()
    config = select_config(config, "cnflow.load") or Config()
    earlier = loaded_run.current()
    if earlier is not None:
        earlier.cleanup()
    ledger = None if adopt is None else adopt_ledger(adopt, config)
    try:
        dfk = new_run(config, ledger)
        make_current(dfk)
        start(dfk)
    except BaseException:
        if ledger is not None:
            ledger.abandon()
        raise
    return dfk


def make_current(dfk: DataFlowKernel) -> None:
    """Make *dfk* the loaded one until its end, at the latest that of the interpreter."""
    loaded_run.set_current(dfk)
    dfk.on_cleanup(lambda: loaded_run.clear(dfk))
    dfk.on_cleanup(exit_calls.register(dfk.wait_at_exit, dfk.end_at_exit))


def start(dfk: DataFlowKernel) -> None:
    """Start the log, the statistics and the executors of a new run; a failure leaves nothing behind."""
    try:
        end_of_log = logs.start_run_log(dfk.config, dfk.run_dir)
        dfk.on_cleanup(usage_tracking.begin(dfk.config, dfk.task_counts))
        dfk.on_cleanup(end_of_log)
        bounds = bounds_of(settings_of(dfk.config.logs), Path(dfk.run_dir))
        if bounds is not None:
            dfk.on_cleanup(bounds.close)
            bounds.start()
        if dfk.config.stream_logs:
            stream = LogStream(dfk.run_dir)
            dfk.on_cleanup(stream.close)
            stream.start()
        logger.info("cnflow %s runs in %s", __version__, dfk.run_dir)
        dfk.start()
        _start_dashboard(dfk)
    except BaseException:
        dfk.cleanup()
        raise


def _start_dashboard(dfk: DataFlowKernel) -> None:
    settings, monitoring = settings_of(dfk.config.dashboard), settings_of(dfk.config.monitoring)
    if settings is not None and monitoring is not None:
        url = endpoint_of(monitoring, Path(dfk.config.run_dir))
        dashboard = backend_of(settings)(settings, url, Path(dfk.run_dir))
        dfk.on_cleanup(dashboard.close)
        dashboard.start()


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


def new_run(config: Config, ledger: RunLedger | None = None) -> DataFlowKernel:
    """Make the DFK of a copy of *config*; nothing is started and nothing loaded.

    Args:
        config: of the run.
        ledger: of a run that is taken over; None begins a run.

    Raises:
        ConfigurationError: *config* cannot work, or its `run_dir` cannot be written to.
    """
    return DataFlowKernel(graph=new_graph(config, ledger))


def new_graph(
    config: Config,
    ledger: RunLedger | None = None,
    *,
    record_class: type[TaskRecord] = TaskRecord,
    look_up_first: FirstLookUp | None = None,
) -> TaskGraph:
    """Make the task graph of a run; the last two arguments are those of `TaskGraph`, the others those of `new_run`.

    Raises:
        ConfigurationError: as `new_run`.
    """
    config = config.copied()
    if config.ignore_images:
        config.executors = [executor.without_images() for executor in config.executors]
    if ledger is None:
        driver = new_driver(RunId(uuid.uuid4().hex[:12]), 0, __version__, PROTOCOL)
        ledger = RunLedger(make_run_dir(Path(config.run_dir)), driver)
    dashboard = settings_of(config.dashboard)
    if dashboard is not None:
        backend_of(dashboard)  # its packages hold those of monitoring: one message names all
        config.monitoring = settings_of(config.monitoring) or MonitoringHub()
    run_dir = ledger.path.parent
    hub = _event_hub(config, run_dir)
    run = _run_context(config, ledger, hub)
    factory = RunExecutors(config, run)
    new = [factory.make(settings) for settings in config.executors]
    graph = TaskGraph(
        config=config,
        run_dir=run_dir,
        executors=[executor for _, executor in new if executor is not None],
        routes=[route for route, _ in new],
        factory=factory,
        results=_result_cache(config, run_dir, is_adopted=ledger.adopted is not None),
        record_class=record_class,
        look_up_first=look_up_first,
        variables_of=_task_variables(config, ledger.run),
        hub=hub,
        spending=run.spending,
    )
    graph.first_task = graph.next_task = ledger.first_task
    graph.run_id = ledger.run
    if hub is not None:
        begun = run_event(config, run_dir, ledger.run)
        hub.emit(begun)
        hub.last_event = lambda: end_event(begun, graph.counts())
    return graph


def _run_context(config: Config, ledger: RunLedger, hub: EventHub | None) -> RunContext:
    """Make what the executors of a run have in common."""
    run_dir, monitoring = ledger.path.parent, settings_of(config.monitoring)
    return RunContext(
        run=ledger.run,
        run_dir=run_dir,
        strategy=config.strategy,
        max_idletime=config.max_idletime,
        ledger=ledger,
        adoptable_for=config.adoptable_for,
        log_size=logs.size_of(config) or 0,
        json_logs=logs.are_json(config),
        local_packages=tuple(config.local_packages),
        folder=current_folder(),
        emit=None if hub is None else hub.emit,
        sample_interval=None if monitoring is None else monitoring.sample_interval,
        images=_image_pins(config, run_dir),
        spending=_spending(config, run_dir, is_adopted=ledger.adopted is not None),
    )


class RunExecutors:
    """Makes the executors of one run; see `cnflow.dataflow.executor_factory`.

    Args:
        config: of the run; not changed.
        run: handed to each executor.
    """

    def __init__(self, config: Config, run: RunContext) -> None:
        self._config = config
        self._run = run
        self._settings: dict[str, ExecutorSettings] = {}
        """By label, those of templates included."""

    def make(self, settings: ExecutorSettings) -> NewExecutor:
        """Make the executor of a copy of *settings*.

        Raises:
            ConfigurationError: *settings* cannot work, or packages that they need are not installed.
        """
        copied = settings.copied()
        if self._config.ignore_images:
            copied = copied.without_images()
        self._settings[copied.label] = copied
        images: frozenset[str] | None = None
        if isinstance(copied, HighThroughputExecutor):
            copied, images = bind_to_pool(copied)
        route = RoutableExecutor(
            copied.label,
            copied.image,
            copied.needs_image,
            copied.is_cloneable,
            fresh=copied.is_fresh,
            takes_images=copied.runs_images,
            images=images,
        )
        is_template = copied.needs_image and not copied.image
        return NewExecutor(route, None if is_template else self._live(copied))

    def clone(self, template: str, image: Image, label: str, *, fresh: bool = False) -> Executor:
        """See `cnflow.dataflow.executor_factory.ExecutorFactory`."""
        settings = self._settings[template].model_copy(deep=True)
        if fresh and not settings.is_fresh:
            settings = settings.for_fresh_tasks()
        return self._live(settings.model_copy(update={"image": image, "label": label}))

    def make_joiner(self) -> Executor:
        """Make the executor for the functions of join apps."""
        threads = self._config.internal_tasks_max_threads
        return self._live(ThreadPoolExecutor(label=join_apps.LABEL, max_threads=threads))

    def _live(self, settings: ExecutorSettings) -> Executor:
        try:
            live: Executor = backend_of(settings)(settings, self._run)
        except ConfigurationError as error:
            raise at(f"executor {settings.label!r}", error) from error
        return live


def _event_hub(config: Config, run_dir: Path) -> EventHub | None:
    """Make the sinks of *config*, monitoring's included, and what carries events to them; None if it has none.

    Raises:
        ConfigurationError: a sink cannot be made, or the database not be used.
        MissingExtraError: the packages of one are not installed.
    """
    sinks: list[Sink] = []
    for settings in (*config.sinks, *filter(None, (settings_of(config.monitoring),))):
        try:
            sinks.append(backend_of(settings)(settings, run_dir))
        except OSError as error:
            raise ConfigurationError(f"The sink {settings!r} cannot be used: {error}.") from error
    return EventHub(sinks) if sinks else None


def _task_variables(config: Config, run: RunId) -> TaskVariables | None:
    """Make what returns the environment variables of a task that sinks wish it to have; None where they wish none."""
    names = [name for settings in config.sinks if (name := settings.task_variables())]
    if not names:
        return None
    functions = [load_target(name, "sink") for name in names]
    return lambda task: {name: value for each in functions for name, value in each(run, task).items()}


def _spending(config: Config, run_dir: Path, *, is_adopted: bool) -> Spending | None:
    """Make what counts the costs of blocks; None where there is no budget, and no block costs anything."""
    providers = [each.provider for each in config.executors if isinstance(each, HighThroughputExecutor)]
    if config.budget is None and all(one.billing().rate.usd_per_hour == 0 for one in providers):
        return None
    terms = Terms() if config.budget is None else config.budget.terms
    return Spending(run_dir, SystemClock(), terms, adopted=is_adopted)


def _image_pins(config: Config, run_dir: Path) -> ImagePins:
    """Make what resolves the images of a run.

    Raises:
        ConfigurationError: the lock file cannot be read, or is missing where the run is locked.
    """
    file = Path(config.lock_file)
    lock = read_lock(file)
    if lock is None and config.locked:
        raise ConfigurationError(f"locked=True, and there is no {file}. Run: cnflow lock")
    return ImagePins(run_dir / RECORD, lock, str(file), is_locked=config.locked)


def _result_cache(config: Config, run_dir: Path, *, is_adopted: bool) -> ResultCache:
    """Make the cache; one of a run that was taken over has the results that its killed driver wrote."""
    has_own = (
        is_adopted and (run_dir / FOLDER / FILE).is_file()
    )  # the driver may have been killed before its first entry
    files = [*(config.checkpoint_files or ()), *([str(run_dir / FOLDER)] if has_own else ())]
    by_content = config.cache_files_by == "content"

    def make_checkpointer(mode: str | None = None) -> Checkpointer:
        from cnflow.dataflow.memo import Checkpointer  # noqa: PLC0415 - a database; most runs need none

        return Checkpointer(run_dir, mode, config.checkpoint_period)

    if not files and not config.checkpoint_mode:
        return ResultCache(files_by_content=by_content, checkpointer_on_demand=make_checkpointer)
    from cnflow.dataflow.memo import CheckpointReader  # noqa: PLC0415 - the same

    earlier = CheckpointReader(files) if files else None
    checkpointer = make_checkpointer(config.checkpoint_mode) if config.checkpoint_mode else None
    return ResultCache(earlier, checkpointer, files_by_content=by_content, checkpointer_on_demand=make_checkpointer)


def make_run_dir(parent: Path) -> Path:
    """Make a new ``parent/NNN`` that only the user can enter; two runs that start at one moment get two folders.

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
            continue  # another run has just made it
        return folder.resolve()
    raise AssertionError("numbers do not end")
