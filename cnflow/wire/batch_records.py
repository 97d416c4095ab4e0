"""Records of batches and of models that are loaded, between a manager and its worker; `pipe` has the framing.

::

    BATCH    id: number of tasks   seconds: walltime of each, counted from the start of the batch; 0 for none
             parts: function id | table of (task id, number of parts) | body, buffers ... of the first task | ...
    LOAD     parts: function id
    UNLOAD   parts: function id; without a reply
    LOADED   seconds: time that the load took   parts: function id | error, empty if it is loaded | description

A batch has one position for `pipe.pack_stop`, as a task has. The worker answers a batch with one result of each of its
tasks, in their order, and a stopped one with `CANCELLED` of each.  A batch of several that is not done at its walltime
has no answer: `UNANSWERED` of each, and the manager sends halves of it again.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from cnflow.wire.pipe import Part, Record, ResultKind, ToWorker, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENTRY = struct.Struct("<QI")


class BatchRecord(NamedTuple):
    """Tasks that a worker answers with one call of its model."""

    function: bytes
    walltime: float
    calls: list[tuple[int, list[Part]]]
    """Task id, and its body and buffers."""


class LoadedRecord(NamedTuple):
    """Reply of a worker to LOAD."""

    function: bytes
    seconds: float
    error: str
    """Class, text and traceback of what was raised; empty if the model is loaded."""

    description: bytes
    """`cnflow.tasks.models.Description` as JSON."""


def pack_batch(function: bytes, walltime: float, calls: Sequence[tuple[int, Sequence[Part]]]) -> list[Part]:
    """Chunks of a BATCH record; *calls* are task ids with body and buffers."""
    table = b"".join([_ENTRY.pack(task, len(parts)) for task, parts in calls])
    return pack(
        ToWorker.BATCH, len(calls), walltime, [function, table, *(part for _, parts in calls for part in parts)]
    )


def unpack_batch(record: Record) -> BatchRecord:
    """Content of a BATCH record."""
    function, table, *rest = record.parts
    calls, at = [], 0
    for task, count in _ENTRY.iter_unpack(table):
        calls.append((task, rest[at : at + count]))
        at += count
    return BatchRecord(bytes(function), record.seconds, calls)


def pack_load(function: bytes) -> list[Part]:
    """Chunks of a LOAD record."""
    return pack(ToWorker.LOAD, 0, 0.0, [function])


def pack_unload(function: bytes) -> list[Part]:
    """Chunks of an UNLOAD record."""
    return pack(ToWorker.UNLOAD, 0, 0.0, [function])


def pack_loaded(loaded: LoadedRecord) -> list[Part]:
    """Chunks of a LOADED record."""
    error = loaded.error.encode(errors="replace")
    return pack(ResultKind.LOADED, 0, loaded.seconds, [loaded.function, error, loaded.description])


def unpack_loaded(record: Record) -> LoadedRecord:
    """Content of a LOADED record."""
    function, error, description = (bytes(part) for part in record.parts)
    return LoadedRecord(function, record.seconds, error.decode(errors="replace"), description)
