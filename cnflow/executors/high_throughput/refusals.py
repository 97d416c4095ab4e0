"""What becomes of a task whose bytecode a worker of another minor version of Python has refused.

::

    REFUSED ──> made portable ──> sent again, under another attempt; so are all later tasks of the executor
                    └── not possible ──> PythonMismatchError: what cannot cross, and what to do
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Protocol

from cnflow.errors import CnflowError, PythonMismatchError
from cnflow.executors.high_throughput.portable import NotPortableError, portable_arguments, portable_function
from cnflow.model.task import Outcome, title_of
from cnflow.wire.messages import payload_parts, task_parcel
from cnflow.wire.pipe import ResultKind
from cnflow.wire.serialization import Payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.executors.high_throughput.bulk_line import BulkLine
    from cnflow.executors.high_throughput.held_tasks import HeldTask
    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.ids import TaskId
    from cnflow.wire.messages import Result, ResultParcel


class TaskOwner(Protocol):
    """Executor of the tasks."""

    def replace_held(self, task: TaskId, held: HeldTask, again: HeldTask, sent: SerializedTask) -> bool:
        """Send a task again; False if it is not wanted any more."""


class Refusals:
    """Makes refused tasks portable; used by the thread that brings results.

    Args:
        serializer: of the executor; makes its later tasks portable from the first refusal on.
        bulk: has the large arguments.
        attempts: numbers for attempts.
    """

    def __init__(self, serializer: TaskSerializer, bulk: BulkLine, attempts: Iterator[int]) -> None:
        self._serializer = serializer
        self._bulk = bulk
        self._attempts = attempts

    def send_as_source(
        self, parcels: Iterable[ResultParcel], held: Mapping[TaskId, HeldTask], owner: TaskOwner
    ) -> tuple[list[ResultParcel], list[Outcome]]:
        """Send refused tasks again; return all other results, and outcomes of tasks that cannot be sent."""
        others: list[ResultParcel] = []
        outcomes: list[Outcome] = []
        for parcel in parcels:
            result = parcel[0]
            present = held.get(result.id)
            if result.kind != ResultKind.REFUSED or present is None:
                others.append(parcel)
                continue
            try:
                made = self._portable(present, result)
            except CnflowError as error:
                outcomes.append(Outcome(result.id, None, error))
                continue
            if made is None:
                continue
            again, sent = made
            if owner.replace_held(result.id, present, again, sent):
                self._bulk.release([(result.id, present.attempt)])
            else:
                self._bulk.release([(result.id, again.attempt)])
                outcomes.append(Outcome(result.id, None, CancelledError()))
        return others, outcomes

    def _portable(self, held: HeldTask, result: Result) -> tuple[HeldTask, SerializedTask] | None:
        """Return a task without bytecode: what to keep of it, and what to send. None if it was reported just now."""
        self._serializer.has_other_pythons = True
        function, parcel = held.serialized(self._serializer)
        whole = self._bulk.whole(parcel)
        if whole is None:
            return None
        task, frames = whole
        body, *buffers = payload_parts(task, frames)
        try:
            function = portable_function(function)
            payload = portable_arguments(Payload(body, tuple(map(memoryview, buffers)), task.python))
        except NotPortableError as error:
            raise refusal_error(title_of(task.id, function.name), result, error) from error
        attempt = next(self._attempts)
        made = task_parcel(task.id, function.id, payload, task.walltime, task.needs, attempt)
        made[0].rows, made[0].apart, made[0].is_bulk = task.rows, task.apart, task.is_bulk
        if task.items:
            made[0].items = task.items
            self._bulk.items.on_task(task.id, attempt, task.items)
        sent = self._bulk.packed((function, made))
        return held._replace(function=function, attempt=attempt, content=sent[1]), sent


def refusal_error(title: str, result: Result, reason: NotPortableError) -> PythonMismatchError:
    """Return the error of a task that was refused and cannot be sent as source."""
    sent, found, where = bytes(result.body).decode().split(" ", 2)
    return PythonMismatchError(
        f"{title} cannot run on Python {found} ({where}): the driver has Python {sent}, bytecode does not cross minor "
        f"versions, and {reason} Or use an image with Python {sent}, or run the driver on Python {found}."
    )
