"""How a run's progress reads. Pure: a moment of the run in, words out; `cnflow.cli.watch` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from cnflow.model.task import TaskState
from cnflow.text import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.model.status import ExecutorStatus
    from cnflow.units import Seconds


class Moment(NamedTuple):
    """What is known of a run at one time."""

    counts: Mapping[TaskState, int]
    executors: Sequence[ExecutorStatus]
    elapsed: Seconds
    """Since the run was loaded."""


# In the order in which they are told: what is settled, what failed, what is to come.
_STATES: Mapping[TaskState, tuple[str, str]] = {
    TaskState.DONE: ("done", "green"),
    TaskState.FAILED: ("failed", "bold red"),
    TaskState.DEPENDENCY_FAILED: ("dependency failed", "red"),
    TaskState.CANCELLED: ("cancelled", "yellow"),
    TaskState.LAUNCHED: ("launched", "cyan"),
    TaskState.WAITING: ("waiting", "dim"),
}


def news(moment: Moment) -> str:
    """What of *moment* is worth a new line; two moments that differ only in time have the same."""
    return _state(moment, ended=False).plain


def plain_line(moment: Moment, *, ended: bool = False) -> str:
    """``cnflow: 12 s | tasks: 4 done, 3 launched | blocks: 2 | workers: 8``; tasks alone when the run has *ended*."""
    return live_line(moment, ended=ended).plain


def live_line(moment: Moment, *, ended: bool = False) -> Text:
    """The same for a terminal: with colours, cut at the terminal's width."""
    line = Text(f"cnflow: {duration(moment.elapsed)} | ", no_wrap=True, overflow="ellipsis")
    return line.append_text(_state(moment, ended=ended))


def _state(moment: Moment, *, ended: bool) -> Text:
    tasks = Text("tasks: ").append_text(_tasks(moment.counts))
    if ended:
        return tasks
    blocks = sum(executor.blocks for executor in moment.executors)
    workers = sum(executor.workers for executor in moment.executors)
    return tasks.append(f" | blocks: {blocks} | workers: {workers}")


def _tasks(counts: Mapping[TaskState, int]) -> Text:
    told = [
        Text(f"{number} {word}", style=style)
        for state, (word, style) in _STATES.items()
        if (number := counts.get(state))
    ]
    return Text(", ").join(told) if told else Text("none yet")
