"""Turns events into rows, one batch at a time. No I/O.

::

    [(position, [event, ...]), ...] ──RowMaker──> Changes ──> one transaction, with the position and the Memory

Rules: a state that a task came to is one row of `status`, under Parsl's names. A task without a try (a failed
dependency, cancelled before) has none; that of a result from the cache has no place. Numbers below 0 and empty texts
are unknown, and become NULL.
"""

from __future__ import annotations

from time import gmtime, strftime
from typing import TYPE_CHECKING

import msgspec

from cnflow.model import events as ev
from cnflow.monitoring.store import failures, model_rows, node_rows, packed_rows
from cnflow.monitoring.store.changes import Changes
from cnflow.monitoring.store.values import known, text_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.model.events import AnyEvent
    from cnflow.monitoring.store.changes import Row
    from cnflow.monitoring.store.memory import Memory

STATUS: Mapping[str, str] = {
    "waiting": "pending",
    "launched": "launched",
    "running": "running",
    "staging_in": "staging_in",
    "staging_out": "staging_out",
    "done": "exec_done",
    "failed": "failed",
    "dependency_failed": "dep_fail",
    "cancelled": "cancelled",
    "joining": "joining",
}
"""Names of Parsl, and some of ours, by state of a task."""

_COUNTED: Mapping[str, tuple[str, str]] = {
    "done": ("done", "tasks_completed_count"),
    "failed": ("failed", "tasks_failed_count"),
    "dependency_failed": ("failed", "tasks_failed_count"),
    "cancelled": ("cancelled", "tasks_cancelled_count"),
}
"""Columns of `progress` and `workflow`, by final state."""


