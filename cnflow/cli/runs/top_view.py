"""Draws a run for `cnflow top`: an overview in, a picture of rich out. No I/O.

::

    run 007 digits   running   2 min 5 s            ██████████████░░░░░░  71 %   about 40 s left
    done 710  failed 3  launched 100  waiting 187   12.4 a second   ▁▂▅▇▇▆▇
    app     waiting launched done failed            block  state  nodes  workers  tasks  message
    causes of failures, and the first task of each
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cnflow.cli.runs.tables import printable
from cnflow.text import brief_duration, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from cnflow.cli.runs.source import Overview
    from cnflow.monitoring.queries.views import ErrorGroup

STYLES: Mapping[str, str] = {
    "done": "green",
    "failed": "bold red",
    "dependency_failed": "red",
    "cancelled": "yellow",
    "staging_out": "blue",
    "running": "cyan",
    "launched": "cyan",
    "staging_in": "blue",
    "waiting": "dim",
}
"""Style of each state, in the order of the line: ended, failed, still to come."""

FINAL = ("done", "failed", "dependency_failed", "cancelled")
_SHADES = "▁▂▃▄▅▆▇█"
_BAR = 40
_RATE_OVER = 10.0
"""Seconds of which the rate is the mean."""

_POINTS = 60
_ESTIMATE_FROM = 3.0
"""Seconds of a run after which its end is estimated."""

_LEAST_ROWS = 3
_SHORT = 12
"""Characters of a provider's id, as Docker shows them."""


class Rates:
    """Tasks a second, from counts at different times.

    Args:
        most: counts that are kept.
    """

    def __init__(self, most: int = 600) -> None:
        self._counts: deque[tuple[float, int]] = deque(maxlen=most)

    def add(self, now: float, settled: int) -> None:
        """Add the number of *settled* tasks at *now*, in seconds."""
        self._counts.append((now, settled))

    def rate(self) -> float | None:
        """Return tasks a second over the last seconds; None before there are two counts."""
        if len(self._counts) < 2:  # noqa: PLR2004 - a difference has two
            return None
        end, last = self._counts[-1]
        start, first = next(each for each in self._counts if end - each[0] <= _RATE_OVER)
        if start == end:
            start, first = self._counts[-2]
        return max(0.0, (last - first) / (end - start)) if end > start else None

    def history(self) -> list[float]:
        """Return the rates between the counts, oldest first."""
        pairs = zip(self._counts, list(self._counts)[1:], strict=False)
        return [max(0.0, (b - a) / (end - start)) for (start, a), (end, b) in pairs if end > start]


class Progress(NamedTuple):
    """Figures of the head."""

    total: int
    settled: int
    elapsed: float | None
    rate: float | None
    is_over: bool = False

    @property
    def left(self) -> float | None:
        """Seconds until all tasks that are known are final, at the rate of now; None where that cannot be told."""
        is_early = self.elapsed is not None and self.elapsed < _ESTIMATE_FROM
        if not self.rate or is_early or self.is_over or self.settled == self.total:
            return None
        return (self.total - self.settled) / self.rate


def progress_of(overview: Overview, rate: float | None, now: float) -> Progress:
    """Return the figures of *overview* at *now*, Unix time; of a run that has ended, the mean rate."""
    total = sum(overview.states.values())
    settled = sum(overview.states.get(state, 0) for state in FINAL)
    end = overview.ended if overview.ended is not None else now if overview.state == "running" else None
    elapsed = None if overview.began is None or end is None else max(0.0, end - overview.began)
    if overview.state != "running":
        rate = settled / elapsed if elapsed else None
    return Progress(total, settled, elapsed, rate, overview.state != "running")


def picture(overview: Overview, rates: Rates, *, now: float, height: int = 0) -> RenderableType:
    """Return the whole picture; *height* is the number of lines of the terminal, 0 for no limit."""
    progress = progress_of(overview, rates.rate(), now)
    history = [float(step.done + step.failed) for step in overview.steps] or rates.history()
    rows = _rows_for(height, overview)
    parts: list[RenderableType] = [_title(overview, progress), _bar(progress), _states(overview, progress, history)]
    if overview.apps:
        parts += [Text(), _apps(overview.apps, rows)]
    if overview.executors:
        parts += [Text(), _executors(overview)]
    if overview.models:
        parts += [Text(), _models(overview, rows)]
    if overview.blocks:
        parts += [Text(), _blocks(overview, rows)]
    if overview.errors:
        parts += [Text(), _errors(overview, rows)]
    return Group(*parts)


