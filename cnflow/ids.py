"""Types of ids, so that mypy reports an id that is passed as another."""

from __future__ import annotations

from typing import NewType

_SHORT = 12
"""Characters of a long hexadecimal id that name it in practice, e.g. a container's."""

RunId = NewType("RunId", str)
"""Unique among all runs everywhere; labels the containers, pods and jobs of a run."""

TaskId = NewType("TaskId", int)
"""Counts up from 0 within a run; also the order of submission."""

FIRST_CALL = TaskId(2**62)
"""Smallest id of a call that reaches an executor beside the graph: of a request to a served model."""

FunctionId = NewType("FunctionId", bytes)
"""Hash of a function's pickled content, 16 bytes: the same function has the same id in every process."""

BlockId = NewType("BlockId", str)
"""Counts up from "0" within an executor."""

NativeId = NewType("NativeId", str)
"""Id of a block in its provider's own system: a container id, a job number, a process id."""

ManagerId = NewType("ManagerId", bytes)
"""Routing id of a manager on the wire; made by the manager, unique within a run."""

WorkerRank = NewType("WorkerRank", int)
"""Counts up from 0 within a manager; the replacement of a worker keeps its rank."""


def short_native(native: str) -> str:
    """Return *native* for messages: a long hexadecimal id by its first characters, any other id in full."""
    label, slash, own = native.rpartition("/")  # that of one of several providers begins with its label
    is_hexadecimal = len(own) > _SHORT and all(digit in "0123456789abcdef" for digit in own)
    return f"{label}{slash}{own[:_SHORT]}" if is_hexadecimal else native
