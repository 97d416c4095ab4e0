"""How a block that ended by itself is told of: its exit code in words, and the last lines that it printed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from cnflow.log_tail import tail
from cnflow.model.block import BlockState, BlockStatus

if TYPE_CHECKING:
    from pathlib import Path

# A shell and docker-init report a child that a signal killed as 128 + its number (bash(1), EXIT STATUS).
_SIGNALLED = 128


def ending(exit_code: int, log_file: Path | None, hint: str = "") -> BlockStatus:
    """The status of a block whose first process ended.

    Args:
        exit_code: negative, or above 128, is a signal.
        log_file: where it printed; None when that is not known.
        hint: what else a reader would like to know, added to the words on the exit code.
    """
    if exit_code == 0:
        return BlockStatus(BlockState.ENDED)
    how = exit_words(exit_code) + (f" ({hint})" if hint else "")
    said = tail(log_file) if log_file is not None else ""
    return BlockStatus(BlockState.FAILED, f"It {how}. The last lines of {log_file}:\n{said}" if said else f"It {how}.")


def exit_words(code: int) -> str:
    """``exited with code 3`` or ``was killed by signal 9 (SIGKILL)``."""
    number = -code if code < 0 else code - _SIGNALLED
    try:
        return f"was killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"exited with code {code}"
