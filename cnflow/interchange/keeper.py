"""First process of a pod whose interchange is started by relays: waits, and collects processes that lost their parent.

::

    kubelet ── starts ──> keeper: a line in the pod's log     API server ── exec ──> relay ── starts ──> interchange
                            ├── SIGTERM: a drain, the end of the run ──> ends, and with it the whole pod
                            └── nothing has run beside it for IDLE s ──> ends

A drained pod takes its interchange with it at once, without an order to the managers: they keep their tasks, and find
the next interchange at the same address. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

_LOOK_PERIOD = 2.0


def keep(idle: float) -> int:
    """Wait until nothing has run here for *idle* seconds; return the exit code of the process."""
    signal.signal(signal.SIGTERM, _end)
    _report("this pod waits for an interchange")
    over_at = time.monotonic() + idle
    while time.monotonic() < over_at:
        time.sleep(_LOOK_PERIOD)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if _has_neighbours():
            over_at = time.monotonic() + idle
    _report(f"no interchange has run here for {idle:.0f} s")
    return 0


def _end(number: int, _: object) -> NoReturn:
    _report("ended by SIGTERM")
    os._exit(128 + number)


def _report(words: str) -> None:
    """Write a line to the pod's log."""
    os.write(sys.stderr.fileno(), f"cnflow: {words}\n".encode())


def _has_neighbours() -> bool:
    """Return whether the container has another process than this one."""
    own = str(os.getpid())
    return any(entry.name.isdigit() and entry.name != own for entry in Path("/proc").iterdir())


if __name__ == "__main__":
    sys.exit(keep(float(sys.argv[1])))
