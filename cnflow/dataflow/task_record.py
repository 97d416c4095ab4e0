"""Record of one task: what the graph needs to launch it, and the fields that users read.

A record is what ``dfk.tasks[id]``, ``future.task_record``, ``Config(retry_handler=...)`` and
``Config(std_autopath=...)`` hand to the user. `FIELDS` can be read as attributes and by ``record["name"]``. They are
Parsl's, kept in plain cnflow because the documentation promises them; the state's Parsl names are in `cnflow.compat`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.call_options import NO_CALL_OPTIONS
from cnflow.dataflow.state import LOSSES
from cnflow.model.task import AppKind, TaskState
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from cnflow.config import Config
    from cnflow.dataflow.call_options import AppOptions
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.memo import CodeId
    from cnflow.ids import TaskId
    from cnflow.model.task import AppFunction, Kept, Outcome


FIELDS = (
    "app_fu",
    "args",
    "depends",
    "executor",
    "fail_cost",
    "fail_count",
    "fail_history",
    "func",
    "func_name",
    "hashsum",
    "id",
    "ignore_for_cache",
    "join",
    "kwargs",
    "memoize",
    "status",
    "try_id",
)
"""Names that ``record["name"]`` takes."""


NOT_APART: tuple[Any, bool] = "", False
"""`TaskRecord.part` of most tasks."""


class TaskRecord:
    """A task that is not final; kept afterwards only with ``Config(garbage_collect=False)``.

    Attributes:
        app: function of the app.
        args, kwargs: arguments of the call, futures included.
        executor: label of the executor that runs it.
        future: future that the caller holds.
        depends: futures among the arguments that it waits for.
        memoize: True if the result is cached.
        ignore_for_cache: names of the arguments that are left out of the cache key.
        failures: text of the error of each failed attempt.
        fail_cost: sum that failed attempts took from the budget of retries.
        try_id: number of the current attempt, from 0.
        cancelling: True once the user has cancelled it.
        value, error: outcome of the last attempt.
        memo_key: cache key, once it is computed.
        call_options: the special keywords of the call.
        retries: budget of retries.
        staging_retries: budget of further attempts after a file could not be moved.
        results: copies of results for this task, by Python's id() of their futures; see `cnflow.dataflow.arguments`.
        kept: what later attempts find of the first one.
        version: function of the app at the call, of an executor that pickles.
        part: `AppOptions.apart` and `is_bulk` of a call of a model.
        code: id of the code at the call, of a cached task.
        on_items: called with the outcome of each attempt before that is recorded; None for most tasks.
    """

    __slots__ = (
        "app",
        "args",
        "call_options",
        "cancelling",
        "code",
        "depends",
        "error",
        "executor",
        "fail_cost",
        "failures",
        "future",
        "ignore_for_cache",
        "kept",
        "kwargs",
        "memo_key",
        "memoize",
        "on_items",
        "part",
        "results",
        "retries",
        "staging_retries",
        "try_id",
        "value",
        "version",
    )  # fmt: skip

    def __init__(
        self, app: AppFunction, args: tuple[Any, ...], kwargs: dict[str, Any], executor: str, future: AppFuture
    ) -> None:
        self.app = app
        self.args = args
        self.kwargs = kwargs
        self.executor = executor
        self.future = future
        self.value: Any = None
        self.error: BaseException | None = None
        self.memo_key: bytes | None = None
        self.memoize = False
        self.ignore_for_cache: Sequence[str] = ()
        self.call_options = NO_CALL_OPTIONS
        self.cancelling = False
        self.depends: Sequence[Future[Any]] = ()
        self.failures: Sequence[str] = ()
        self.fail_cost = 0.0
        self.try_id = 0
        self.retries = self.staging_retries = 0.0
        self.results: dict[int, Any] | None = None
        self.kept: Kept | None = None
        self.version: Any = None
        self.code: CodeId | None = None
        self.part: tuple[Any, bool] = NOT_APART
        self.on_items: Callable[[Outcome], None] | None = None

    @property
    def budgets(self) -> tuple[float, int, float]:
        """Budgets of further attempts after failures, losses, and files that could not be moved."""
        return self.retries, LOSSES, self.staging_retries

    def set_budgets(self, options: AppOptions, config: Config) -> None:
        """Set the budgets of further attempts: those of the app, else those of the configuration."""
        self.retries = config.retries if options.retries is None else options.retries
        self.staging_retries = self.retries if config.staging_retries is None else config.staging_retries

    def keep_place(self, outcome: Outcome) -> None:
        """Keep where and when *outcome* was made, for `AppFuture.provenance`."""
        future = self.future  # public names would hide a result's
        future._place, future._stopped, future._seconds = outcome.place, outcome.ended, outcome.seconds  # noqa: SLF001
        future._worker = outcome.worker  # noqa: SLF001 - the same

    @property
    def id(self) -> TaskId:
        """Id of the task."""
        return self.future.tid

    @property
    def app_fu(self) -> AppFuture:
        """Future that the caller of the app holds."""
        return self.future

    @property
    def func(self) -> Callable[..., Any]:
        """Function of the app."""
        return self.app.function

    @property
    def func_name(self) -> str:
        """Name of the app."""
        return self.app.name

    @property
    def join(self) -> bool:
        """True for a task of a join app."""
        return self.app.kind is AppKind.JOIN

    @property
    def status(self) -> TaskState:
        """Current state of the task."""
        return TaskState[self.future.task_status().upper()]

    @property
    def fail_count(self) -> int:
        """Number of attempts that failed."""
        return len(self.failures)

    @property
    def fail_history(self) -> list[str]:
        """Text of the error of each failed attempt, earliest first."""
        return [*self.failures]

    @property
    def hashsum(self) -> str | None:
        """Cache key in hexadecimal digits, also of a remembered result; None until it is computed."""
        key = self.memo_key or self.future._key  # noqa: SLF001 - a public name would hide a result's
        return None if key is None else key.hex()

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - each field has its type
        """Return the field *name*.

        Raises:
            KeyError: *name* is not in `FIELDS`; the message offers the nearest.
        """
        if name not in FIELDS:
            raise KeyError(
                f"A task's record has no field {name!r}.{did_you_mean(name, FIELDS)} Known: {', '.join(FIELDS)}."
            )
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in FIELDS

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - the same
        """Return the field *name*, or *default* where there is none of that name."""
        return self[name] if name in FIELDS else default

    def keys(self) -> Sequence[str]:
        """Return the names of the fields, so that ``dict(record)`` holds them all."""
        return FIELDS
