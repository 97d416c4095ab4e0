"""Shows the progress of each run that a script loads: one line that stays on a terminal, plain lines elsewhere."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console
from rich.live import Live

from cnflow.cli.progress import Moment, live_line, news, plain_line
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.text import Text

    from cnflow.model.status import ExecutorStatus
    from cnflow.model.task import TaskState

PLAIN_PERIOD = Seconds(2.0)
"""At most one plain line in this time: a log that a person reads afterwards."""

LIVE_REFRESHES_PER_SECOND = 4


class Run(Protocol):
    """What is asked of a loaded run; the DataFlowKernel offers it."""

    def task_counts(self) -> Mapping[TaskState, int]:
        """Tasks by state, from any thread."""

    def executor_status(self) -> list[ExecutorStatus]:
        """A moment of each executor, from any thread."""

    def on_cleanup(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the run has ended."""


class Display(Protocol):
    """One run's progress on the screen."""

    def stop(self) -> None:
        """Show the last state and let go of the screen. Can be called twice."""


class Watch:
    """Shows every run that is loaded in this process, each with a display of its own, one after the other."""

    def __init__(self) -> None:
        self._display: Display | None = None

    def every_run(self) -> None:
        """Begin with the next `cnflow.load`; end at the latest when the interpreter does."""
        from cnflow import dataflow  # noqa: PLC0415 - the display can be tried without a kernel

        atexit.register(self.stop)
        dataflow.on_load(self.begin)

    def begin(self, run: Run) -> None:
        """Show *run* until its cleanup."""
        self.stop()
        self._display = display_for(_moments(run))
        run.on_cleanup(self.stop)

    def stop(self) -> None:
        """End the display, if there is one."""
        display, self._display = self._display, None
        if display:
            display.stop()


def display_for(moment: Callable[[], Moment]) -> Display:
    """The display that suits this process's stderr, started."""
    console = Console(stderr=True)
    return LiveLine(moment, console) if console.is_terminal else PlainLines(moment, sys.stderr)


def _moments(run: Run) -> Callable[[], Moment]:
    began = time.monotonic()
    return lambda: Moment(run.task_counts(), run.executor_status(), Seconds(time.monotonic() - began))


class LiveLine:
    """The last line of a terminal; what the script prints scrolls above it."""

    def __init__(self, moment: Callable[[], Moment], console: Console) -> None:
        self._moment = moment
        self._ended = False
        self._live = Live(
            console=console,
            get_renderable=self._line,
            refresh_per_second=LIVE_REFRESHES_PER_SECOND,
            redirect_stdout=sys.stdout.isatty(),  # a script's output that goes to a file or a pipe is left alone
        )
        self._live.start()

    def stop(self) -> None:
        """Leave the last state as an ordinary line."""
        self._ended = True
        self._live.stop()

    def _line(self) -> Text:
        return live_line(self._moment(), ended=self._ended)


class PlainLines:
    """A line whenever something changed, at most one each `PLAIN_PERIOD`, and one at the end."""

    def __init__(self, moment: Callable[[], Moment], stream: TextIO, period: Seconds = PLAIN_PERIOD) -> None:
        self._moment = moment
        self._stream = stream
        self._period = period
        self._told = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell_changes, name="cnflow-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Print the last state, once."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._print(plain_line(self._moment(), ended=True))

    def _tell_changes(self) -> None:
        while not self._ended.wait(self._period):
            moment = self._moment()
            if (changed := news(moment)) != self._told:
                self._told = changed
                self._print(plain_line(moment))

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
