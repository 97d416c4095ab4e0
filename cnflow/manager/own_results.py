"""Results that the manager makes itself, for tasks without a result of a worker. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.wire.failure_bodies import TimedOutBody, encode_timed_out, encode_worker_lost
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from cnflow.manager.incomplete_tasks import Lost
    from cnflow.manager.workers.worker import Worker
    from cnflow.wire.failure_bodies import WorkerLostBody
    from cnflow.wire.messages import ResultParcel, Task


def cancel_result(task: Task) -> ResultParcel:
    """The user cancelled *task*, and it was stopped or never started."""
    return _result(task, ResultKind.CANCELLED, b"")


def loss_result(task: Task, loss: WorkerLostBody) -> ResultParcel:
    """The process of the worker that ran *task* ended."""
    return _result(task, ResultKind.WORKER_LOST, encode_worker_lost(loss))


def overrun_result(task: Task, name: str) -> ResultParcel:
    """*task*, of the app *name*, did not stop at its walltime, and was killed with its worker."""
    return _result(task, ResultKind.TIMED_OUT, encode_timed_out(TimedOutBody(name, task.walltime)))


def refusal_result(task: Task, code_python: str, worker_python: str, where: str) -> ResultParcel:
    """The code of *task* was pickled by another minor version of Python than the one that the workers run."""
    return _result(task, ResultKind.REFUSED, f"{code_python} {worker_python} {where}".encode())


def return_result(task: Task, where: str) -> ResultParcel:
    """*task* was not started, since its manager ends."""
    return _result(task, ResultKind.RETURNED, where.encode())


def lost_result(lost: Lost, where: str) -> ResultParcel:
    """A large argument or an item of a task cannot be had."""
    task = lost.task
    if lost.key:
        body = lost.key + f"{where}: one of its files or values is lost: {lost.reason}".encode()
        return Result(task.id, ResultKind.ITEM_LOST, body, attempt=task.attempt), NO_FRAMES
    words = f"{where}: one of its arguments, files or values did not arrive: {lost.reason}"
    return Result(task.id, ResultKind.ARGUMENT_LOST, words.encode(), attempt=task.attempt), NO_FRAMES


def cut_off_result(task: Task, where: str) -> ResultParcel:
    """*task* was running when its manager had to end."""
    return _result(task, ResultKind.CUT_OFF, where.encode())


def cut_off_results(worker: Worker, where: str) -> list[ResultParcel]:
    """Results of all tasks of a worker that was ended: those that it ran, and those that were not started."""
    tasks, running = [task for task, _ in worker.tasks], len(worker.running_tasks())
    return [
        *(cut_off_result(task, where) for task in tasks[:running]),
        *(return_result(task, where) for task in tasks[running:]),
    ]


def _result(task: Task, kind: ResultKind, body: bytes) -> ResultParcel:
    return Result(task.id, kind, body, attempt=task.attempt), NO_FRAMES
