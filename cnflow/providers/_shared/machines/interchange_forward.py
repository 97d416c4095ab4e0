"""Port of this machine's loopback that leads to the interchange's machine, for blocks on the driver's own machine.

::

    free_port ──> the same port here and there, since managers know one for all addresses
    Forward.lead(argv) ──> thread: ssh -N ── ends ──> again after some seconds, until `close`
"""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

_PAUSE = 3.0
_MOST_PORTS = 300


def free_port(first: int, last: int) -> int:
    """Return the first port of the loopback that is free, from *first* to *last*; *first* if there is none."""
    for port in range(first, min(last, first + _MOST_PORTS) + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return first


class Forward:
    """Keeps one ssh with a forwarded port. Safe from any thread."""

    def __init__(self) -> None:
        self._is_closed = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._argv: Sequence[str] = ()
        self._thread: threading.Thread | None = None

    def lead(self, argv: Sequence[str]) -> None:
        """Run *argv*, in place of what ran before, and again whenever it ends."""
        with self._lock:
            self._argv = argv
            self._stop()
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="cnflow-interchange-port", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End it."""
        self._is_closed.set()
        with self._lock:
            self._stop()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _keep(self) -> None:
        while not self._is_closed.is_set():
            with self._lock:
                process = self._process = self._start()
            words = process.communicate()[1] if process is not None else b""
            if words.strip() and not self._is_closed.is_set():
                logger.warning(
                    "the port of the interchange's machine is led here again: %s",
                    words.decode(errors="replace").strip(),
                )
            self._is_closed.wait(_PAUSE)

    def _start(self) -> subprocess.Popen[bytes] | None:
        if self._is_closed.is_set():
            return None
        try:
            return subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except OSError as error:
            logger.warning("%s cannot be started: %s", self._argv[0], error)
            return None

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
