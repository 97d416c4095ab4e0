"""Logs every change of a task's state at level DEBUG: a line for people, two attributes for programs.

The attributes of a log record are ``cnflow.task_id`` and ``cnflow.task_state``; the state is a name of `TaskState` in
lower case. A retry logs ``launched`` once more.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from cnflow.model.task import TaskState, title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.actions import Effects
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId

logger = logging.getLogger(__name__)


is_enabled = functools.partial(logger.isEnabledFor, logging.DEBUG)
"""True if the level is on. Callers check it first: a line costs more than most of what the graph does for a task."""


def log_state(task: TaskId, name: str, state: TaskState) -> None:
    """Log that *task*, of the app *name*, is in *state*."""
    word = state.name.lower()
    logger.debug("%s is %s", title_of(task, name), word, extra={"cnflow.task_id": task, "cnflow.task_state": word})


def log_effects(effects: Effects, records: Mapping[TaskId, TaskRecord]) -> None:
    """Log the changes of state that *effects* is about to make."""
    for settlement in effects.settlements:
        log_state(settlement.future.tid, settlement.future.name, settlement.state)
    for task in effects.launch:
        record = records.get(task)
        if record is not None:
            log_state(task, record.app.name, TaskState.LAUNCHED)
