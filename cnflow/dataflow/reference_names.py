"""What a task's record is asked for by whoever knows Parsl's: its fields, as attributes and by ``record["name"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.model.task import AppKind, TaskState
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.ids import TaskId
    from cnflow.model.task import AppFunction


class ReferenceNames:
    """Fields of the reference's task record, as far as cnflow knows them; for a subclass that holds the task."""

    __slots__ = ()

    app: AppFunction
    future: AppFuture
    fails: Sequence[str]
    ignored: Sequence[str]
    memo_key: bytes | None
    wants_memo: bool

    @property
    def id(self) -> TaskId:
        """Of the task."""
        return self.future.tid

    @property
    def app_fu(self) -> AppFuture:
        """What the caller of the app holds."""
        return self.future

    @property
    def func(self) -> Callable[..., Any]:
        """The app's function."""
        return self.app.function

    @property
    def func_name(self) -> str:
        """Of the app."""
        return self.app.name

    @property
    def join(self) -> bool:
        """Whether it is of a join app."""
        return self.app.kind is AppKind.JOIN

    @property
    def status(self) -> TaskState:
        """Where the task is now."""
        return TaskState[self.future.task_status().upper()]

    @property
    def fail_count(self) -> int:
        """Tries that failed."""
        return len(self.fails)

    @property
    def fail_history(self) -> list[str]:
        """The errors of its failed tries, as text."""
        return [*self.fails]

    @property
    def memoize(self) -> bool:
        """Whether its result is remembered."""
        return self.wants_memo

    @property
    def ignore_for_cache(self) -> Sequence[str]:
        """Names of arguments that are left out of its key."""
        return self.ignored

    @property
    def hashsum(self) -> str | None:
        """The key of its result, in hexadecimal digits; None while it is not known."""
        return self.memo_key.hex() if self.memo_key is not None else None

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - each field has its type
        """The field *name*.

        Raises:
            KeyError: there is none; offers the nearest.
        """
        if name not in FIELDS:
            raise KeyError(
                f"A task's record has no field {name!r}.{did_you_mean(name, FIELDS)} Known: {', '.join(FIELDS)}."
            )
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in FIELDS

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - the same
        """The field *name*, or *default* where there is none of that name."""
        return self[name] if name in FIELDS else default

    def keys(self) -> Sequence[str]:
        """Names of the fields, so that ``dict(record)`` holds them all."""
        return FIELDS


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
"""Those that ``record["name"]`` takes."""