class RowMaker:
    """Makes rows of one run; one for each transaction.

    Args:
        memory: what is to be remembered; changed.
    """

    def __init__(self, memory: Memory) -> None:
        self.changes = Changes()
        self.memory = memory
        self.last = 0.0
        """Time of the newest event."""

        self._handlers: dict[type, Callable[[AnyEvent, int], None]] = {
            ev.RunEvent: self._on_run,
            ev.SubmittedEvent: self._on_submitted,
            ev.SubmittedTasks: packed_rows.on_submitted(self.changes),
            ev.DoneTasks: packed_rows.on_done(self.changes, memory),
            ev.TaskEvent: self._on_task,
            ev.FailureEvent: self._on_failure,
            ev.FileEvent: self._on_file,
            ev.WorkerEvent: self._on_worker,
            ev.BlockEvent: node_rows.on_block(self.changes),
            ev.ManagerEvent: node_rows.on_manager(self.changes, memory),
            ev.InterchangeEvent: node_rows.on_other(self.changes),
            ev.ResourceSample: node_rows.on_sample(self.changes, memory),
            ev.SampleBatch: node_rows.on_samples(self.changes, memory),
            ev.NodeSample: node_rows.on_node_sample(self.changes),
            ev.ModelEvent: model_rows.on_event(self.changes),
            ev.ModelFigures: model_rows.on_figures(self.changes),
            ev.DroppedEvents: node_rows.on_dropped(self.changes),
        }

    def take(self, position: int, events: list[AnyEvent]) -> None:
        """Add the rows of *events*, which lie at *position* in the journal."""
        for number, event in enumerate(events, position):
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event, number)
                self.last = max(self.last, event.time)

    def finish(self) -> Changes:
        """Return the rows."""
        if self.last:  # else no event could be read: the run was not updated in 1970
            self.changes.put("workflow", (), {"time_updated": self.last})
        return self.changes

    def _on_run(self, event: AnyEvent, number: int) -> None:
        assert isinstance(event, ev.RunEvent)
        node_rows.put_event(self.changes, number, event, text=msgspec.json.encode(event).decode())
        if event.state != "running":
            self.changes.put("workflow", (), {"time_completed": event.time, "state": event.state})
            return
        row: Row = {
            "workflow_name": event.name or "unnamed",
            "workflow_version": event.version or strftime("%Y-%m-%d %H:%M:%S", gmtime(event.time)),
            "time_began": event.time,
            "host": event.host,
            "user": event.user,
            "rundir": event.folder,
            "state": event.state,
            "script": event.script,
            "python": event.python,
            "cnflow": event.cnflow,
            "config": event.config,
        }
        self.changes.put("workflow", (), row)

    def _on_submitted(self, event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.SubmittedEvent)
        asked = {
            "cores": event.cores,
            "memory": event.memory,
            "gpus": event.gpus,
            "walltime": event.walltime,
        }
        resources: dict[str, float] = {name: value for name, value in asked.items() if value >= 0}
        if event.priority:
            resources["priority"] = event.priority
        row: Row = {
            "task_depends": ",".join(map(str, event.depends)),
            "task_func_name": event.app,
            "task_memoize": str(event.memoize),
            "task_inputs": repr(list(event.inputs)),
            "task_outputs": repr(list(event.outputs)),
            "task_stdout": event.stdout,
            "task_stderr": event.stderr,
            "task_time_invoked": event.time,
            "task_state": "waiting",
            "task_executor": event.executor,
            "task_image": event.image or None,
            "task_arguments": event.arguments,
            "task_resources": msgspec.json.encode(resources).decode() if resources else "{}",
            "task_joins": "True" if event.joins else "",
        }
        self.changes.put_task(event.task, row)
        for needed in event.depends:
            self.changes.put("dependency", (needed, event.task), {})
        self._status(event.task, 0, event.time, "pending")
        self._count_submitted(event.app, event.time)

    def _count_submitted(self, app: str, time: float) -> None:
        self.changes.add("workflow", (), {"tasks_count": 1})
        self.changes.add("progress", (int(time), app), {"submitted": 1})

    def _on_task(self, event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.TaskEvent)
        state = event.state
        if state in _COUNTED:
            self._on_ended(event)
            return
        if state == "launched":
            self._on_launched(event.task, event.attempt, event.time, event.app, event.executor)
            return
        task, attempt = event.task, event.attempt
        self.changes.put_task(task, {"task_state": state})
        started = event.started if state == "running" and event.started > 0 else event.time
        self._status(task, attempt, started, STATUS.get(state, state))
        if state == "running":
            self.memory.running[task] = attempt
            self.changes.update("try", (task, attempt), {"state": state, "task_try_time_running": started})
        else:
            self.changes.update("try", (task, attempt), {"state": state})

    def _on_launched(self, task: int, attempt: int, time: float, app: str, executor: str) -> None:
        if attempt > 0:
            self.memory.tries.setdefault(task, []).append((time, attempt))
            self.memory.running.pop(task, None)
        self.changes.put_task(task, {"task_state": "launched", "task_executor": executor})
        row: Row = {"task_executor": executor, "task_try_time_launched": time, "state": "launched"}
        self.changes.put("try", (task, attempt), row)
        self._status(task, attempt, time, "launched")
        self.changes.add("progress", (int(time), app), {"launched": 1})

    def _on_ended(self, event: ev.TaskEvent) -> None:
        task, attempt, state = event.task, event.attempt, event.state
        row: Row = {"task_state": state, "task_time_returned": event.time}
        seconds, image, manager = None, None, ""
        if not event.is_memoized:  # else they are those of the task that made the result, maybe of another run
            seconds = max(0.0, event.ended - event.started) if event.started > 0 and event.ended > 0 else None
            image, manager = self.memory.images.get(event.manager), event.manager
            if event.host:
                row["task_hostname"] = event.host
        if image:
            row["task_image"] = image
        if event.key:
            row["task_hashsum"] = event.key
        if seconds is not None:
            row["task_run_seconds"] = seconds
        if event.reason:
            row["task_error"] = failures.first_line(event.reason)
        if state == "failed":
            row["task_error_group"] = self._group(event)
        self.changes.put_task(task, row)
        self._on_try_ended(event, image)
        name = "memo_done" if event.is_memoized and state == "done" else STATUS[state]
        self._status(task, attempt, event.time, name)
        self._count_ended(event.app, state, event.time, manager, seconds, image)
        self.memory.running.pop(task, None)
        self.memory.errors.pop(task, None)
        self.memory.on_ended(task)

    def _on_try_ended(self, event: ev.TaskEvent, image: str | None) -> None:
        task, attempt = event.task, event.attempt
        if event.is_memoized:
            self.changes.update("try", (task, attempt), {"state": event.state, "task_try_time_returned": event.time})
            return
        row: Row = {"state": event.state, "task_try_time_returned": event.ended if event.ended > 0 else event.time}
        if event.started > 0:
            row["task_try_time_running"] = event.started
            self._ran(task, attempt, event.started, event.ended)
        if event.manager or event.host:
            row |= {"block_id": text_or_none(event.block), "manager_id": text_or_none(event.manager)}
            row |= {"hostname": event.host, "image": image}
        if event.worker >= 0:
            row["worker"] = event.worker
        self.changes.update("try", (task, attempt), row)

    def _ran(self, task: int, attempt: int, started: float, ended: float) -> None:
        """Add the states that a worker alone has seen, unless it was reported to run before."""
        if self.memory.running.get(task) != attempt:
            self._status(task, attempt, started, "running")
        if ended > 0:
            self._status(task, attempt, ended, "running_ended")

    def _count_ended(
        self, app: str, state: str, time: float, manager: str, seconds: float | None, image: str | None
    ) -> None:
        in_progress, in_workflow = _COUNTED[state]
        self.changes.add("workflow", (), {in_workflow: 1})
        self.changes.add("progress", (int(time), app), {in_progress: 1, "run_seconds": seconds or 0.0})
        if manager:
            self.changes.add("node", (manager,), {"tasks_count": 1, "busy_seconds": seconds or 0.0})
        if image:
            self.changes.add("image", (image,), {"tasks_count": 1})

    def _group(self, event: ev.TaskEvent) -> str:
        error_type, message = self.memory.errors.get(event.task) or failures.type_and_message(event.reason)
        group = failures.group_of(event.app, error_type, message)
        row: Row = {
            "error_type": error_type,
            "task_func_name": event.app,
            "message": message,
            "first_task": event.task,
            "first_time": event.time,
            "last_time": event.time,
        }
        self.changes.put("error_group", (group,), row)
        self.changes.add("error_group", (group,), {"count": 1})
        return group

    def _on_failure(self, event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.FailureEvent)
        task, attempt = event.task, event.attempt
        ended = event.ended if event.ended > 0 else event.time
        image = event.digest or event.image or self.memory.images.get(event.manager)
        row: Row = {
            "state": "failed",
            "task_try_time_returned": ended,
            "task_fail_history": failures.first_line(f"{event.error_type}: {event.message}"),
            "error_type": event.error_type,
            "traceback": text_or_none(event.traceback),
            "stderr_tail": text_or_none(event.stderr_tail),
            "exit_code": known(event.exit_code),
            "signal": text_or_none(event.signal),
        }
        if event.manager or event.host:
            row |= {"block_id": text_or_none(event.block), "manager_id": text_or_none(event.manager)}
            row |= {"hostname": event.host, "image": image}
        if event.worker >= 0:
            row["worker"] = event.worker
        if event.started > 0:
            row["task_try_time_running"] = event.started
            self._ran(task, attempt, event.started, event.ended)
        self.changes.update("try", (task, attempt), row)
        changed: Row = {
            "task_fail_count": attempt + 1,
            "task_fail_cost": event.cost,
            "task_error": row["task_fail_history"],
        }
        if event.host:
            changed["task_hostname"] = event.host
        self.changes.put_task(task, changed)
        if event.is_retried:
            self.memory.running.pop(task, None)
            self._status(task, attempt, event.time, "fail_retryable")
        else:
            self.memory.errors[task] = (event.error_type, event.message)

    def _on_file(self, event: AnyEvent, _: int) -> None:
        assert isinstance(event, ev.FileEvent)
        row: Row = {"state": event.state}
        if event.size >= 0:
            row["bytes"] = event.size
        if event.seconds >= 0:
            row["seconds"] = event.seconds
        if event.host:
            row["hostname"] = event.host
        if event.reason:
            row["error"] = event.reason
        if event.state == "moving":
            row["time_started"] = event.time
        else:
            row["time_ended"] = event.time
            if event.seconds >= 0:
                row["time_started"] = event.time - event.seconds
        self.changes.put("file", (event.task, event.attempt, event.direction, event.url), row)

    def _on_worker(self, event: AnyEvent, number: int) -> None:
        assert isinstance(event, ev.WorkerEvent)
        if event.task < 0 or event.state not in {"running", "staging_in", "staging_out"}:
            if event.state == "exited":
                node_rows.put_event(self.changes, number, event, event.executor, event.manager)
            return
        if event.state != "running":
            attempt = self.memory.try_of(event.task, event.time)
            if event.url and event.done >= 0:
                key = (event.task, attempt, event.state.removeprefix("staging_"), event.url)
                self.changes.put("file", key, {"bytes": event.done, "hostname": event.host})
            return
        attempt = self.memory.last_try(event.task)  # others are over, and are not reported to run; no clock is asked
        if self.memory.running.get(event.task) == attempt:
            return
        self.memory.running[event.task] = attempt
        self._status(event.task, attempt, event.time, "running")
        self.changes.put_task(event.task, {"task_state": "running", "task_hostname": event.host})
        row: Row = {
            "state": "running",
            "task_try_time_running": event.time,
            "block_id": event.block,
            "manager_id": event.manager,
            "hostname": event.host,
            "worker": event.worker,
            "image": self.memory.images.get(event.manager),
        }
        self.changes.update("try", (event.task, attempt), row)

    def _status(self, task: int, attempt: int, time: float, name: str) -> None:
        self.changes.rows["status"][task, attempt, time, name] = {}
