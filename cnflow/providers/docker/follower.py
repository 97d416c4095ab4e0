"""Follows a container from a thread: copies its output to the block's log file, and keeps its exit code.

::

    Attached.output() ──chunks──> log file        while the container runs
    Attached.exit_code() ───────> exit_code       once the engine has removed it; then `wait` returns True
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from cnflow.log_rotation import RotatedFile

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.providers.docker.client import Attached


class Follower:
    """One container that is followed.

    Args:
        attached: to the container; closed by this thread.
        log_file: file that the output is appended to.
        limit: bytes of the file and its older part; 0 is no limit.
        memory_limit: of the container, as the user wrote it; None without a limit.
    """

    def __init__(
        self, attached: Attached, log_file: Path, limit: int = 0, memory_limit: str | int | None = None
    ) -> None:
        self._limit = limit
        self.log_file = log_file
        self.memory_limit = memory_limit
        self.exit_code: int | None = None
        self._attached = attached
        self._thread = threading.Thread(target=self._follow, name=f"follow {log_file.name}", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Return True once output and exit code are complete; False if that takes longer than *timeout* seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop following; the container runs on."""
        if self._thread.is_alive():
            self._attached.interrupt()
            self.wait(1.0)

    def _follow(self) -> None:
        try:
            with self.log_file.open("ab", buffering=0) as log:
                rotated = RotatedFile(log.fileno(), self._limit, str(self.log_file))
                for chunk in self._attached.output():
                    with contextlib.suppress(OSError):  # a full disk loses the log, not the exit code
                        log.write(chunk)
                        rotated.on_written(len(chunk))
            self.exit_code = self._attached.exit_code()
        finally:
            self._attached.close()
