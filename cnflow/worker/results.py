"""Makes the records of results, and unpickles the arguments of tasks."""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, Optional

from cnflow.tasks import inside
from cnflow.tasks.call import dump_exception, message_of, name_of_type
from cnflow.wire import serialization
from cnflow.wire.pipe import Part, ResultKind, pack


def load_arguments(name: str, body: Part, buffers: list[Any]) -> tuple[Any, ...]:
    """Return args, kwargs and perhaps options of a task of the app *name*.

    Raises:
        Exception: any that unpickling raises, with a note on the place.
    """
    try:
        return serialization.load(body, buffers)  # type: ignore[no-any-return]  # as the driver has made it
    except Exception as error:
        if isinstance(error, (ImportError, AttributeError)):
            from cnflow.wire.unloadable import name_place

            name_place(error, body, buffers, ("args", "kwargs"))
        note = f"Raised in the worker while the arguments of {name} were unpickled."
        if sys.version_info >= (3, 11):  # the traceback may have no line of the user's code
            error.add_note(note)
        elif type(error) in {TypeError, ValueError, pickle.UnpicklingError}:  # whose argument is their message
            error.args = (f"{error}. {note}",)
        raise


def pack_result(
    kind: ResultKind, task: int, seconds: float, value: object, keep_from: Optional[int] = None
) -> list[Part]:
    """Record of a result. One of *keep_from* bytes or more stays on this node, and the record has words on it."""
    try:
        result, out_of_band, python = payload = serialization.dump_result(value)
        if keep_from is not None and keep_from >= 0:
            from cnflow.tasks import values

            left = values.leave(value, payload, keep_from)
            if left is not None:
                result, out_of_band, python = payload = serialization.dump(tuple(left))
        if out_of_band or len(result) >= serialization.OUT_OF_BAND:
            from cnflow.tasks.shared_values import leave_result

            shared = leave_result(payload)
            if shared:
                result, out_of_band = shared, ()
    except BaseException as error:  # noqa: BLE001 - a user's type may fail in any way; SystemExit is no wish to end here
        kind, python, out_of_band = ResultKind.UNPICKLABLE, "", ()
        message = message_of(error)
        words = message if message and isinstance(error, Exception) else f"{name_of_type(error)} {message}".rstrip()
        result = f"{name_of_type(value)}: {words}".encode(errors="replace")
    return pack(kind, task, seconds, [python.encode(), result, *out_of_band])


def pack_left(task: int) -> list[Part]:
    """Records of the items that the task leaves on this node; they go before that of its result."""
    records: list[Part] = []
    for left in inside.take_left():
        numbers = (str(number).encode() for number in (left.size, int(left.form)))
        parts = [left.key, *numbers, left.name.encode(), os.fsencode(left.path)]
        records += pack(ResultKind.ITEM, task, 0.0, parts)
    return records


def pack_error(task: int, seconds: float, error: BaseException) -> list[Part]:
    """Record of what a task has raised, with the minor version whose bytecode is in the pickled exception."""
    body, python = dump_exception(error)
    return pack(ResultKind.RAISED, task, seconds, [python.encode(), body])
