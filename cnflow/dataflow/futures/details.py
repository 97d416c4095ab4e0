"""Looks of a future: state, time and executor of its task, as text and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.html_tables import table
from cnflow.text import brief_duration

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.units import Seconds


class TaskDetails(NamedTuple):
    """A task as its future knows it."""

    task: TaskId
    app: str
    state: str
    age: Seconds
    """From the call until the task was final, or until now."""

    executor: str
    """Label; empty for a task that was never given to one."""

    error: str = ""

    def as_text(self) -> str:
        """``done on 'htex', 1.2 s``; a task that waits is on no executor yet."""
        place = f" on {self.executor!r}" if self.executor and self.state != "waiting" else ""
        return f"{self.state}{place}, {brief_duration(self.age)}"

    def as_html(self) -> str:
        """A table with one row, and the error below it."""
        head = ["task", "app", "state", "time", "executor"]
        row = [str(self.task), self.app, self.state, brief_duration(self.age), self.executor]
        if self.error:
            head, row = [*head, "error"], [*row, self.error]
        return table(head, [row], right={0, 3})
