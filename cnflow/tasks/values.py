"""Values by reference, as a task has them: loads those that lie in the node's area, and leaves results there.

::

    cnflow.put, a result that stayed on a node      pickled as a call of `load_value`; the item travels apart
          │
          v
    the manager brings the item to the area ──> worker: maps the object ──> value, whose arrays are views
    the function's value ──> `leave`: a new file, digest ──> `inside.leave_item` ──> the manager keeps it
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.errors import PythonMismatchError, SerializationError
from cnflow.model.item import ItemForm
from cnflow.tasks import area, inside, value_files
from cnflow.tasks.file_identity import identity_of
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.serialization import MINOR

if TYPE_CHECKING:
    from cnflow.wire.serialization import Payload

NAME = "value"
"""`cnflow.model.item.Item.name` of a result."""


def load_value(key: bytes, private: bool) -> Any:  # noqa: ANN401, FBT001 - pickles call it
    """Return the value of the item *key*; with *private*, its arrays can be written to, each task's its own.

    Raises:
        SerializationError: it is not in this node's area.
    """
    try:
        content = value_files.map_file(area.locate(key), private=private)
    except OSError as error:
        raise SerializationError(
            f"The value {key.hex()} is not on this node: {error}. A reference can be loaded by the tasks that it was "
            "passed to, and nowhere else."
        ) from None
    return loaded(content)


def loaded(content: value_files.Buffer) -> Any:  # noqa: ANN401 - pickles call it
    """Return the value whose bytes are *content*.

    Raises:
        PythonMismatchError: it holds code of another Python.
    """
    python = value_files.python_of(content)
    if python not in {"", MINOR}:
        raise PythonMismatchError(
            f"A value by reference holds code of Python {python}, which cannot be loaded on Python {MINOR}. Pass "
            "values, not functions or classes that were made where the task ran."
        )
    return value_files.load(content)


class Description(NamedTuple):
    """Words on a value that stays on its node, which travel in its place."""

    kind: str
    root: str
    """Root of the node's area."""

    identity: str
    """Of its file, by which the driver knows that it finds the same one at that path on its machine."""


def leave(value: object, payload: Payload, limit: int) -> Optional[Description]:
    """Leave a result on the node if it has *limit* bytes or more, and return words on it; None where it travels.

    So does one for which this node has no room: it is not lost for that.
    """
    chunks = value_files.chunks_of(payload)
    size = value_files.size_of(chunks)
    if size < limit:
        return None
    for folder in area.folders_for_values(size):
        path = ""
        try:
            descriptor, path = tempfile.mkstemp(prefix=area.unfinished_prefix(os.getpid()), dir=folder)
            with os.fdopen(descriptor, "wb") as file:
                value_files.write(file.fileno(), chunks)
                key = digest_of(value_files.map_file(file.fileno()))
                identity = identity_of(file.fileno())
        except OSError as error:
            sys.stderr.write(f"worker: a result of {size} bytes cannot stay in {folder}: {error}\n")
            if path:
                os.unlink(path)
            continue
        except BaseException:  # the task is stopped
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        inside.leave_item(key, size, int(ItemForm.VALUE), NAME, path)
        return Description(kind_of(value), area.root_of_worker(), identity)
    return None


def kind_of(value: object) -> str:
    """Return the type of *value* for people, with the shape of an array."""
    kind = type(value)
    name: str = type.__dict__["__qualname__"].__get__(kind)
    try:
        shape = getattr(value, "shape", None)
        dtype = getattr(value, "dtype", None)
    except Exception:  # noqa: BLE001 - a user's type may fail in any way
        return name
    if isinstance(shape, tuple) and all(isinstance(length, int) for length in shape):
        return f"{name} of {dtype}{list(shape)}" if dtype is not None else f"{name} of {list(shape)}"
    return name
