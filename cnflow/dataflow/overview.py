"""Tables of a run, as a DataFlowKernel shows itself: tasks by app and state, and executors."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cnflow.html_tables import escape, table
from cnflow.model.task import TaskState
from cnflow.text import align_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cnflow.dataflow.loop import TaskGraph
    from cnflow.model.status import ExecutorStatus

_STATES = (
    TaskState.WAITING,
    TaskState.STAGING_IN,
    TaskState.LAUNCHED,
    TaskState.RUNNING,
    TaskState.STAGING_OUT,
    TaskState.DONE,
    TaskState.FAILED,
    TaskState.DEPENDENCY_FAILED,
    TaskState.CANCELLED,
)
_ALWAYS_SHOWN = {TaskState.WAITING, TaskState.LAUNCHED, TaskState.DONE, TaskState.FAILED}


def app_counts(graph: TaskGraph) -> Mapping[str, Mapping[TaskState, int]]:
    """Number of tasks by app and state. Tasks that end meanwhile count as done: only failures are kept by the graph."""
    calls = dict(graph.calls)
    counts = {app: Counter[TaskState]() for app in calls}
    failures = {failure.future.tid: failure.future for failure in graph.failures.all()}
    for future in failures.values():
        counts.setdefault(future.name, Counter())[TaskState[future.task_status().upper()]] += 1
    for task, record in list(graph.records.items()):
        state = None if task in failures else graph.state_of(task)
        if state is not None:
            counts.setdefault(record.app.name, Counter())[state] += 1
    for app, number in calls.items():
        counts[app][TaskState.DONE] = max(0, number - counts[app].total())
    return counts


class Overview(NamedTuple):
    """A run at one time."""

    run_dir: Path
    has_ended: bool
    counts: Mapping[TaskState, int]
    apps: Mapping[str, Mapping[TaskState, int]]
    executors: Sequence[ExecutorStatus]
    spending: str = ""
    """What blocks have cost; empty where they cost nothing."""

    def title(self) -> str:
        """``run 003, 12 tasks: 10 done, 2 launched``."""
        total = sum(self.counts.values())
        parts = [f"{number} {_word(state)}" for state in _STATES if (number := self.counts.get(state))]
        ended = ", ended" if self.has_ended else ""
        tasks = f"{total} task{'' if total == 1 else 's'}"
        states = f": {', '.join(parts)}" if parts else ""
        return f"run {self.run_dir.name}{ended}, {tasks}{states}" + (
            f"; spent {self.spending}" if self.spending else ""
        )

    def as_text(self) -> str:
        """Title and tables with aligned columns."""
        tables = [align_columns([head, *rows], right) for head, rows, right in self._tables() if rows]
        return "\n\n".join([self.title(), *tables])

    def as_html(self) -> str:
        """The same for a notebook, with the run's folder."""
        tables = [table(head, rows, right) for head, rows, right in self._tables() if rows]
        title = f"<b>{escape(self.title())}</b> <code>{escape(str(self.run_dir))}</code>"
        return f"<div>{title}{''.join(tables)}</div>"

    def _tables(self) -> list[tuple[list[str], list[list[str]], range]]:
        """Heads, rows and columns of numbers; a state that no task is in has no column, unless it is a usual one."""
        seen = _ALWAYS_SHOWN | {state for states in self.apps.values() for state, number in states.items() if number}
        states = [state for state in _STATES if state in seen]
        apps = [[app, *(str(counts.get(state, 0)) for state in states)] for app, counts in sorted(self.apps.items())]
        executors = [
            [each.label, each.image or "-", str(each.blocks), str(each.managers), str(each.workers)]
            for each in self.executors
        ]
        return [
            (["app", *map(_word, states)], apps, range(1, 1 + len(states))),
            (["executor", "image", "blocks", "managers", "workers"], executors, range(2, 5)),
        ]


def _word(state: TaskState) -> str:
    return state.name.lower().replace("_", " ")
