"""Shows a run on the terminal until it ends: `cnflow top`.

::

    every PERIOD ──RunSource.overview──> picture ──> the screen     q or Ctrl-C ends it; the run goes on
    no terminal, or --once ────────────> picture, once
"""

from __future__ import annotations

import contextlib
import select
import sys
import time
from typing import TYPE_CHECKING

from rich.live import Live

from cnflow.cli.runs.top_view import FINAL, Rates, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from cnflow.cli.runs.source import Overview, RunSource

_QUIT = {"q", "Q", "\x1b", "\x03", "\x04"}


def show_once(source: RunSource, console: Console) -> None:
    """Print the run as it is."""
    overview = source.overview()
    console.print(picture(overview, Rates(), now=time.time()))


def show_live(source: RunSource, console: Console, period: float) -> None:
    """Show the run, again every *period* seconds, until it ends or the user wants no more.

    The last picture stays on the screen.
    """
    rates = Rates()
    overview = _look(source, rates)
    with contextlib.suppress(KeyboardInterrupt), _keys() as pressed, Live(console=console, screen=True) as live:
        while True:
            live.update(picture(overview, rates, now=time.time(), height=console.height), refresh=True)
            if overview.state != "running" or pressed(period) in _QUIT:
                break
            overview = _look(source, rates)
    console.print(picture(overview, rates, now=time.time(), height=console.height))


def _look(source: RunSource, rates: Rates) -> Overview:
    overview = source.overview()
    rates.add(time.monotonic(), sum(overview.states.get(state, 0) for state in FINAL))
    return overview


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits for a key at most some seconds and returns it; "" without one."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _key(seconds: float) -> str:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.read(1) if ready else ""
