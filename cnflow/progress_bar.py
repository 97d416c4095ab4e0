"""`cnflow.progress`: draws the progress of futures until they are done, on a terminal, in a notebook or as plain lines.

::

    futures ──done callbacks──> Tally ──wake──> loop of the caller's thread ──at most 10 times a second──> Drawing
                                                                                 │
           a notebook: one display that is updated <──┬── a terminal: one line, rewritten ──┴── else: lines, every 2 s

Reading a failure here does not count as the user's: what nobody asked about is reported at the end of the run.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TextIO, TypeVar

from cnflow.dataflow import loaded_run
from cnflow.html_tables import COLOURS, escape
from cnflow.progress_tally import Tally, error_of, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from cnflow.progress_tally import AppCounts, Counts

F = TypeVar("F", bound="Future[Any]")

_DRAW_AFTER = 0.1
"""Seconds between two drawings on a screen, at least."""

_TICK = 1.0
"""Seconds after which the time is drawn anew where nothing else changes."""

_LINE_AFTER = 2.0
"""Seconds between two plain lines, which a user reads afterwards in a log."""

_BAR = 24
"""Characters."""

_APPS = 8
"""Apps that have a bar of their own in a notebook."""

_POINTS = 200
"""Points of the throughput's curve, at most."""

_CURVE_STEP = 0.5
"""Seconds between two points, at least."""

_CURVE_FROM = 3
"""Points from which on there is a curve."""

_CURVE = (200, 32)
"""Width and height in pixels."""

_drawn_elsewhere = threading.Event()


