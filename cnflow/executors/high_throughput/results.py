"""Results from the wire as outcomes: values are loaded, failures become errors that say what to do."""

from __future__ import annotations

from concurrent.futures import CancelledError
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnflow.errors import (
    AppTimeout,
    ItemLostError,
    ManagerLost,
    PythonMismatchError,
    RemoteError,
    SerializationError,
    TaskCutOff,
    TaskDoesNotFitError,
    WorkerLost,
)
from cnflow.executors.high_throughput.source_lines import with_source_lines
from cnflow.model.item import KEY_SIZE
from cnflow.model.task import Outcome
from cnflow.tasks.call import Raised, is_usable
from cnflow.text import describe_error
from cnflow.wire import serialization
from cnflow.wire.failure_bodies import decode_timed_out, decode_worker_lost
from cnflow.wire.messages import Frames, Result, payload_parts
from cnflow.wire.pipe import Part, ResultKind
from cnflow.wire.unloadable import place_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.ids import TaskId
    from cnflow.model.provenance import Place


class TaskTraceback(Exception):  # noqa: N818 - Python prints the name above the user's traceback, as its heading
    """Cause of the user's exception, so that Python prints the traceback of the worker above it."""

    __module__ = "builtins"  # the heading is the bare name then

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


NO_PLACES: Mapping[int, Place] = MappingProxyType({})
"""Where nothing is known of managers."""

_LOADABLE = frozenset({"", serialization.MINOR})
"""Minor versions whose results can be loaded in the driver."""


def outcome_of(
    result: Result, frames: Frames, title: Callable[[TaskId], str], places: Mapping[int, Place] = NO_PLACES
) -> Outcome:
    """Outcome of the task of *result*.

    Args:
        result: of an attempt.
        frames: its large parts.
        title: returns the name of a task for messages.
        places: of managers, by their numbers.
    """
    number = result.id
    if result.kind == ResultKind.VALUE and not frames and result.python in _LOADABLE:  # nearly always
        try:
            value = serialization.load(result.body)
        except BaseException as error:  # noqa: BLE001 - a user's type may fail in any way, and end no thread of the driver
            outcome = _unloadable(number, error, title, result.body, ())
        else:
            place = places.get(result.manager)
            return Outcome(number, value, None, "", place, result.ended, result.seconds, (), result.worker)
    else:
        outcome = _outcome_of(result, frames, title)
    place = places.get(result.manager)
    return outcome._replace(place=place, ended=result.ended, seconds=result.seconds, worker=result.worker)


def _outcome_of(result: Result, frames: Frames, title: Callable[[TaskId], str]) -> Outcome:
    number = result.id
    body, *buffers = (
        bytearray(getattr(part, "buffer", part)) if frames else part for part in payload_parts(result, frames)
    )
    if result.kind == ResultKind.VALUE and result.python not in _LOADABLE:
        place = place_in(body, buffers, ("result",), has_foreign_code=True)
        return Outcome(number, None, _python_mismatch(title(number), result.python, place))
    if result.kind == ResultKind.VALUE:
        return _value(number, body, buffers, title)
    try:
        if result.kind == ResultKind.RAISED:
            raised = Raised(*serialization.load(body))
            return _raised(number, raised if result.python in _LOADABLE else raised._replace(exception=b""))
        error = _error(result.kind, body, title(number))
    except Exception as malformed:  # noqa: BLE001 - a node may send anything, and the other results are still wanted
        error = SerializationError(f"The result of {title(number)} is malformed: {malformed}.")
    return Outcome(number, None, error)


def _value(number: TaskId, body: Part, buffers: Sequence[Any], title: Callable[[TaskId], str]) -> Outcome:
    try:
        return Outcome(number, serialization.load(body, buffers))
    except BaseException as error:  # noqa: BLE001 - the same
        return _unloadable(number, error, title, body, buffers)


def _unloadable(
    number: TaskId, error: BaseException, title: Callable[[TaskId], str], body: Part, buffers: Sequence[Any]
) -> Outcome:
    wrapped = SerializationError(
        f"The result of {title(number)} cannot be loaded in the driver: {describe_error(error)}"
        f"{f' ({place})' if (place := place_in(body, buffers, ('result',))) else ''}. "
        "Return plain values (lists, numbers, bytes), or install the package in the driver too.",
    )
    wrapped.__cause__ = error
    return Outcome(number, None, wrapped)


def _error(kind: int, body: Part, task: str) -> BaseException:
    if kind == ResultKind.CANCELLED:
        return CancelledError()
    if kind == ResultKind.TIMED_OUT:
        overrun = decode_timed_out(body)
        return AppTimeout(overrun.app_name, overrun.walltime)
    if kind == ResultKind.UNPICKLABLE:
        return SerializationError(
            f"{task} ran, but its result cannot be pickled: {bytes(body).decode(errors='replace')}. "
            "Return plain values, or write it to a file and return the path.",
        )
    if kind == ResultKind.WORKER_LOST:
        loss = decode_worker_lost(body)
        return WorkerLost(task, loss.where, loss.exitcode, loss.stderr_tail, loss.cause)
    if kind == ResultKind.ITEM_LOST:
        return _item_lost(bytes(body), task)
    return _not_run(kind, bytes(body).decode(), task)


def _item_lost(body: bytes, task: str) -> ItemLostError:
    error = ItemLostError(f"{task} could not be started: {body[KEY_SIZE:].decode(errors='replace')}.")
    error.key = body[:KEY_SIZE]
    return error


def _not_run(kind: int, words: str, task: str) -> BaseException:
    if kind == ResultKind.ARGUMENT_LOST:
        return ManagerLost(f"{task} could not be started on {words}.")
    if kind in {ResultKind.CUT_OFF, ResultKind.RETURNED}:
        return TaskCutOff(task, words, ran=kind == ResultKind.CUT_OFF)
    if kind == ResultKind.DOES_NOT_FIT:
        return _too_big(task, words)
    sent, found, where = words.split(" ", 2)
    return PythonMismatchError(
        f"{task} was refused: its code was pickled on Python {sent}, and the workers run Python {found} ({where})."
    )


def _too_big(task: str, words: str) -> TaskDoesNotFitError:
    wanted, *nodes = words.splitlines()
    known = "\n".join(f"    {node}" for node in nodes)
    return TaskDoesNotFitError(
        f"{task} asks for {wanted}, which no node has. Ask for less, or for blocks with larger nodes. Known:\n{known}"
    )


def _python_mismatch(task: str, python: str, place: str) -> PythonMismatchError:
    return PythonMismatchError(
        f"{task} ran, but its result holds code of Python {python}, which cannot be loaded "
        f"on Python {serialization.MINOR}{f': {place}' if place else ''}. "
        "Return values, not functions or classes that were made where the task ran.",
    )


def _raised(number: TaskId, raised: Raised) -> Outcome:
    error = _user_error(raised._replace(traceback_text=with_source_lines(raised.traceback_text)))
    words = f"{raised.type_name}: {raised.message}" if raised.message else raised.type_name
    return Outcome(number, None, error, words)


def _user_error(raised: Raised) -> BaseException:
    remote = RemoteError(raised.type_name, raised.message, raised.traceback_text)
    try:
        error: BaseException = serialization.load(raised.exception)
        if not issubclass(type(error), BaseException) or not is_usable(error):
            return remote
        if raised.traceback_text:
            error.__cause__ = TaskTraceback(raised.traceback_text)
    except BaseException:  # noqa: BLE001 - a class that is not here, or whose constructor refuses its own pickle or exits
        return remote
    return error
