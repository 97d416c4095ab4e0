"""Rows of events that stand for many tasks: nearly all rows of a run of a million short ones. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.model.events import AnyEvent
    from cnflow.monitoring.store.changes import Changes, Row
    from cnflow.monitoring.store.memory import Memory

    Handler = Callable[[AnyEvent, int], None]

_LATER = 2e-6
"""Seconds from the submission of a task to its launch: queries ask for the state with the latest time."""

_NOTHING: Row = {}
"""Row of a table whose columns are its key; never changed."""


def on_submitted(changes: Changes) -> Handler:
    """Return what makes rows of `SubmittedTasks`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.SubmittedTasks)
        app, executor = event.app, event.executor
        same: Row = {
            "task_depends": "",
            "task_func_name": app,
            "task_memoize": "False",
            "task_inputs": "[]",
            "task_outputs": "[]",
            "task_stdout": "",
            "task_stderr": "",
            "task_state": "launched",
            "task_executor": executor,
            "task_image": event.image or None,
            "task_resources": "{}",
            "task_joins": "",
        }
        tasks, tries, statuses = changes.rows["task"], changes.rows["try"], changes.rows["status"]
        seconds: dict[int, int] = {}
        for task, time, arguments in event.rows:
            tasks[task,] = {**same, "task_time_invoked": time, "task_arguments": arguments}
            launched = time + _LATER
            tries[task, 0] = {"task_executor": executor, "task_try_time_launched": launched, "state": "launched"}
            statuses[task, 0, time, "pending"] = _NOTHING
            statuses[task, 0, launched, "launched"] = _NOTHING
            seconds[int(time)] = seconds.get(int(time), 0) + 1
        for second, count in seconds.items():
            changes.add("progress", (second, app), {"submitted": count, "launched": count})
        changes.add("workflow", (), {"tasks_count": len(event.rows)})

    return handle


def on_done(changes: Changes, memory: Memory) -> Handler:
    """Return what makes rows of `DoneTasks`."""

    def handle(event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.DoneTasks)
        image = memory.images.get(event.manager)
        of_task: Row = {"task_state": "done"}
        of_try: Row = {"state": "done"}
        if event.host:
            of_task["task_hostname"] = event.host
        if image:
            of_task["task_image"] = image
        if event.manager or event.host:
            place = (event.block or None, event.manager or None, event.host, image)
            of_try |= dict(zip(("block_id", "manager_id", "hostname", "image"), place, strict=True))
        counts = _Counts()
        for task, attempt, time, started, ended, worker in event.rows:
            row: Row = {**of_try, "task_try_time_returned": ended if ended > 0 else time}
            whole: Row = {**of_task, "task_time_returned": time}
            seconds = 0.0
            if started > 0:
                row["task_try_time_running"] = started
                if memory.running.pop(task, -1) != attempt:
                    changes.rows["status"][task, attempt, started, "running"] = _NOTHING
                if ended > 0:
                    changes.rows["status"][task, attempt, ended, "running_ended"] = _NOTHING
                    whole["task_run_seconds"] = seconds = max(0.0, ended - started)
            if worker >= 0:
                row["worker"] = worker
            changes.update("try", (task, attempt), row)
            changes.put_task(task, whole)
            changes.rows["status"][task, attempt, time, "exec_done"] = _NOTHING
            counts.add(int(time), seconds)
            memory.on_ended(task)
        counts.put(changes, event.app, event.manager, image)

    return handle


class _Counts:
    """Ends by second."""

    def __init__(self) -> None:
        self._ends: dict[int, tuple[int, float]] = {}

    def add(self, second: int, seconds: float) -> None:
        count, total = self._ends.get(second, (0, 0.0))
        self._ends[second] = (count + 1, total + seconds)

    def put(self, changes: Changes, app: str, manager: str, image: str | None) -> None:
        for second, (count, seconds) in self._ends.items():
            changes.add("progress", (second, app), {"done": count, "run_seconds": seconds})
        count = sum(each for each, _ in self._ends.values())
        changes.add("workflow", (), {"tasks_completed_count": count})
        if manager:
            busy = sum(each for _, each in self._ends.values())
            changes.add("node", (manager,), {"tasks_count": count, "busy_seconds": busy})
        if image:
            changes.add("image", (image,), {"tasks_count": count})