def _rows_for(height: int, overview: Overview) -> int:
    """Rows that each table may have, so that all are seen."""
    if not height:
        return 1_000
    tables = sum(map(bool, (overview.apps, overview.models, overview.blocks, overview.errors)))
    others = 4 + (len(overview.executors) + 2 if overview.executors else 0) + 3 * tables
    return max(_LEAST_ROWS, (height - others) // max(1, tables))


def _title(overview: Overview, progress: Progress) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("run ").append(printable(overview.folder), style="bold")
    line.append(f"  {printable(overview.name)}" if overview.name else "")
    line.append(f"  {overview.state}", style="red" if overview.state == "crashed" else "bold")
    line.append("" if progress.elapsed is None else f"  {duration(progress.elapsed)}")
    line.append(f"  spent {overview.spent}" if overview.spent else "")
    return line.append(f"  {overview.files_moving} files on their way" if overview.files_moving else "")


def _bar(progress: Progress) -> Text:
    share = progress.settled / progress.total if progress.total else 0.0
    full = int(share * _BAR)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("█" * full, style="green").append("░" * (_BAR - full), style="dim")
    line.append(f" {int(share * 100):3d} %  {progress.settled:,} of {progress.total:,} tasks")
    return line.append("" if progress.left is None else f"  about {duration(progress.left)} left")


def _states(overview: Overview, progress: Progress, history: Sequence[float]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for state, style in STYLES.items():
        if number := overview.states.get(state):
            line.append(f"{state.replace('_', ' ')} {number:,}  ", style=style)
    line.append("" if progress.rate is None else f"{_figure(progress.rate)} a second  ", style="bold")
    return line.append(sparkline(history[-_POINTS:]), style="cyan")


def sparkline(values: Sequence[float]) -> str:
    """Draw *values* as one character each; empty where all are 0."""
    most = max(values, default=0.0)
    if most <= 0:
        return ""
    return "".join(_SHADES[min(len(_SHADES) - 1, int(value / most * len(_SHADES)))] for value in values)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three figures


def _apps(apps: Mapping[str, Mapping[str, int]], rows: int) -> Table:
    seen = [state for state in STYLES if any(states.get(state) for states in apps.values())]
    table = _table("app", *(state.replace("_", " ") for state in seen), right=range(1, len(seen) + 1))
    busiest = sorted(apps, key=lambda app: (-sum(apps[app].values()), app))
    for app in busiest[:rows]:
        numbers = [Text(f"{apps[app].get(state, 0):,}", style=STYLES[state]) for state in seen]
        table.add_row(Text(printable(app)), *numbers)
    return _and_more(table, len(busiest) - rows)


def _executors(overview: Overview) -> Table:
    table = _table("executor", "image", "blocks", "managers", "workers", right=(2, 3, 4))
    for each in overview.executors:
        numbers = (str(each[name]) for name in ("blocks", "managers", "workers"))
        table.add_row(Text(printable(each["label"])), Text(printable(each["image"]) or "-"), *numbers)
    return table


def _models(overview: Overview, rows: int) -> Table:
    heads = ("model", "state", "share", "requests", "errors", "p50", "p99", "rows a batch", "workers", "waiting")
    table = _table(*heads, right=range(2, 10))
    for each in overview.models[:rows]:
        name = printable(f"{each.model}@{each.version}" if each.version else f"{each.model} (no version)")
        seconds = ("-" if value is None else brief_duration(value) for value in (each.latency[0], each.latency[2]))
        share = "shadow" if each.is_shadow else "-" if each.weight is None else f"{each.weight:.0%}"
        batch = _figure(each.rows / each.batches) if each.batches else "-"
        gauges = ("-" if value is None else f"{value:,}" for value in (each.workers, each.waiting))
        counts = (f"{each.requests:,}", f"{each.errors:,}")
        table.add_row(Text(name), Text(printable(each.state) or "-"), share, *counts, *seconds, batch, *gauges)
    return _and_more(table, len(overview.models) - rows)


def _blocks(overview: Overview, rows: int) -> Table:
    heads = ("block", "provider id", "state", "nodes", "workers", "tasks", "age", "last message")
    table = _table(*heads, right=(3, 4, 5, 6), last_fills=True)
    for each in overview.blocks[:rows]:
        numbers = ("-" if each[name] is None else f"{each[name]:,}" for name in ("nodes", "workers", "tasks"))
        name, native = printable(f"{each['executor']}/{each['block']}"), printable(each["native"] or "-")
        texts = (Text(name), Text(native[:_SHORT]), each["state"], *numbers, brief_duration(each["age"]))
        table.add_row(*texts, Text(printable(each["message"] or "-"), no_wrap=True, overflow="ellipsis"))
    return _and_more(table, len(overview.blocks) - rows)


def _errors(overview: Overview, rows: int) -> Table:
    table = _table("failed", "app", "first task", "cause", right=(0, 2), last_fills=True)
    for each in overview.errors[:rows]:
        cause = printable(cause_of(each))
        words = Text(cause, style="red", no_wrap=True, overflow="ellipsis")
        table.add_row(f"{each.count:,}", Text(printable(each.app)), str(each.first_task), words)
    return _and_more(table, len(overview.errors) - rows)


def cause_of(group: ErrorGroup) -> str:
    """``ValueError: bad``: class and message of a cause, each once."""
    if group.message.startswith(group.type):
        return group.message
    return f"{group.type}: {group.message}" if group.message else group.type


def _table(*titles: str, right: Sequence[int] = (), last_fills: bool = False) -> Table:
    """Return a table without rows; *last_fills* cuts the texts of the last column alone where there is no room."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=last_fills)
    for number, title in enumerate(titles):
        justify: Literal["left", "right"] = "right" if number in right else "left"
        fills = last_fills and number == len(titles) - 1
        table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis", ratio=1 if fills else None)
    return table


def _and_more(table: Table, left_out: int) -> Table:
    if left_out > 0:
        table.add_row(Text(f"... {left_out} more", style="dim"))
    return table
