"""Tells at level DEBUG of every change of a task's state: a line for people, two attributes for machines.

The attributes of a record are ``cnflow.task_id`` and ``cnflow.task_state``; the state is one of `TaskState`, in lower
case. A task that is tried again is launched again.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from cnflow.model.task import TaskState, title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.actions import Step
    from cnflow.dataflow.records import TaskRecord
    from cnflow.ids import TaskId

logger = logging.getLogger(__name__)


is_wanted = functools.partial(logger.isEnabledFor, logging.DEBUG)
"""Whether anybody listens; asked first, since a line costs more than most of what the kernel does."""


def tell(task: TaskId, name: str, state: TaskState) -> None:
    """The task *task* of the app *name* is in *state*."""
    said = state.name.lower()
    logger.debug("%s is %s", title_of(task, name), said, extra={"cnflow.task_id": task, "cnflow.task_state": said})


def tell_step(step: Step, records: Mapping[TaskId, TaskRecord]) -> None:
    """What *step* is about to bring about."""
    for future, state, _ in step.settled:
        tell(future.tid, future.name, state)
    for task in step.launch:
        record = records.get(task)
        if record is not None:
            tell(task, record.app.name, TaskState.LAUNCHED)
