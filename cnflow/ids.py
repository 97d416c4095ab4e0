"""Ids are types, so that one is never passed for another."""

from __future__ import annotations

from typing import NewType

RunId = NewType("RunId", str)
"""Unique among all runs everywhere; labels what a run makes outside (containers, pods, jobs)."""

TaskId = NewType("TaskId", int)
"""Counts up from 0 within a run; also the order of submission."""

FunctionId = NewType("FunctionId", bytes)
"""Hash of a function's pickled content, 16 bytes: the same function has the same id wherever it is pickled."""

BlockId = NewType("BlockId", str)
"""Counts up from "0" within an executor."""

NativeId = NewType("NativeId", str)
"""What a provider's own system calls a block: a container id, a job number, a process id."""

ManagerId = NewType("ManagerId", bytes)
"""A manager's routing id on the wire; made by the manager, unique within a run."""

WorkerRank = NewType("WorkerRank", int)
"""Counts up from 0 within a manager; a replaced worker keeps its rank."""
