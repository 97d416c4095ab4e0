"""`Config`: the one value that `cnflow.load` takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from cnflow.addresses import host_and_port
from cnflow.config.base import Settings
from cnflow.config.budget import Budget
from cnflow.config.dashboard import Dashboard
from cnflow.config.executors import ExecutorSettings, ThreadPoolExecutor
from cnflow.config.log_files import LogFiles, parse_log_files
from cnflow.config.logging import LogConfig
from cnflow.config.monitoring import MonitoringHub
from cnflow.config.paths import PathText
from cnflow.config.quantities import Bytes, Duration
from cnflow.config.registry import EXECUTORS, LOGS, SINKS
from cnflow.config.sinks import SinkSettings
from cnflow.config.switches import switch
from cnflow.config.tables import at, misplaced, one_table, refuse_table
from cnflow.errors import ConfigurationError
from cnflow.model.block import in_names, label_conflict
from cnflow.text import did_you_mean
from cnflow.units import seconds_of_period

_AnyLogConfig = Annotated[SerializeAsAny[LogConfig], BeforeValidator(LOGS.parse)]
RetryHandler = Callable[[BaseException, Any], float]
_AnySink = Annotated[SerializeAsAny[SinkSettings], BeforeValidator(SINKS.parse)]
AnyExecutor = Annotated[SerializeAsAny[ExecutorSettings], BeforeValidator(EXECUTORS.parse)]
if TYPE_CHECKING:  # what users may write; `cnflow.config.switches.settings_of` is for whoever reads
    _Logs = LogFiles | bool | str | None
    _Monitoring = MonitoringHub | bool | None
    _Dashboard = Dashboard | bool | None
else:
    _Logs = Annotated[LogFiles | None, switch(LogFiles, "logs"), BeforeValidator(parse_log_files)]
    _Monitoring = Annotated[MonitoringHub | None, switch(MonitoringHub, "monitoring")]
    _Dashboard = Annotated[Dashboard | None, switch(Dashboard, "dashboard")]


STRATEGIES = ("none", "simple", "htex_auto_scale")


def parse_strategy(value: object) -> object:
    """Check the name of a strategy; None is ``none``, and a function is taken as it is.

    Raises:
        ValueError: no strategy has that name.
    """
    if value is None:
        return "none"
    if isinstance(value, str) and value not in STRATEGIES:
        raise ValueError(
            f"no strategy is called {value!r}.{did_you_mean(value, STRATEGIES)} Known: {', '.join(STRATEGIES)}"
        )
    return value


def _executor_of(value: object, position: int, outer: Collection[str]) -> object:
    """Settings of the table *value*; an error names its label or, where it has none, its *position*."""
    try:
        return EXECUTORS.parse(value)
    except ConfigurationError as error:
        if not isinstance(value, Mapping):
            raise
        where = f"executor {value['label']!r}" if isinstance(value.get("label"), str) else f"executors[{position}]"
        place = "Options of Config stand above the first [[executors]]"
        own = EXECUTORS.find(value["kind"]).model_fields if value.get("kind") in EXECUTORS.built_in else ()
        hint = misplaced(value, own, outer, place)
        found = ConfigurationError(f"{error}{hint}") if hint else error
        raise (at(where, found) if repr(value.get("label")) not in str(error) else found) from None


class Config(Settings):
    """Settings of a run: its executors, its retries, the folder of its records."""

    executors: list[AnyExecutor] = Field(
        default_factory=lambda: list[ExecutorSettings]([ThreadPoolExecutor()]), min_length=1
    )
    """Executors that run tasks. The first one without an image whose provider starts containers is the template from
    which an executor is made for each image that has none."""

    budget: Budget | None = None
    """Limits of what the run may spend on its blocks, such as ``Budget(usd=5)``; None limits nothing."""

    retries: int = Field(default=0, ge=0)
    """Number of further attempts after a task has failed."""

    staging_retries: int | None = Field(default=None, ge=0)
    """Number of further attempts after a file of a task could not be brought or taken away, unless another attempt
    would fail in the same way. They are counted apart from `retries`, which is their number by default."""

    max_pending: int | None = Field(default=None, ge=1)
    """Limit of tasks that are submitted and not finished: a call of an app beyond it blocks until one is finished, so
    that a script which makes tasks faster than they run does not fill the memory. None is no limit. Calls by a join
    app and in a callback of a future are counted and never blocked, since tasks may wait for them."""

    app_cache: bool = True
    """False runs every task, also those of apps with ``cache=True``."""

    checkpoint_mode: Literal["task_exit", "periodic", "dfk_exit", "manual"] | None = None
    """Moments at which results of apps with ``cache=True`` are written to the run's folder; None never writes."""

    checkpoint_period: str | float | None = None
    """Time between two checkpoints in the mode ``periodic``: ``"HH:MM:SS"`` or seconds; None is half an hour."""

    checkpoint_files: list[PathText] | None = None
    """Checkpoints of earlier runs, whose results are used from the start; `get_all_checkpoints` finds them."""

    cache_files_by: Literal["mtime", "content"] = "mtime"
    """Identity of a `File` for apps with ``cache=True``: its path, size and time of change (``mtime``), or its bytes
    (``content``), wherever it lies. The second reads each file once more, and recognizes copies."""

    dependency_resolver: Literal["deep", "shallow"] = "deep"
    """Depth of the search for futures: ``deep`` finds them inside lists, tuples, sets, dicts and dataclasses, too;
    ``shallow`` only among the arguments themselves and the elements of ``inputs``, and passes the others as they
    are."""

    retry_handler: RetryHandler | None = Field(default=None, exclude=True)
    """Called with the exception of a failed attempt and its task; returns the cost of the failure, which reduces the
    `retries`: 0 is free, 1 the default, more than is left ends the task. Not part of a configuration file."""

    bash_pipefail: bool = False
    """Let bash apps fail when any command of a pipeline fails, not only the last, as ``set -o pipefail`` does;
    ``@bash_app(pipefail=...)`` sets it for one app."""

    std_autopath: Callable[[Any, str], Any] | None = Field(default=None, exclude=True)
    """Called with a task and ``stdout`` or ``stderr`` where that is AUTO_LOGNAME; returns the path. Not part of a
    configuration file."""

    strategy: Annotated[
        Literal["none", "simple", "htex_auto_scale"] | Callable[[Any], Any], BeforeValidator(parse_strategy)
    ] = "simple"
    """Rule by which the number of blocks follows the tasks. ``simple``: more blocks with more tasks, fewer once there
    was no task for `max_idletime`. ``htex_auto_scale``: also fewer while there are tasks, where blocks are idle.
    ``none``, or None: ``init_blocks`` for the whole run. A function of your own takes a `cnflow.blocks.Situation` and
    returns changes; it is not part of a configuration file."""

    max_idletime: Duration = Field(default=120.0, ge=0.0)
    """Seconds without a task after which blocks beyond ``min_blocks`` are ended."""

    adoptable_for: Duration = Field(default=0.0, ge=0.0)
    """Seconds for which blocks outlive a driver that was killed, with the tasks that they hold, so that
    ``cnflow.load(config, adopt=...)`` can take them over. Then they end by themselves. With 0 they end at once."""

    ignore_images: bool = False
    """Run every app on the bare node whatever its image, such as on a machine without a container engine."""

    locked: bool = False
    """Run the images that `lock_file` has, by their content, and no others: a tag that has moved since runs what it was
    then, and an image that is not in the file is refused. ``cnflow lock`` writes the file."""

    lock_file: PathText = "cnflow.lock"
    """File of locked images. Where it is there and `locked` is False, an image that has moved since is warned of."""

    exit_mode: Literal["wait", "cleanup", "skip"] = "wait"
    """Effect of the end of ``with cnflow.load(...):``. ``wait``: wait for all tasks and end the run; when the block
    raised, end it at once. ``cleanup``: end it at once in either case. ``skip``: nothing; call ``cleanup()``.

    A script that ends without having ended its run ends it then: after all tasks with ``wait``, unless an exception
    ended the script; at once otherwise. A line on stderr tells how many tasks were dropped."""

    garbage_collect: bool = True
    """False keeps finished tasks, with their arguments, in ``dfk.tasks``."""

    internal_tasks_max_threads: int = Field(default=10, ge=1)
    """Limit of functions of join apps that run at the same time, in threads of the driver."""

    initialize_logging: bool | _AnyLogConfig = False
    """Destination of the run's log. True is `FileLogging`: from INFO on, to ``cnflow.log`` in the run's folder; False
    writes none."""

    local_packages: list[str] = Field(default_factory=list)
    """Packages of this machine that go along to every block, before versions that an image has: names of installed
    packages, as for pip or as in an import, and paths of folders and modules (``"./shop"``). All their files are sent,
    once to each node, and again after a change and a reload."""

    log_size: Bytes | None = Field(default=100_000_000, ge=1_000_000)
    """Bytes of each log of the run (of a block, an interchange, the driver), a text with a unit, such as ``"1GB"``. A
    log is kept in two parts: at half of this size, ``NAME`` becomes ``NAME.1`` in place of the part before. None is no
    limit."""

    stream_logs: bool = False
    """Write what tasks print in blocks to the driver's stderr, with app and task: ``predict[12] | text``. Lines of a
    task keep their order. What comes faster than it can be shown is left out and counted; `cnflow logs` shows it. Tasks
    in threads print to the driver's own stdout anyway."""

    logs: _Logs = None
    """Form and size of the run's log files: `LogFiles`, or its form alone, ``"json"`` or ``"text"``. None is text, with
    `log_size` as its bound, and no log of the driver."""

    monitoring: _Monitoring = None
    """Record the run in a database. True is ``MonitoringHub()``; None and False record nothing, which costs nothing."""

    dashboard: _Dashboard = None
    """Show the run in a browser while it goes on. True is ``Dashboard()``; it needs monitoring, and switches it on."""

    sinks: list[_AnySink] = Field(default_factory=list)
    """Recorders of the run's events: changes of tasks, blocks, managers and workers. Without one, none are made."""

    usage_tracking: Annotated[
        int, BeforeValidator(lambda level: int(level) if isinstance(level, bool) else level), Field(strict=True)
    ] = Field(default=0, ge=0, le=3)
    """Content of the usage statistics for `usage_address`: 0 nothing, 1 (or True) versions, 2 also the classes in this
    configuration, 3 also the duration of the run and the number of failed tasks."""

    usage_address: str | None = None
    """``host:port`` that usage statistics are sent to by UDP; cnflow has no default."""

    project_name: str | None = None
    """Name that usage statistics carry."""

    run_dir: PathText = "runinfo"
    """Folder in which each run makes its own numbered one. As in every path of a Config, ``~`` and variables
    (``$SCRATCH``) are replaced; one that is not set is an error."""

    @field_validator("executors", mode="before")
    @classmethod
    def _executors_are_listed(cls, executors: object) -> object:
        if isinstance(executors, ExecutorSettings):
            raise ValueError("must be a list: write executors=[...], also for a single one")  # noqa: TRY004 - as pydantic wants
        refuse_table(executors, "executors", "executors")
        if not isinstance(executors, list):
            return executors
        return [_executor_of(each, n, cls.model_fields) for n, each in enumerate(executors)]

    @field_validator("sinks", mode="before")
    @classmethod
    def _sinks_are_listed(cls, sinks: object) -> object:
        return refuse_table(sinks, "sinks", "sinks")

    @field_validator("initialize_logging", mode="before")
    @classmethod
    def _logging_is_one_table(cls, logging: object) -> object:
        return one_table(logging, "initialize_logging", "initialize_logging")

    @field_validator("checkpoint_period")
    @classmethod
    def _period_can_be_read(cls, period: str | float | None) -> str | float | None:
        if period is not None:
            seconds_of_period(period)
        return period

    @field_validator("usage_address")
    @classmethod
    def _address_can_be_read(cls, address: str | None) -> str | None:
        if address is not None:
            host_and_port(address)
        return address

    @model_validator(mode="after")
    def _check_usage_address(self) -> Config:
        if self.usage_tracking and self.usage_address is None:
            raise ValueError(
                f"usage_tracking={self.usage_tracking} needs an address to send to: set usage_address='host:port'. "
                "cnflow has no default."
            )
        return self

    @field_validator("executors")
    @classmethod
    def _labels_are_unique(cls, executors: list[ExecutorSettings]) -> list[ExecutorSettings]:
        labels: dict[str, str] = {}  # by their form in the names of blocks
        for executor in executors:
            name = in_names(executor.label)
            if name in labels:
                raise ValueError(label_conflict(executor.label, [labels[name]]))
            labels[name] = executor.label
        return executors
