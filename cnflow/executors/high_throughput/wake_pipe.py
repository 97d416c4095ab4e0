"""Pipe by which any thread ends the wait of the one that polls it."""

from __future__ import annotations

import contextlib
import os


class WakePipe:
    """The pipe; poll `descriptor` for reading."""

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe()

    def wake(self) -> None:
        """End the present or the next wait. Safe from any thread."""
        with contextlib.suppress(OSError):  # closed in this moment
            os.write(self._write, b"x")

    def clear(self) -> None:
        """Read what was written; the next wait lasts."""
        os.read(self.descriptor, 4096)

    def close(self) -> None:
        """Close both ends."""
        os.close(self.descriptor)
        os.close(self._write)
