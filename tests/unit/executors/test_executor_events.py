"""Events that an executor makes of messages: a note on a task that is over comes too late to be its state."""

from cnflow.executors.high_throughput.executor_events import ExecutorEvents
from cnflow.wire.manager_messages import Events, WorkerNote


def test_running_task_that_is_over_is_not_reported_any_more():
    emitted = []
    events = ExecutorEvents("htex", emitted.append)
    events.is_present = lambda task, attempt: (task, attempt) == (7, 3)
    notes = [
        WorkerNote(1.0, 0, "running", 7, 3),
        WorkerNote(1.0, 1, "running", 8, 4),
        WorkerNote(1.0, 1, "running", 7, 2),
        WorkerNote(1.0, 1, "exited", reason="exit code 1"),
    ]
    events.on_message(Events(b"m" * 6, "0", "node", notes))
    assert [(event.state, event.task, event.attempt) for event in emitted] == [("running", 7, 3), ("exited", -1, -1)]
