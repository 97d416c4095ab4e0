"""How a try of a task ended, noted in its record and judged."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from cnflow.dataflow.machine import Ended, Verdict
from cnflow.dataflow.verdicts import verdict_on
from cnflow.errors import ConfigurationError, ExecutorClosedError
from cnflow.model.task import title_of
from cnflow.words import said

if TYPE_CHECKING:
    from cnflow.config.config import RetryHandler
    from cnflow.dataflow.records import TaskRecord
    from cnflow.ids import TaskId
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
    try:
        return _judged(task, record, error, handler, closed=closed)
    except Exception as broken:  # noqa: BLE001 - what the user raised may misbehave in any way; it ends this task alone
        record.error = broken
        return Ended(task, Verdict.GIVEN_UP)


def _judged(
    task: TaskId, record: TaskRecord, error: BaseException, handler: RetryHandler | None, *, closed: bool
) -> Ended:
    record.error = error
    verdict = verdict_on(error, closed=closed, cancelling=record.cancelling)
    if verdict is Verdict.RETURNED:
        return Ended(task, verdict)
    cost = 1.0
    record.fails = [*record.fails, said(error)]
    if handler is not None and verdict is Verdict.FAILED:
        try:
            cost = _price(handler, error, record)
        except BaseException as broken:  # noqa: BLE001 - a user's handler; its failure is the task's then
            broken.__cause__ = error
            record.error, verdict = broken, Verdict.GIVEN_UP
    record.fail_cost += cost
    return Ended(task, verdict, cost)


def _price(handler: RetryHandler, error: BaseException, record: TaskRecord) -> float:
    cost: object = handler(error, record)
    if isinstance(cost, bool) or not isinstance(cost, (int, float)):
        name = getattr(handler, "__name__", repr(handler))
        raise ConfigurationError(f"The retry_handler {name} returned {cost!r}; it must return a number, the cost.")
    return cost
