"""Samples of what tasks use, as a manager packs them: they reach the store of a run without being unpacked on the way.

::

    manager ──TaskSample──> pack, once a second ──Samples──> driver ──SampleBatch──> sinks that take batches
                                                                         └──unpack──> ResourceSample, one by one
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

import msgspec

from cnflow.model.events import ResourceSample

if TYPE_CHECKING:
    from cnflow.model.events import SampleBatch


class TaskSample(msgspec.Struct, array_like=True, gc=False):
    """A `ResourceSample` without what all samples of a manager have in common."""

    time: float
    worker: int
    task: int
    attempt: int
    pid: int = 0
    interval: float = 0.0
    is_final: bool = False
    user_seconds: float = -1.0
    system_seconds: float = -1.0
    resident_bytes: int = -1
    peak_bytes: int = -1
    virtual_bytes: int = -1
    memory_percent: float = -1.0
    read_bytes: int = -1
    written_bytes: int = -1
    children: int = -1
    status: str = ""
    core: int = -1
    voluntary_switches: int = -1
    involuntary_switches: int = -1
    gpu_bytes: int = -1
    gpu_percent: float = -1.0


class NodeUse(msgspec.Struct, array_like=True, gc=False):
    """A `NodeSample` without its place."""

    time: float
    cpu_percent: float = -1.0
    memory_bytes: int = -1
    read_bytes: int = -1
    written_bytes: int = -1
    gpu_bytes: int = -1
    gpu_percent: float = -1.0
    busy_workers: int = -1


pack = msgspec.msgpack.Encoder().encode
"""Content of `SampleBatch.packed` for a list of `TaskSample`."""

_decode = msgspec.msgpack.Decoder(List[TaskSample]).decode
_FIELDS = TaskSample.__struct_fields__


def unpack(batch: SampleBatch) -> list[ResourceSample]:
    """Return the samples of *batch*; none if they are not those of this version."""
    try:
        samples = _decode(batch.packed)
    except msgspec.MsgspecError:
        return []
    place: dict[str, Any] = {
        "executor": batch.executor,
        "block": batch.block,
        "manager": batch.manager,
        "host": batch.host,
    }
    return [ResourceSample(**place, **{name: getattr(sample, name) for name in _FIELDS}) for sample in samples]
