"""Parsl's memoizers: settings of cnflow's cache, and a hook that subclasses override."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.errors import NoDataFlowKernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.dataflow import DataFlowKernel
    from cnflow.dataflow.task_record import TaskRecord


USE_CACHE: Future[Any] = Future()
"""Result of `Memoizer.check_memo` that leaves the look-up to cnflow's cache."""


class Memoizer:
    """Base of memoizers, for `Config(memoizer=...)`."""

    dfk: DataFlowKernel | None = None
    """The run that was loaded with it."""

    def check_memo(self, task_record: TaskRecord) -> Future[Any] | None:  # noqa: ARG002 - for subclasses
        """Look up a task with ``cache=True`` before it runs.

        A subclass overrides this to decide for each task, and calls it to leave a task to cnflow's cache.

        Returns:
            A done future with the task's result; or None, and the task is run.
        """
        return USE_CACHE

    def checkpoint(self) -> str:
        """Write new results now; see `cnflow.DataFlowKernel.checkpoint`.

        Raises:
            NoDataFlowKernelError: no run was loaded with it.
        """
        if self.dfk is None:
            raise NoDataFlowKernelError("checkpoint() needs a run that was loaded with this memoizer.")
        return self.dfk.checkpoint()

    def settings(self) -> dict[str, Any]:
        """Fields of `cnflow.Config` with the same meaning."""
        return {}


class BasicMemoizer(Memoizer):
    """Selects the results that are reused, and the moment when new ones are written; see `cnflow.Config`.

    Args:
        checkpoint_files: checkpoints of earlier runs, ``runinfo/NNN/checkpoint``.
        checkpoint_period: "HH:MM:SS", for the mode periodic.
        checkpoint_mode: task_exit, periodic, dfk_exit or manual; None writes nothing.
        memoize: False runs every task.
    """

    def __init__(
        self,
        *,
        checkpoint_files: Sequence[str] | None = None,
        checkpoint_period: str | None = None,
        checkpoint_mode: str | None = None,
        memoize: bool = True,
    ) -> None:
        self.checkpoint_files = checkpoint_files
        self.checkpoint_period = checkpoint_period
        self.checkpoint_mode = checkpoint_mode
        self.memoize = memoize

    def settings(self) -> dict[str, Any]:
        """See `Memoizer.settings`."""
        files = None if self.checkpoint_files is None else list(self.checkpoint_files)
        return {
            "app_cache": self.memoize,
            "checkpoint_files": files,
            "checkpoint_mode": self.checkpoint_mode,
            "checkpoint_period": self.checkpoint_period,
        }
