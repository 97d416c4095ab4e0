"""Actions that `state` orders and `loop` carries out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    from cnflow.ids import FunctionId, WorkerRank
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import TaskParcel


class StartWorker(NamedTuple):
    """Start the worker of this rank, or its successor."""

    rank: WorkerRank


class SendFunction(NamedTuple):
    """Write a function, after its modules, to a worker that lacks it; *forgets* makes it forget all others before."""

    rank: WorkerRank
    functions: list[Function]
    forgets: bool = False


class SendTask(NamedTuple):
    """Write a task to a worker."""

    rank: WorkerRank
    task: TaskParcel


class SendBatch(NamedTuple):
    """Write several calls of one model to an idle worker, which answers them together."""

    rank: WorkerRank
    tasks: list[TaskParcel]


class LoadModel(NamedTuple):
    """Order an idle worker to load a model before its first task."""

    rank: WorkerRank
    function: FunctionId


class UnloadModel(NamedTuple):
    """Order a worker to tear a model down, and to forget its function, before what is sent to it from now on."""

    rank: WorkerRank
    function: FunctionId


class StopTask(NamedTuple):
    """Order a worker to stop a task or a batch; *number* counts those that were written to this worker, from 0."""

    rank: WorkerRank
    number: int


class KillWorker(NamedTuple):
    """Kill a worker, and all that its task started, since the task did not stop. Its exit is reported as any other."""

    rank: WorkerRank


class RestartWorker(NamedTuple):
    """Kill an idle worker, so that its successor sees other accelerators. Its exit is reported as any other."""

    rank: WorkerRank


class Quit(NamedTuple):
    """End the manager: workers cannot run on this node."""

    reason: str


Order = Union[SendFunction, SendTask, SendBatch, LoadModel, UnloadModel]
"""What is written to a worker."""

Action = Union[StartWorker, Order, StopTask, KillWorker, RestartWorker, Quit]
