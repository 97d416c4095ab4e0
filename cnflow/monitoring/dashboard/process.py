"""Dashboard of a live run: a process beside the driver, which ends with it.

::

    driver ──settings, a line of JSON, to stdin──> python -m cnflow.monitoring.dashboard ──> browser
           <──────────── its address, on stdout ───────────┘        │
           ──end of stdin: the run is over, or the driver was killed┘

The driver imports nothing of a web server. A dashboard that cannot start is a warning: the run goes on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config.dashboard import Dashboard

logger = logging.getLogger(__name__)

ADDRESS_FILE = "dashboard.url"
"""File in the run's folder with the address and its token; only the user can read it."""

LOG_FILE = "dashboard.log"

_CLOSE_TIMEOUT = 3.0


class DashboardProcess:
    """Process that shows one run.

    Args:
        settings: of the user.
        url: of the database.
        run_dir: folder of the run.
        announce: is called with the address, once, from a thread.
    """

    def __init__(
        self, settings: Dashboard, url: str, run_dir: Path, announce: Callable[[str], object] | None = None
    ) -> None:
        self._settings = settings
        self._url = url
        self._run_dir = Path(run_dir)
        self._announce = announce or (lambda address: print_address(address, self._run_dir / ADDRESS_FILE))
        self._process: subprocess.Popen[str] | None = None
        self.address = ""
        """With the token; empty until the process listens."""

    def start(self) -> None:
        """Start the process; returns at once."""
        order = {
            "url": self._url,
            "listen": self._settings.listen,
            "port": self._settings.port,
            "hosts": list(self._settings.host_names),
            "token": secrets.token_urlsafe(24) if self._settings.token is None else self._settings.token,
            "can_act": not self._settings.read_only,
        }
        try:
            with (self._run_dir / LOG_FILE).open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "cnflow.monitoring.dashboard", "--of-run"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # Ctrl-C is the driver's
                )
            stdin = self._process.stdin
            assert stdin is not None
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
        except OSError as error:
            logger.warning("the dashboard cannot start: %s", error)
            return
        threading.Thread(target=self._read_answer, name="cnflow-dashboard", daemon=True).start()

    def close(self) -> None:
        """End the process. Can be called twice, and on one that was not started."""
        process = self._process
        if process is None:
            return
        self._process = None
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            (self._run_dir / ADDRESS_FILE).unlink()

    def _read_answer(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        with process.stdout as lines:
            answer = _parsed(lines.readline())
            if "address" not in answer:
                words = answer.get("error", f"see {self._run_dir / LOG_FILE}")
                logger.warning("the dashboard cannot start: %s", words)
                return
            self.address = str(answer["address"])
            self._write_address()
            logger.info("the dashboard of this run is at %s", self.address.partition("?")[0])
            self._announce(self.address)
            has_reason = False
            for line in lines:
                has_reason = True
                logger.warning("the dashboard has ended: %s", _parsed(line).get("error", line.strip()))
            if not has_reason and self._process is process:  # else it is ended with the run
                logger.warning("the dashboard has ended by itself; see %s", self._run_dir / LOG_FILE)

    def _write_address(self) -> None:
        with contextlib.suppress(OSError):
            place = self._run_dir / ADDRESS_FILE
            place.touch(mode=0o600)
            place.write_text(self.address + "\n", encoding="utf-8")


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def print_address(address: str, file: Path) -> None:
    """Print where the dashboard is, on stderr; in a log that others can read, with the *file* that has the token."""
    place, _, token = address.partition("?")
    words = f"{place} (its token is in {file})" if token and _others_read(sys.stderr) else address
    print(f"cnflow: the dashboard of this run: {words}", file=sys.stderr, flush=True)  # noqa: T201 - asked for


def _others_read(stream: object) -> bool:
    """Return whether *stream* is a file that other users can read, such as the output of a batch job."""
    try:
        mode = os.fstat(stream.fileno()).st_mode  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):  # none, or one of Python alone, as in a notebook
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
