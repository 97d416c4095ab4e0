"""Converts between messages of the interchange and records of the pipes to workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.ids import TaskId
from cnflow.manager.actions import LoadModel, SendBatch, SendTask, UnloadModel
from cnflow.wire import messages as msg
from cnflow.wire.batch_records import pack_batch, pack_load, pack_unload
from cnflow.wire.failure_bodies import enforce_size_limit
from cnflow.wire.pipe import Part, Record, ToWorker, pack

if TYPE_CHECKING:
    from cnflow.manager.actions import Order
    from cnflow.wire.messages import ResultParcel, TaskParcel


def encode_action(action: Order) -> list[Part]:
    """Return the records to write to the worker, as buffers in order."""
    if isinstance(action, SendTask):
        task = action.task[0]
        return pack(ToWorker.TASK, task.id, task.walltime, [task.function, *_parts(action.task)])
    if isinstance(action, SendBatch):
        first = action.tasks[0][0]
        calls = [(int(parcel[0].id), _parts(parcel)) for parcel in action.tasks]
        return pack_batch(first.function, first.walltime, calls)
    if isinstance(action, LoadModel):
        return pack_load(action.function)
    if isinstance(action, UnloadModel):
        return pack_unload(action.function)
    records = pack(ToWorker.FORGET, 0, 0.0, []) if action.forgets else []
    for function in action.functions:
        name = f"{function.kind} {function.name}".encode()
        records += pack(ToWorker.FUNCTION, 0, 0.0, [function.id, name, function.body, b"".join(function.modules)])
    return records


def _parts(parcel: TaskParcel) -> list[Part]:
    return [getattr(frame, "buffer", frame) for frame in msg.payload_parts(*parcel)]


def decode_result(record: Record, max_bytes: int) -> ResultParcel:
    """Return a worker's result for the interchange; one with a part above *max_bytes* becomes a failure instead."""
    parts = record.parts
    parcel = msg.result_parcel(TaskId(record.id), record.type, record.seconds, bytes(parts[0]).decode(), parts[1:])
    return enforce_size_limit(parcel, max_bytes) if parcel[1] else parcel