def progress(futures: Iterable[F] | None = None, *, file: TextIO | None = None, wait: bool = True) -> list[F]:
    """Draw the progress of *futures* until all are done, failed or cancelled, and return them in their order.

    On a terminal it is one line that is rewritten, in a notebook one output that is updated, and elsewhere a plain line
    every two seconds while something changes. It raises nothing for a task that failed: the last line counts failures
    and names the first. Ctrl-C ends the waiting alone; the tasks go on. Under ``cnflow run``, which shows the whole run
    itself, it only waits.

    Args:
        futures: of any kind; None takes all unfinished tasks of the loaded run.
        file: stream to draw on in place of stderr; not used in a notebook.
        wait: False returns at once, and a thread goes on drawing: a notebook's cell ends, and its output stays live.

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
        if wait:
            tally.wait_for_all()
    elif wait:
        _draw_until_done(tally, drawing_for(file))
    else:
        drawing = drawing_for(file)
        drawing.show(tally.counts())  # in the output of the cell that calls, which a thread does not know
        threading.Thread(target=_draw_until_done, args=(tally, drawing), name="cnflow-progress", daemon=True).start()
    return watched


def leave_to_command() -> None:
    """Draw nothing from now on: ``cnflow run`` shows the run in the same place."""
    _drawn_elsewhere.set()


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
    """An output of a cell that is updated: bar, apps, and the throughput so far.

    Args:
        display: IPython's function.
    """

    period = _DRAW_AFTER

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None
        self._history: list[tuple[float, int]] = []

    def show(self, counts: Counts) -> None:
        """Update the output."""
        self._history = extended(self._history, counts)
        shown = _Shown(counts, self._history)
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def end(self) -> None:
        """Leave all as it is."""


class _Shown(NamedTuple):
    """Counts in the formats that a notebook asks for."""

    counts: Counts
    history: Sequence[tuple[float, int]]

    def __repr__(self) -> str:
        return "\n".join(filter(None, (line_of(self.counts), error_of(self.counts))))

    def _repr_html_(self) -> str:
        return html_of(self.counts, self.history)


def bar_of(counts: Counts, marks: str) -> str:
    """Bar of a fixed width with a percentage; *marks* are its full and its empty character."""
    share = counts.settled / counts.total if counts.total else 1.0
    full = int(share * _BAR)
    return f"{marks[0] * full}{marks[1] * (_BAR - full)} {int(share * 100):3d} %"


def html_of(counts: Counts, history: Sequence[tuple[float, int]] = ()) -> str:
    """Bar with a part for each outcome, the line below it, the apps where there are several, and the throughput."""
    return (
        '<div style="max-width:32em">'
        f'{_html_bar(counts, "0.7em")}<div style="font-size:0.9em">{escape(line_of(counts))}</div>'
        f"{_html_apps(counts)}{_html_throughput(history)}"
        f'<div style="font-size:0.9em;color:{COLOURS["failed"]}">{escape(error_of(counts))}</div></div>'
    )


def _html_bar(counts: Counts | AppCounts, height: str) -> str:
    parts = (("done", counts.done), ("failed", counts.failed), ("cancelled", counts.cancelled))
    bars = "".join(
        f'<div style="width:{100 * number / counts.total:.1f}%;background:{COLOURS[state]}"></div>'
        for state, number in parts
        if number
    )
    return f'<div style="display:flex;height:{height};background:#8883;border-radius:3px;overflow:hidden">{bars}</div>'


def _html_apps(counts: Counts) -> str:
    """A bar for each of the `_APPS` largest apps; nothing for a single one, which is the whole."""
    if len(counts.apps) < 2:  # noqa: PLR2004 - one is the whole
        return ""
    largest = sorted(counts.apps.items(), key=lambda each: -each[1].total)[:_APPS]
    rows = "".join(
        f'<div style="overflow:hidden;text-overflow:ellipsis">{escape(name)}</div>{_html_bar(app, "0.5em")}'
        f'<div style="text-align:right">{app.done + app.failed + app.cancelled} of {app.total}</div>'
        for name, app in largest
    )
    more = len(counts.apps) - len(largest)
    rest = f"<div>and {more} more</div>" if more else ""
    grid = "display:grid;grid-template-columns:minmax(0,10em) 1fr auto;gap:0.1em 0.6em;align-items:center"
    return f'<div style="{grid};font-size:0.85em;font-variant-numeric:tabular-nums">{rows}{rest}</div>'


def _html_throughput(history: Sequence[tuple[float, int]]) -> str:
    """Tasks a second over time, as a curve of SVG with its highest and its last value."""
    rates = [
        (later, (number - earlier_number) / (later - earlier))
        for (earlier, earlier_number), (later, number) in itertools.pairwise(history)
        if later > earlier
    ]
    if len(rates) < _CURVE_FROM:
        return ""
    start, end = rates[0][0], rates[-1][0]
    top = max(rate for _, rate in rates) or 1.0
    points = " ".join(
        f"{_CURVE[0] * (time - start) / (end - start):.1f},{_CURVE[1] - (_CURVE[1] - 2) * rate / top:.1f}"
        for time, rate in rates
    )
    words = f"{rates[-1][1]:.3g} a second, at most {top:.3g}"
    return (
        f'<svg viewBox="0 0 {_CURVE[0]} {_CURVE[1]}" width="{_CURVE[0]}" height="{_CURVE[1]}" role="img" '
        f'aria-label="throughput: {words}" style="vertical-align:middle"><polyline points="{points}" fill="none" '
        f'stroke="{COLOURS["running"]}" stroke-width="1.5"/></svg> <span style="font-size:0.85em">{words}</span>'
    )


def extended(history: Sequence[tuple[float, int]], counts: Counts) -> list[tuple[float, int]]:
    """*history* with the number of *counts*, in at most `_POINTS` points; the last one moves until it is old enough."""
    is_early = len(history) > 1 and history[-1][0] - history[-2][0] < _CURVE_STEP
    points = [*(history[:-1] if is_early else history), (counts.elapsed, counts.settled)]
    return points if len(points) <= _POINTS else [*points[:-1:2], points[-1]]


def _can_write(text: str, stream: TextIO) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
