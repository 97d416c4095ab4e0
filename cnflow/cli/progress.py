"""Formats the progress of a run: a snapshot in, a line of text out. No I/O; `cnflow.cli.watch` prints the lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from cnflow.model.status import StagingTotals
from cnflow.model.task import TaskState
from cnflow.text import amount_of_memory, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.model.status import ExecutorStatus
    from cnflow.units import Seconds


class Snapshot(NamedTuple):
    """State of a run at one time."""

    counts: Mapping[TaskState, int]
    executors: Sequence[ExecutorStatus]
    elapsed: Seconds
    """Since the run was loaded."""

    staging: StagingTotals = StagingTotals()
    """Files that are moved."""

    spending: str = ""
    """What blocks have cost, such as ``$0.08 of $5.00``; empty where they cost nothing."""


# In the order of the line: ended, failed, still to come. Each with its word and its style.
_STATES: Mapping[TaskState, tuple[str, str]] = {
    TaskState.DONE: ("done", "green"),
    TaskState.FAILED: ("failed", "bold red"),
    TaskState.DEPENDENCY_FAILED: ("dependency failed", "red"),
    TaskState.CANCELLED: ("cancelled", "yellow"),
    TaskState.STAGING_OUT: ("staging out", "blue"),
    TaskState.RUNNING: ("running", "cyan"),
    TaskState.LAUNCHED: ("launched", "cyan"),
    TaskState.STAGING_IN: ("staging in", "blue"),
    TaskState.WAITING: ("waiting", "dim"),
}


def state_text(snapshot: Snapshot) -> str:
    """Return the part of a line without time and money; equal for two snapshots that differ only in these."""
    return _state(snapshot._replace(spending=""), ended=False).plain


def plain_line(snapshot: Snapshot, *, ended: bool = False) -> str:
    """``cnflow: 12 s | tasks: 4 done, 3 launched | blocks: 2 | workers: 8``; only the tasks if the run has *ended*."""
    return live_line(snapshot, ended=ended).plain


def live_line(snapshot: Snapshot, *, ended: bool = False) -> Text:
    """Return the same line with colours, cut at the width of the terminal."""
    line = Text(f"cnflow: {duration(snapshot.elapsed)} | ", no_wrap=True, overflow="ellipsis")
    return line.append_text(_state(snapshot, ended=ended))


def _state(snapshot: Snapshot, *, ended: bool) -> Text:
    tasks = Text("tasks: ").append_text(_tasks(snapshot.counts))
    if ended:
        return tasks.append(_spending(snapshot))
    blocks = sum(executor.blocks for executor in snapshot.executors)
    workers = sum(executor.workers for executor in snapshot.executors)
    return tasks.append(f" | blocks: {blocks} | workers: {workers}{_staging(snapshot.staging)}{_spending(snapshot)}")


def _spending(snapshot: Snapshot) -> str:
    return f" | spent: {snapshot.spending}" if snapshot.spending else ""


def _staging(totals: StagingTotals) -> str:
    if not totals.files:
        return ""
    size = f", {amount_of_memory(totals.size)}" if totals.size else ""
    rate = f", {amount_of_memory(int(totals.rate))} a second" if totals.rate else ""
    return f" | files on their way: {totals.files}{size}{rate}"


def _tasks(counts: Mapping[TaskState, int]) -> Text:
    parts = [
        Text(f"{number} {word}", style=style)
        for state, (word, style) in _STATES.items()
        if (number := counts.get(state))
    ]
    return Text(", ").join(parts) if parts else Text("none yet")
