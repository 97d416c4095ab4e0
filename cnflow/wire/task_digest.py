"""Identity of a task by its content, the same in every process: a driver that adopts a run finds its tasks by it.

The digest covers the function, arguments, options and needs of a task, and neither its number nor its attempt. Tasks of
one digest have one meaning; one task may have two digests, where pickling is not the same in two processes and
`canonical_pickle` does not see that. It then runs again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cnflow.wire.blob_frames import apart
from cnflow.wire.canonical_pickle import DIGEST_BYTES, Content, content_of

if TYPE_CHECKING:
    from cnflow.ids import FunctionId
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import TaskParcel

_encode = msgspec.msgpack.encode


class TaskIdentity(NamedTuple):
    """Identity of a task."""

    digest: bytes
    classes: tuple[str, ...] = ()
    """Ids of the user's classes in function and arguments; equal tasks have as many, in the same order."""


class TaskDigests:
    """Makes digests; keeps those of functions."""

    def __init__(self) -> None:
        self._functions: dict[FunctionId, Content] = {}

    def identity(self, function: Function, parcel: TaskParcel) -> TaskIdentity:
        """Return the identity of a task."""
        code = self._functions.get(function.id)
        if code is None:
            code = self._functions[function.id] = content_of(function.body)
        task, frames = parcel
        small, blobs = apart(task, frames)
        body, *buffers = [memoryview(getattr(part, "buffer", part)) for part in (small or (task.body,))]
        arguments = content_of(bytes(body))
        sizes = [*(part.nbytes for part in buffers), *blobs]
        kind = function.name, function.kind, function.python, function.modules, task.python, task.walltime, task.needs
        classes = code.classes + arguments.classes
        places = [classes.index(each) for each in classes]  # a class of both is the same in both
        head = _encode([kind, code.digest, arguments.digest, sizes, places])
        digest = hashlib.blake2b(head, digest_size=DIGEST_BYTES)
        for part in buffers:
            digest.update(part)
        return TaskIdentity(digest.digest(), classes)
