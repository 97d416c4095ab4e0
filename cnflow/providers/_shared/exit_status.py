"""Status of a block that ended by itself, from its exit code and the last lines that it printed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from cnflow.log_tail import tail
from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.text import describe_exit

if TYPE_CHECKING:
    from pathlib import Path

# A shell and docker-init report a child that a signal killed as 128 + its number (bash(1), EXIT STATUS).
_SIGNALLED = 128


_BY_HAND = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP})


def status_of_exit(exit_code: int, log_file: Path | None, hint: str = "", cause: EndCause | None = None) -> BlockStatus:
    """Return the status of a block whose first process ended.

    Args:
        exit_code: negative, or above 128, is a signal.
        log_file: file that it printed to; None when that is not known.
        hint: further explanation for the user, put behind the exit code.
        cause: of the end, where the exit code alone does not show it.
    """
    if exit_code == 0:
        return BlockStatus(BlockState.ENDED, exit_code=0)
    how = describe_exit(exit_code) + (f" ({hint})" if hint else "")
    last = tail(log_file) if log_file is not None else ""
    message = f"It {how}. The last lines of {log_file}:\n{last}" if last else f"It {how}."
    return BlockStatus(BlockState.FAILED, message, cause or _cause_of(exit_code), exit_code)


def _cause_of(code: int) -> EndCause:
    return EndCause.USER if _signal_of(code) in _BY_HAND else EndCause.OTHER


def _signal_of(code: int) -> signal.Signals | None:
    try:
        return signal.Signals(-code if code < 0 else code - _SIGNALLED)
    except ValueError:
        return None
