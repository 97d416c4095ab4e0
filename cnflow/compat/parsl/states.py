"""States of tasks by Parsl's names; `AppFuture.task_status` returns cnflow's own."""

import enum

from cnflow.model.task import TaskState


class States(enum.IntEnum):
    """Numbers as in Parsl's monitoring database."""

    pending = 0
    running = 2
    exec_done = 3
    failed = 4
    dep_fail = 5
    launched = 7
    fail_retryable = 8
    memo_done = 9
    joining = 10
    running_ended = 11


FINAL_FAILURE_STATES = {States.failed, States.dep_fail}
FINAL_STATES = {States.exec_done, States.memo_done, *FINAL_FAILURE_STATES}

STATE_OF = {
    TaskState.WAITING: States.pending,
    TaskState.LAUNCHED: States.launched,
    TaskState.DONE: States.exec_done,
    TaskState.FAILED: States.failed,
    TaskState.DEPENDENCY_FAILED: States.dep_fail,
    TaskState.CANCELLED: States.failed,
    TaskState.STAGING_IN: States.launched,
    TaskState.RUNNING: States.running,
    TaskState.STAGING_OUT: States.running_ended,
}
"""Parsl's state for each of cnflow's; Parsl cannot cancel tasks, and has no state for it."""
