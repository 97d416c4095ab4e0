"""What the kernel knows of a task until it is final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.call_options import NO_CALL_OPTIONS
from cnflow.dataflow.reference_names import ReferenceNames

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.model.task import AppFunction


@dataclass(frozen=True)
class AppOptions:
    """How an app's tasks are run; what its decorator takes."""

    executors: str | Sequence[str] = "all"
    """Label or labels of the executors that may run it, or ``"all"``."""

    image: str = ""
    """Container image that it runs in; empty is the bare node."""

    cache: bool = False
    """Reuse the result of an earlier call with the same code, arguments and image."""

    retries: float | None = None
    """Budget of retries of each task; None is the Config's."""

    ignore_for_cache: Sequence[str] = ()
    """Names of arguments in which two calls may differ and still be the same."""


NO_OPTIONS = AppOptions()


class TaskRecord(ReferenceNames):
    """A task that is not final: what it takes to launch it, and who waits for it.

    Its fields have also the names that the reference gives them, and are had by ``record["name"]`` too.

    Attributes:
        app: its function.
        args, kwargs: as they were given, futures and all; dropped when the task is final.
        executor: label of the one that runs it.
        future: what the caller holds.
        depends: the futures among them that it waits for.
        fails: the errors of its failed tries, as text.
        fail_cost: what they took from its budget of retries.
        try_id: number of the try that runs, from 0.
    """

    __slots__ = (
        "app",
        "args",
        "cancelling",
        "depends",
        "error",
        "executor",
        "fail_cost",
        "fails",
        "future",
        "ignored",
        "kwargs",
        "memo_key",
        "try_id",
        "value",
        "wants_memo",
        "wishes",
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
        self.wants_memo = False
        self.ignored: Sequence[str] = ()
        self.wishes = NO_CALL_OPTIONS
        self.cancelling = False
        self.depends: Sequence[Future[Any]] = ()
        self.fails: Sequence[str] = ()
        self.fail_cost = 0.0
        self.try_id = 0
