"""`cnflow.progress`: draws the progress of futures until they are done, on a terminal, in a notebook or as plain lines.

::

    futures ──done callbacks──> Tally ──wake──> loop of the caller's thread ──at most 10 times a second──> Drawing
                                                                                 │
           a notebook: one display that is updated <──┬── a terminal: one line, rewritten ──┴── else: lines, every 2 s

Reading a failure here does not count as the user's: what nobody asked about is reported at the end of the run.
"""

from __future__ import annotations

import html
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO, TypeVar

from cnflow.dataflow import loaded_run
from cnflow.dataflow.futures.app_future import failure_in, title_of_future
from cnflow.dataflow.html_tables import COLOURS
from cnflow.model.status import StagingTotals
from cnflow.text import amount_of_memory, brief_duration, describe_safely, duration, in_a_sentence
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

F = TypeVar("F", bound="Future[Any]")

_DRAW_AFTER = 0.1
"""Seconds between two drawings on a screen, at least."""

_TICK = 1.0
"""Seconds after which the time is drawn anew where nothing else changes."""

_LINE_AFTER = 2.0
"""Seconds between two plain lines, which a user reads afterwards in a log."""

_BAR = 24
"""Characters."""

_ESTIMATE_FROM = 2.0
"""Seconds after which the time left is estimated."""

_LONGEST_ERROR = 300
"""Characters."""

_drawn_elsewhere = threading.Event()


def progress(futures: Iterable[F] | None = None, *, file: TextIO | None = None) -> list[F]:
    """Draw the progress of *futures* until all are done, failed or cancelled, and return them in their order.

    On a terminal it is one line that is rewritten, in a notebook one output that is updated, and elsewhere a plain line
    every two seconds while something changes. It raises nothing for a task that failed: the last line counts failures
    and names the first. Ctrl-C ends the waiting alone; the tasks go on. Under ``cnflow run``, which shows the whole run
    itself, it only waits.

    Args:
        futures: of any kind; None takes all unfinished tasks of the loaded run.
        file: stream to draw on in place of stderr; not used in a notebook.

    Raises:
        NoDataFlowKernelError: *futures* is None and nothing is loaded.
    """
    if futures is None:
        records = loaded_run.require("progress()").tasks
        watched: list[Any] = [records[task].future for task in records]
    else:
        watched = list(futures)
    tally = Tally(watched)
    if _drawn_elsewhere.is_set() and file is None:
        tally.wait_for_all()
    else:
        _draw_until_done(tally, drawing_for(file))
    return watched


def leave_to_command() -> None:
    """Draw nothing from now on: ``cnflow run`` shows the run in the same place."""
    _drawn_elsewhere.set()


class Counts(NamedTuple):
    """Futures at one time."""

    total: int
    done: int = 0
    """Those with a result."""

    failed: int = 0
    cancelled: int = 0
    elapsed: Seconds = Seconds(0.0)
    first_error: str = ""
    """Task and error of the first that failed."""

    staging: StagingTotals = StagingTotals()
    """Files of the run that are on their way."""

    @property
    def settled(self) -> int:
        """Those with any outcome."""
        return self.done + self.failed + self.cancelled

    @property
    def is_over(self) -> bool:
        """True once all are settled."""
        return self.settled == self.total


