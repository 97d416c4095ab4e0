"""Parsl's memoizers, which are settings here: what is remembered is cnflow's own affair."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.errors import NoDataFlowKernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.dataflow import DataFlowKernel
    from cnflow.dataflow.task_record import TaskRecord


AS_USUAL: Future[Any] = Future()
"""What `BasicMemoizer.check_memo` returns: cnflow looks up what it knows."""


class Memoizer:
    """Base of what `Config(memoizer=...)` takes."""

    dfk: DataFlowKernel | None = None
    """Of the run that it was loaded for."""

    def check_memo(self, task_record: TaskRecord) -> Future[Any] | None:  # noqa: ARG002 - for subclasses
        """What is known of a task with ``cache=True`` before it runs, as a done future; None: it must be run.

        A subclass that overrides this decides for each task, and calls this where it has nothing to say.
        """
        return AS_USUAL

    def checkpoint(self) -> str:
        """Write what is new now; see `cnflow.DataFlowKernel.checkpoint`.

        Raises:
            NoDataFlowKernelError: no run was loaded with it.
        """
        if self.dfk is None:
            raise NoDataFlowKernelError("checkpoint() needs a run that was loaded with this memoizer.")
        return self.dfk.checkpoint()

    def settings(self) -> dict[str, Any]:
        """The fields of `cnflow.Config` that say the same."""
        return {}


class BasicMemoizer(Memoizer):
    """Which results are reused and when they are written; parameters as the fields of `cnflow.Config`.

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
