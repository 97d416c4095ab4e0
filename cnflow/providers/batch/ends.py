"""Statuses in which jobs end, as all dialects report them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.providers._shared.exit_status import status_of_exit

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEANING: Mapping[EndCause, str] = {
    EndCause.WALLTIME: "it ran out of its walltime",
    EndCause.PREEMPTED: "its nodes were taken for another job",
    EndCause.OOM: "it used more memory than it asked for",
    EndCause.NODE: "a node of it failed",
    EndCause.USER: "it was cancelled",
}


def end_status(words: str, *, cause: EndCause | None = None, exit_code: int | None = None) -> BlockStatus:
    """Return the status of a job that ended.

    Args:
        words: of the scheduler about the end, such as ``Slurm: TIMEOUT``; empty if it has none.
        cause: of the end; None derives it from the exit code, and is no failure where that is 0.
        exit_code: of the job; above 128 is a signal; None if it is not known.
    """
    if cause is None and exit_code == 0:
        return BlockStatus(BlockState.ENDED, exit_code=0)
    meaning = _MEANING.get(cause) if cause is not None else None
    if exit_code and meaning is None:
        return status_of_exit(exit_code, None, words, cause)
    message = ": ".join(filter(None, [words, meaning])) or "It ended"
    return BlockStatus(BlockState.FAILED, f"{message}.", cause or EndCause.OTHER, exit_code)
