"""Shows the progress of each run that a script loads: one line at the end of a terminal, plain lines elsewhere.

::

    watch_runs ──cnflow.load──> on_load ──> LiveLine or PlainLines, refreshed from snapshots of the run
                                   │
                                   └── cleanup of the run, the next load, an exception of the script,
                                       or the exit of the interpreter ──> stop: the last line stays
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console
from rich.live import Live

from cnflow.cli.progress import Snapshot, live_line, plain_line, state_text
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.text import Text

    from cnflow.budget.spending import SpendingReport
    from cnflow.model.status import ExecutorStatus, StagingTotals
    from cnflow.model.task import TaskState

PLAIN_PERIOD = Seconds(2.0)
"""Between two plain lines, which a user reads afterwards in a log."""

LIVE_REFRESHES_PER_SECOND = 4


class Run(Protocol):
    """A loaded run, as the display needs it; the DataFlowKernel implements it."""

    def task_counts(self) -> Mapping[TaskState, int]:
        """Number of tasks by state; called from any thread."""

    def executor_status(self) -> list[ExecutorStatus]:
        """Snapshot of each executor; called from any thread."""

    def staging_totals(self) -> StagingTotals:
        """Files that are on their way; called from any thread."""

    def spending(self) -> SpendingReport | None:
        """What blocks have cost; called from any thread."""

    def on_cleanup(self, callback: Callable[[], None]) -> None:
        """Call *callback* at the end of the run."""


class Display(Protocol):
    """Display of the progress of one run."""

    def stop(self) -> None:
        """Show the last state and release the screen. May be called twice."""


class Watch:
    """Shows each run that is loaded in this process, with a new display for each."""

    def __init__(self) -> None:
        self._display: Display | None = None

    def watch_runs(self) -> None:
        """Show each run from now on, until the interpreter exits."""
        from cnflow import dataflow, progress_bar

        progress_bar.leave_to_command()
        atexit.register(self.stop)
        dataflow.on_load(self.on_load)

    def on_load(self, run: Run) -> None:
        """Show *run* until its cleanup."""
        self.stop()
        self._display = display_for(_snapshots_of(run))
        run.on_cleanup(self.stop)

    def stop(self) -> None:
        """Stop the display, if there is one."""
        display, self._display = self._display, None
        if display:
            display.stop()


def display_for(snapshot: Callable[[], Snapshot]) -> Display:
    """Start the display that fits this process's stderr."""
    console = Console(stderr=True)
    return LiveLine(snapshot, console) if console.is_terminal else PlainLines(snapshot, sys.stderr)


def _snapshots_of(run: Run) -> Callable[[], Snapshot]:
    began = time.monotonic()

    def snapshot() -> Snapshot:
        elapsed, spending = Seconds(time.monotonic() - began), run.spending()
        words = "" if spending is None else spending.line
        return Snapshot(run.task_counts(), run.executor_status(), elapsed, run.staging_totals(), words)

    return snapshot


class LiveLine:
    """Display in the last line of a terminal; output of the script scrolls above it."""

    def __init__(self, snapshot: Callable[[], Snapshot], console: Console) -> None:
        self._snapshot = snapshot
        self._ended = False
        self._live = Live(
            console=console,
            get_renderable=self._line,
            refresh_per_second=LIVE_REFRESHES_PER_SECOND,
            redirect_stdout=sys.stdout.isatty(),  # output of the script to a file or pipe is not changed
        )
        self._live.start()

    def stop(self) -> None:
        """Leave the last state as a normal line."""
        self._ended = True
        self._live.stop()

    def _line(self) -> Text:
        return live_line(self._snapshot(), ended=self._ended)


class PlainLines:
    """Display in plain lines: one after each change, at most one per `PLAIN_PERIOD`, and one at the end."""

    def __init__(self, snapshot: Callable[[], Snapshot], stream: TextIO, period: Seconds = PLAIN_PERIOD) -> None:
        self._snapshot = snapshot
        self._stream = stream
        self._period = period
        self._printed = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print_changes, name="cnflow-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Print the last state, once."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._print(plain_line(self._snapshot(), ended=True))

    def _print_changes(self) -> None:
        while not self._ended.wait(self._period):
            snapshot = self._snapshot()
            if (text := state_text(snapshot)) != self._printed:
                self._printed = text
                self._print(plain_line(snapshot))

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