class Tally:
    """Counts outcomes of futures as they come, without a look at those that are unfinished.

    Args:
        futures: to count; their callbacks call this object from any thread.
        clock: monotonic, in seconds.
    """

    def __init__(self, futures: list[Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._changed = threading.Condition()
        self._total = len(futures)
        self._done = self._failed = self._cancelled = 0
        self._first_error = ""
        for future in futures:
            future.add_done_callback(self._on_done)

    def counts(self) -> Counts:
        """Return the counts of now."""
        with self._changed:
            outcomes = self._done, self._failed, self._cancelled
            elapsed = Seconds(self._clock() - self._began)
            return Counts(self._total, *outcomes, elapsed, self._first_error, _files_on_their_way())

    def wait_for_change(self, settled: int, timeout: float) -> None:
        """Return when more than *settled* futures are settled, at the latest after *timeout* seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._settled != settled, timeout)

    def wait_for_all(self, timeout: float | None = None) -> None:
        """Return when all futures are settled, at the latest after *timeout* seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._settled == self._total, timeout)

    @property
    def _settled(self) -> int:
        return self._done + self._failed + self._cancelled

    def _on_done(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else failure_in(future)
        text = "" if error is None or self._first_error else _in_one_line(future, error)
        with self._changed:
            if future.cancelled():
                self._cancelled += 1
            elif error is None:
                self._done += 1
            else:
                self._failed += 1
                self._first_error = self._first_error or text
            self._changed.notify_all()


def _in_one_line(future: Future[Any], error: BaseException) -> str:
    text = f"{title_of_future(future)}: {describe_safely(error)}"
    return "".join(mark if mark.isprintable() else " " for mark in " ".join(text.split()))[:_LONGEST_ERROR]


class Drawing(Protocol):
    """Place that shows counts."""

    @property
    def period(self) -> float:
        """Seconds between two drawings, at least."""

    def show(self, counts: Counts) -> None:
        """Show *counts* in place of the last ones."""

    def end(self) -> None:
        """Leave the last ones as they are."""


def _draw_until_done(tally: Tally, drawing: Drawing) -> None:
    try:
        counts = tally.counts()
        drawing.show(counts)
        while not counts.is_over:
            tally.wait_for_change(counts.settled, _TICK)
            tally.wait_for_all(drawing.period)
            counts = tally.counts()
            drawing.show(counts)
    finally:
        drawing.end()


def drawing_for(file: TextIO | None) -> Drawing:
    """Return the drawing that fits: a notebook's output, a terminal's line, or plain lines."""
    display = None if file is not None else _notebook_display()
    if display is not None:
        return NotebookOutput(display)
    stream = sys.stderr if file is None else file
    return TerminalLine(stream) if stream.isatty() else PlainLines(stream)


def _notebook_display() -> Callable[..., Any] | None:
    """Return IPython's ``display`` in a Jupyter kernel; None elsewhere, also in IPython on a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display  # noqa: PLC0415 - of the kernel that runs

    show: Callable[..., Any] = display
    return show


class TerminalLine:
    """One line of a terminal, cut at its width, that is rewritten."""

    period = _DRAW_AFTER

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._marks = "█░" if _can_write("█░", stream) else "#."
        self._last = ""

    def show(self, counts: Counts) -> None:
        """Rewrite the line."""
        width = shutil.get_terminal_size().columns - 1  # in the last column, some terminals go on to the next line
        line = f"{bar_of(counts, self._marks)}  {line_of(counts)}"
        self._write(f"\r{line[:width]}\x1b[K")
        self._last = error_of(counts)

    def end(self) -> None:
        """Go to the next line, and name the first error there."""
        self._write(f"\n{self._last}\n" if self._last else "\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class PlainLines:
    """A line after a change, for logs and pipes."""

    period = _LINE_AFTER

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._settled = 0

    def show(self, counts: Counts) -> None:
        """Print a line, unless nothing has changed."""
        if counts.is_over or counts.settled != self._settled:
            self._settled = counts.settled
            lines = [f"cnflow: {line}" for line in (line_of(counts), error_of(counts)) if line]
            print("\n".join(lines), file=self._stream, flush=True)

    def end(self) -> None:
        """Leave all as it is."""


class NotebookOutput:
    """An output of a cell that is updated.

    Args:
        display: IPython's function.
    """

    period = _DRAW_AFTER

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def show(self, counts: Counts) -> None:
        """Update the output."""
        if self._handle is None:
            self._handle = self._display(_Shown(counts), display_id=True)
        else:
            self._handle.update(_Shown(counts))

    def end(self) -> None:
        """Leave all as it is."""


class _Shown(NamedTuple):
    """Counts in the formats that a notebook asks for."""

    counts: Counts

    def __repr__(self) -> str:
        return "\n".join(filter(None, (line_of(self.counts), error_of(self.counts))))

    def _repr_html_(self) -> str:
        return html_of(self.counts)


def line_of(counts: Counts) -> str:
    """``110 of 200 done, 3 failed, 8.0 s, about 7 s left``."""
    parts = [f"{counts.done} of {counts.total} done"]
    parts += [f"{number} {word}" for number, word in _misses(counts) if number]
    parts.append(brief_duration(counts.elapsed))
    left = seconds_left(counts)
    parts += [f"about {duration(left)} left"] if left is not None else []
    return ", ".join([*parts, *staging_parts(counts.staging)])


def staging_parts(totals: StagingTotals) -> list[str]:
    """``3 files on their way``, ``5 MB of them moved`` and ``1 MB a second``, as far as there is something."""
    if not totals.files:
        return []
    parts = [f"{totals.files} file{'' if totals.files == 1 else 's'} on their way"]
    parts += [f"{amount_of_memory(totals.size)} of them moved"] if totals.size else []
    return parts + ([f"{amount_of_memory(int(totals.rate))} a second"] if totals.rate else [])


def _files_on_their_way() -> StagingTotals:
    run = loaded_run.current()
    return StagingTotals() if run is None else run.staging_totals()


def error_of(counts: Counts) -> str:
    """``first failure: task 3 (sort): ValueError: ...`` once all are settled; empty before, and without a failure."""
    return f"first failure: {in_a_sentence(counts.first_error)}" if counts.is_over and counts.first_error else ""


def _misses(counts: Counts) -> list[tuple[int, str]]:
    return [(counts.failed, "failed"), (counts.cancelled, "cancelled")]


def seconds_left(counts: Counts) -> Seconds | None:
    """Time until all are settled at the rate so far; None while nothing can be estimated."""
    if not counts.settled or counts.is_over or counts.elapsed < _ESTIMATE_FROM:
        return None
    return Seconds(counts.elapsed / counts.settled * (counts.total - counts.settled))


def bar_of(counts: Counts, marks: str) -> str:
    """Bar of a fixed width with a percentage; *marks* are its full and its empty character."""
    share = counts.settled / counts.total if counts.total else 1.0
    full = int(share * _BAR)
    return f"{marks[0] * full}{marks[1] * (_BAR - full)} {int(share * 100):3d} %"


def html_of(counts: Counts) -> str:
    """Bar with a part for each outcome, and the line below it."""
    parts = (("done", counts.done), ("failed", counts.failed), ("cancelled", counts.cancelled))
    bars = "".join(
        f'<div style="width:{100 * number / counts.total:.1f}%;background:{COLOURS[state]}"></div>'
        for state, number in parts
        if number
    )
    return (
        '<div style="display:flex;max-width:32em;height:0.7em;background:#8883;border-radius:3px;overflow:hidden">'
        f'{bars}</div><div style="font-size:0.9em">{html.escape(line_of(counts))}</div>'
        f'<div style="font-size:0.9em;color:{COLOURS["failed"]}">{html.escape(error_of(counts))}</div>'
    )


def _can_write(text: str, stream: TextIO) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
