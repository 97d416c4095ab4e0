"""How a try of a task ended, noted in its record and judged."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from cnflow.dataflow.machine import Ended, Verdict
from cnflow.dataflow.verdicts import verdict_on
from cnflow.errors import ExecutorClosedError
from cnflow.model.task import title_of

if TYPE_CHECKING:
    from cnflow.config.config import RetryHandler
    from cnflow.dataflow.records import TaskRecord
    from cnflow.model.task import Outcome


def noted(outcome: Outcome, record: TaskRecord, handler: RetryHandler | None, *, closed: bool) -> Ended:
    """Put *outcome* into *record*; what the machine is to know of it.

    Args:
        outcome: how the try ended.
        record: of its task.
        handler: prices what failed; the user's. Where it raises, that is how the task fails.
        closed: the run ends.
    """
    task, record.value, error = outcome
    if error is None:
        return Ended(task, Verdict.DONE)
    if closed and isinstance(error, CancelledError) and not record.cancelling:
        error = ExecutorClosedError(f"{title_of(task, record.app.name)} was stopped: the run was ended.")
    record.error = error
    verdict = verdict_on(error, closed=closed, cancelling=record.cancelling)
    cost = 1.0
    record.fail_history.append(f"{type(error).__name__}: {error}")
    if handler is not None and verdict is Verdict.FAILED:
        try:
            cost = handler(error, record)
        except Exception as broken:  # noqa: BLE001 - a user's handler; its failure is the task's then
            broken.__cause__ = error
            record.error, verdict = broken, Verdict.GIVEN_UP
    record.fail_cost += cost
    return Ended(task, verdict, cost)
