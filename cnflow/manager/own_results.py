"""Results that a manager itself gives; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.wire.failure_bodies import TimedOutBody, encode_timed_out, encode_worker_lost
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.ids import TaskId
    from cnflow.wire.failure_bodies import WorkerLostBody
    from cnflow.wire.messages import ResultParcel, Task


def cancelled(number: TaskId) -> ResultParcel:
    """It was stopped, or never begun, as the user wished."""
    return Result(number, ResultKind.CANCELLED, b""), NO_FRAMES


def lost(number: TaskId, loss: WorkerLostBody) -> ResultParcel:
    """Its worker's process ended."""
    return Result(number, ResultKind.WORKER_LOST, encode_worker_lost(loss)), NO_FRAMES


def overrun(task: Task, name: str) -> ResultParcel:
    """It did not end at its walltime."""
    return Result(task.id, ResultKind.TIMED_OUT, encode_timed_out(TimedOutBody(name, task.walltime))), NO_FRAMES


def refused(number: TaskId, sent: str, found: str, where: str) -> ResultParcel:
    """Its code is of Python *sent*, and the workers run *found*."""
    return Result(number, ResultKind.REFUSED, f"{sent} {found} {where}".encode()), NO_FRAMES


def handed_back(number: TaskId, where: str) -> ResultParcel:
    """It was not begun, since its manager is to end."""
    return Result(number, ResultKind.RETURNED, where.encode()), NO_FRAMES


def cut_off(number: TaskId, where: str) -> ResultParcel:
    """It ran when its manager had to end."""
    return Result(number, ResultKind.CUT_OFF, where.encode()), NO_FRAMES


def on_cut_off(numbers: Sequence[TaskId], where: str) -> list[ResultParcel]:
    """What a worker had when it was ended: the first one ran."""
    return [
        *(cut_off(number, where) for number in numbers[:1]),
        *(handed_back(number, where) for number in numbers[1:]),
    ]
