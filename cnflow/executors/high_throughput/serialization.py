"""Tasks as bytes: functions once each, arguments once per task, and errors that name what cannot be pickled."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import sys
import sysconfig
import weakref
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.errors import SerializationError
from cnflow.ids import FunctionId
from cnflow.model import pickle_hooks
from cnflow.model.task import NO_OPTIONS
from cnflow.tasks.streams import target_of
from cnflow.wire import serialization
from cnflow.wire.manager_messages import Needs
from cnflow.wire.messages import Function, TaskParcel, task_parcel

if TYPE_CHECKING:
    from types import ModuleType

    from cnflow.model.resources import Resources
    from cnflow.model.task import AppFunction, RunOptions, TaskToRun

_LIBRARIES = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


class TaskSerializer:
    """Packs tasks for one executor. Safe from any thread: the worst that a race does is to pickle a function twice."""

    def __init__(self) -> None:
        self.has_needs = False
        """Whether any task so far said what it needs of its node."""

        self._functions: weakref.WeakKeyDictionary[AppFunction, Function] = weakref.WeakKeyDictionary()

    def pack(self, task: TaskToRun) -> tuple[Function, TaskParcel]:
        """*task* as it travels, and its function.

        Raises:
            SerializationError: names the function or the argument that cannot be pickled.
            BadStdStreamFile: the options name something for a stream that is no path.
        """
        function = self._functions.get(task.app)
        if function is None:
            function = self._functions[task.app] = _pack_function(task)
        options: tuple[Any, ...] = ()
        walltime, needs = 0.0, None
        if task.options is not NO_OPTIONS:
            options, walltime = _plain(task.options), task.options.walltime or 0.0
            if task.options.resources is not None:
                needs, self.has_needs = _needs(task.options.resources), True
        elif not task.args and not task.kwargs:
            return function, task_parcel(task.id, function.id, serialization.NO_ARGUMENTS)
        try:
            packed = serialization.dump((task.args, task.kwargs, *options))
        except Exception as error:
            raise SerializationError(_blame(task, error)) from error
        return function, task_parcel(task.id, function.id, packed, walltime, needs)


def _needs(resources: Resources) -> Needs:
    cores, memory, gpus, priority = resources
    return Needs(
        -1.0 if cores is None else float(cores),
        -1 if memory is None else memory,
        -1 if gpus is None else int(gpus),
        math.inf if priority is None else float(priority),
    )


def _plain(options: RunOptions) -> tuple[Any, ...]:
    """*options* made of plain builtins, in a tuple; nothing where those that travel apart are all."""
    if options._replace(walltime=None, resources=None) == NO_OPTIONS:
        return ()
    return (
        (
            options.walltime,
            *(
                target and tuple(target)
                for target in (target_of(options.stdout, "stdout"), target_of(options.stderr, "stderr"))
            ),
            {str(name): str(value) for name, value in options.env.items()},
            options.sandbox,
            [os.fsdecode(path) for path in options.inputs],
            [os.fsdecode(path) for path in options.outputs],
        ),
    )


def _pack_function(task: TaskToRun) -> Function:
    app = task.app
    for module in {getattr(function, "__module__", None) or "" for function in (app.function, app.original)}:
        _ship_by_value(sys.modules.get(module))
    try:
        function = pickle_hooks.prepared(app.function)
        body, buffers, python = serialization.dump(function)
    except Exception as error:
        raise SerializationError(
            f"The function of {task.title} cannot be pickled: {error}. It refers to something that lives in the driver "
            "only (a lock, an open file, a connection): make that inside the function, or pass what it is made from."
        ) from error
    body = body if not buffers else serialization.dump_in_band(function)
    identity = hashlib.blake2b(f"{app.kind} {app.name} ".encode() + body, digest_size=16).digest()
    return Function(FunctionId(identity), app.name, int(app.kind), python, body)


def _ship_by_value(module: ModuleType | None) -> None:
    """Have functions of the user's own *module* travel whole: an image has his libraries, not his script's folder."""
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ == "__main__" or module.__name__.partition(".")[0] == "cnflow":
        return
    if not str(Path(file).resolve()).startswith(_LIBRARIES):
        serialization.pickle_by_value(module)


def _blame(task: TaskToRun, error: Exception) -> str:
    """Which argument it was."""
    try:
        bound = inspect.signature(task.app.original).bind(*task.args, **task.kwargs).arguments
    except (TypeError, ValueError):  # arguments that do not fit, or a builtin without a signature
        bound = {**{str(n): value for n, value in enumerate(task.args)}, **task.kwargs}
    for name, value in bound.items():
        place = _unpicklable_in(value)
        if place is not None:
            return (
                f"Argument {name + place!r} of {task.title} cannot be pickled: {error}. "
                "Pass what it is made from (a path, an address) and open it inside the function."
            )
    return f"The arguments of {task.title} cannot be pickled: {error}."


def _unpicklable_in(value: Any, depth: int = 0) -> str | None:  # noqa: ANN401 - any user's value
    """Path to the innermost part of *value* that cannot be pickled, such as ``['model'].lock``; None if all can."""
    try:
        serialization.dump(value)
    except Exception:  # noqa: BLE001 - a user's type may fail in any way
        if isinstance(value, Future):
            return ""  # what is in there is nobody's business
        inner = _parts(value) if depth < 4 else []  # noqa: PLR2004 - deep enough to find, shallow enough to read
        for name, part in inner:
            place = _unpicklable_in(part, depth + 1)
            if place is not None:
                return name + place
        return ""
    return None


def _parts(value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{n}]", part) for n, part in enumerate(value)]
    return [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]
