"""Memory of commands: the most that the last one had at once, which the kernel reports when it is waited for.

A command's peak is that of one of its processes. The kernel's sum for all that a worker has waited for
(``RUSAGE_CHILDREN``) has no peak per command, only the highest of all so far.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2)


class CommandPeak:
    """Measures commands while it is on.

    Attributes:
        is_on: the run wants to know.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._bytes = 0

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for *process* as `subprocess.Popen.wait` does, and note its peak."""
        if not self.is_on or process.returncode is not None:
            return process.wait()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except ChildProcessError:
            return process.wait()
        process.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        self._bytes = max(self._bytes, usage.ru_maxrss * _UNIT)
        return process.returncode

    def take(self) -> int:
        """Return the peak in bytes since the last call; 0 if no command has ended."""
        peak, self._bytes = self._bytes, 0
        return peak


commands = CommandPeak()
