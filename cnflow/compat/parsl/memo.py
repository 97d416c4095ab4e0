"""Parsl's memoizers, which are settings here: what is remembered is cnflow's own affair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Memoizer:
    """Base of what `Config(memoizer=...)` takes."""

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
