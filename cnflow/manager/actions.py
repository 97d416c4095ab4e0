"""What the state of a manager has `loop` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    from cnflow.ids import WorkerRank
    from cnflow.wire.messages import Function, TaskParcel


class StartWorker(NamedTuple):
    """Start the worker of this rank, for the first time or anew."""

    rank: WorkerRank


class GiveFunction(NamedTuple):
    """Write a function to a worker that has not seen it."""

    rank: WorkerRank
    function: Function


class GiveTask(NamedTuple):
    """Write a task to a worker."""

    rank: WorkerRank
    task: TaskParcel


class StopTask(NamedTuple):
    """Tell a worker to stop a task, by its number among all that this worker was given, from 0."""

    rank: WorkerRank
    number: int


class KillWorker(NamedTuple):
    """Kill a worker with all that its task started: it does not stop. Its exit is heard of as any other."""

    rank: WorkerRank


class RestartWorker(NamedTuple):
    """Kill a worker that does nothing: its task is to see other accelerators. Its exit is heard of as any other."""

    rank: WorkerRank


class Quit(NamedTuple):
    """Workers cannot live here: end the manager."""

    reason: str


Action = Union[StartWorker, GiveFunction, GiveTask, StopTask, KillWorker, RestartWorker, Quit]
