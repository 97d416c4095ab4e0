"""Sink that records a run in a database: appends its events to a journal, and keeps the process that writes it alive.

::

    write(events) ──> RUN_DIR/monitoring.journal ──> writer process ──> database
        │ disk full: kept, and written with the next ones; samples are dropped beyond `KEPT`
        └ the writer is gone: another one is started, after a growing wait
    close ──> the writer has written all and ends: waits for that, `writer_timeout` at most; it goes on by itself
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from cnflow.model.events import DroppedEvents, RunEvent, samples_in
from cnflow.monitoring.store.endpoint import check, endpoint_of
from cnflow.monitoring.store.journal import Journal, encode
from cnflow.monitoring.store.order import LOG, NAME, Order, new_journal
from cnflow.monitoring.store.processes import start_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnflow.config.monitoring import MonitoringHub
    from cnflow.model.events import AnyEvent

logger = logging.getLogger(__name__)

KEPT = 64 * 2**20
"""Bytes that cannot be written to the journal and are kept; beyond them samples are dropped and counted."""

_LONGEST_WAIT = 30.0
_NICE_FOR = 1.0
"""Seconds after the end of a run in which its nice writer may finish."""


class DatabaseSink:
    """Live half of `cnflow.config.MonitoringHub`; see `cnflow.interfaces.Sink`.

    Args:
        settings: made by the user.
        run_dir: folder of the run.

    Raises:
        ConfigurationError: the database cannot be used.
        MissingExtraError: packages are not installed.
    """

    takes_batches = True
    close_timeout: float
    """Seconds that `close` may take."""

    def __init__(self, settings: MonitoringHub, run_dir: Path) -> None:
        self.url = endpoint_of(settings, run_dir.parent)
        check(self.url)
        self._settings = settings
        self._run_dir = run_dir
        self._journal: Journal | None = None
        self._run = run_dir.name
        self._kept: list[bytes] = []
        self._dropped = 0
        self._is_failing = False
        self.close_timeout = settings.writer_timeout + 5.0
        self.writer = WriterProcess(run_dir, self.url, is_debugging=settings.monitoring_debug)
        """The process that writes the database."""

    def write(self, events: Sequence[AnyEvent]) -> None:
        """Append *events* to the journal; what a full disk refuses is kept."""
        self._run = next((each.run for each in events if isinstance(each, RunEvent)), self._run)
        self._keep(list(events))
        self._flush()
        if self._journal is not None:
            self.writer.keep_alive()

    def close(self) -> None:
        """Wait until all is in the database, for a bounded time."""
        deadline = time.monotonic() + self._settings.writer_timeout
        self._flush()
        while self._kept and time.monotonic() < deadline:
            time.sleep(0.2)
            self._flush()
        if self._kept:
            logger.error("monitoring lost %d parts of the journal, which could not be written", len(self._kept))
        if self._journal is None:
            return
        self._journal.close()
        self.writer.wait(deadline)

    def _keep(self, events: list[AnyEvent]) -> None:
        if sum(map(len, self._kept)) > KEPT:
            self._dropped += sum(map(samples_in, events))
            events = [each for each in events if not samples_in(each)]
        elif self._dropped:
            events.append(DroppedEvents(time=time.time(), count=self._dropped, source="driver"))
            self._dropped = 0
        self._kept.append(encode(events))

    def _flush(self) -> None:
        try:
            if self._journal is None:
                path = new_journal(self._run_dir)
                self._journal = Journal(path, self._run)
                self.writer.set_journal(path, self._journal.id)
            while self._kept:
                self._journal.append(self._kept[0])
                self._kept.pop(0)
        except OSError as error:
            if not self._is_failing:
                logger.warning("the journal of monitoring cannot be written, its events are kept in memory: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False


class WriterProcess:
    """The writer of one run, started again whenever it ends before its time.

    Args:
        run_dir: folder of the run.
        url: of the database.
        is_debugging: it logs all that it does.
    """

    def __init__(self, run_dir: Path, url: str, *, is_debugging: bool) -> None:
        self._run_dir = run_dir
        self._order = Order(url=url, driver=os.getpid(), started=start_of(os.getpid()), debug=is_debugging)
        self._journal = run_dir / NAME
        self._process: subprocess.Popen[bytes] | None = None
        self._wait = 0.5
        self._next = 0.0

    @property
    def pid(self) -> int | None:
        """Id of the process; None before the first event."""
        return None if self._process is None else self._process.pid

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def set_journal(self, path: Path, journal: str) -> None:
        """Have it write the journal at *path*, whose id is *journal*."""
        self._journal, self._order.journal = path, journal

    def keep_alive(self) -> None:
        """Start the process, unless it runs, or ended a moment ago, or is done."""
        process = self._process
        code = None if process is None else process.poll()
        if (process is not None and code in {None, 0}) or time.monotonic() < self._next:
            return
        if process is not None:
            logger.warning("the writer of monitoring ended with %s; another one goes on where it was", code)
        try:
            self._start()
        except OSError as error:  # no more processes, or no room for its log
            logger.warning("the writer of monitoring cannot be started now, its events are in the journal: %s", error)
        self._next = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def wait(self, deadline: float) -> None:
        """Wait for the end of the process, until *deadline*, of the monotonic clock."""
        self._next = 0.0
        patience = time.monotonic() + _NICE_FOR
        while (now := time.monotonic()) < deadline:
            self.keep_alive()
            if self._process is not None and self._process.poll() == 0:
                return
            if now > patience and not self._order.is_urgent:
                self._hurry()
            time.sleep(0.05)
        self.keep_alive()
        if self.is_alive():
            logger.warning(
                "monitoring is not complete yet: %s of the run's journal is left to write. Process %s goes on by "
                "itself; its log is %s",
                _size_of(self._journal),
                self.pid,
                self._run_dir / LOG,
            )
            assert self._process is not None
            self._process.returncode = 0  # for Popen, which warns of children that are left

    def _hurry(self) -> None:
        """Put a writer in the place of the one that is nice, which no process can take back."""
        self._order.is_urgent = True
        if self._process is not None:
            self._process.kill()
            if self._process.wait() == 0:
                return  # it was done
        self._process, self._next = None, 0.0
        self.keep_alive()

    def _start(self) -> None:
        command = [sys.executable, "-m", "cnflow.monitoring.store.writer", str(self._run_dir)]
        with (self._run_dir / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=_environment()
            )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as stdin:
            stdin.write(msgspec.json.encode(self._order) + b"\n")


def _environment() -> dict[str, str]:
    """Return the environment of the driver, with its search path: cnflow may lie where only the driver looks."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}


def _size_of(path: Path) -> str:
    try:
        return f"{path.stat().st_size / 1e6:.1f} MB"
    except OSError:
        return "nothing"
