"""Between messages of the interchange and records of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from cnflow.ids import TaskId
from cnflow.manager.actions import GiveFunction, GiveTask
from cnflow.wire import messages as msg
from cnflow.wire.failure_bodies import enforce_size_limit
from cnflow.wire.pipe import Part, Record, ToWorker, pack

if TYPE_CHECKING:
    from cnflow.wire.messages import ResultParcel


def record_of(action: Union[GiveFunction, GiveTask]) -> list[Part]:
    """What is written to the worker."""
    if isinstance(action, GiveTask):
        task, frames = action.task
        parts = [getattr(frame, "buffer", frame) for frame in msg.payload_parts(task, frames)]
        return pack(ToWorker.TASK, task.id, task.walltime, [task.function, *parts])
    function = action.function
    name = f"{function.kind} {function.name}".encode()
    return pack(ToWorker.FUNCTION, 0, 0.0, [function.id, name, function.body])


def parcel_of(record: Record, largest: int) -> ResultParcel:
    """A worker's result as it travels; a larger one than *largest* bytes becomes a word on that."""
    parts = record.parts
    parcel = msg.result_parcel(TaskId(record.id), record.type, record.seconds, bytes(parts[0]).decode(), parts[1:])
    return enforce_size_limit(parcel, largest) if parcel[1] else parcel
