"""Serialization of tasks: functions once for each version, arguments once per task; errors name what is unpicklable."""

from __future__ import annotations

import inspect
import os
import re
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput.function_versions import version_of
from cnflow.executors.high_throughput.local_packages.overlay import PackagedVersion
from cnflow.executors.high_throughput.own_modules.registry import registry
from cnflow.executors.high_throughput.own_modules.rules import Rules
from cnflow.executors.high_throughput.portable import portable_if_possible
from cnflow.ids import FIRST_CALL
from cnflow.model.item import collect
from cnflow.model.task import NO_MODULES, NO_OPTIONS
from cnflow.tasks.node_shape import needs_of
from cnflow.tasks.streams import target_of
from cnflow.text import describe_error, is_ctrl_c
from cnflow.wire import serialization
from cnflow.wire.messages import task_parcel

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.executors.high_throughput.function_versions import FunctionVersion
    from cnflow.executors.high_throughput.local_packages.overlay import LocalPackages
    from cnflow.executors.high_throughput.shared_arguments import SharedArguments
    from cnflow.interfaces import ItemStore
    from cnflow.model.item import Item
    from cnflow.model.task import AppFunction, Kept, RunOptions, TaskToRun
    from cnflow.wire.code_pickler import ClassId
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import TaskParcel
    from cnflow.wire.serialization import Payload


class TaskSerializer:
    """Serializes the tasks of one executor. Safe from any thread: a race can only serialize a function twice.

    Args:
        packages: the user's own packages that travel along.
        keep_from: bytes from which results stay on their nodes; None where tasks alone say so.
    """

    def __init__(self, packages: LocalPackages | None = None, keep_from: int | None = None) -> None:
        self._packages = packages
        self._keep_from = keep_from
        self.store: ItemStore | None = None
        """Gets the values of references among the arguments; set by the executor."""

        self.memory: SharedArguments | None = None
        """Takes large arguments of tasks on this machine; set by the factory."""

        self._packaged: WeakKeyDictionary[AppFunction, PackagedVersion] = WeakKeyDictionary()
        self.has_needs = False
        """The interchange is to look at each task: one so far had `resources`, items, or is a call of a model."""

        self.has_other_pythons = False
        """A worker so far has refused bytecode of the driver's Python: code is sent as source where it can be."""

        self.version_of: Callable[[AppFunction], FunctionVersion] = (
            version_of if packages is None else self._version_with_packages
        )
        """Returns the function of an app as it is now, for `TaskToRun.version`."""

    def _version_with_packages(self, app: AppFunction) -> FunctionVersion:
        assert self._packages is not None  # else this is not used
        version, overlay = version_of(app), self._packages.current()
        before = self._packaged.get(app)
        if before is None or before.version is not version or before.overlay is not overlay:
            before = self._packaged[app] = PackagedVersion(version, overlay)
        return before  # type: ignore[return-value]  # it has the attributes of one

    def serialize(self, task: TaskToRun, attempt: int = 0) -> tuple[Function, TaskParcel]:
        """Return the function of *task*, and the parcel of its arguments and options for *attempt*.

        Raises:
            SerializationError: names the function or the argument that cannot be pickled.
            BadStdStreamFile: the options give a stream something other than a path.
        """
        if self._keep_from is not None and task.id < FIRST_CALL:  # who made a call beside the graph waits for the value
            task = _with_limit(task, self._keep_from)
        version: FunctionVersion | None = task.version
        if version is None or version.source is not task.app.function:
            version = self.version_of(task.app)  # a staging or a retry_handler has replaced the function
        function = version.function
        if function is None:
            raise _describe_unpicklable_function(f"function of {task.title}", task.app, version.error)
        options: tuple[Any, ...] = ()
        walltime, needs = 0.0, None
        if task.options is not NO_OPTIONS:
            options, walltime = _plain_options(task.options), task.options.walltime or 0.0
            if task.options.resources is not None:
                needs, self.has_needs = needs_of(task.options.resources), True
        elif not task.args and not task.kwargs:
            if self.has_other_pythons:
                function = portable_if_possible(function, serialization.NO_ARGUMENTS)[0]
            function = self._with_packages(function, version)
            return function, task_parcel(task.id, function.id, serialization.NO_ARGUMENTS, attempt=attempt)
        payload, modules, items = _packed_arguments(task, options, version.class_id, self.store, self.memory)
        if modules:
            function = version.function_with(modules) or function
        if self.has_other_pythons:
            function, payload = portable_if_possible(function, payload)
        function = self._with_packages(function, version)
        parcel = task_parcel(task.id, function.id, payload, walltime, needs, attempt)
        return function, self._completed(parcel, task, items)

    def function_of(self, app: AppFunction) -> Function:
        """Return the function of *app* as tasks of it have it now.

        Raises:
            SerializationError: it cannot be pickled.
        """
        version = self.version_of(app)
        if version.function is None:
            raise _describe_unpicklable_function(f"function {app.name}", app, version.error)
        function = version.function
        if self.has_other_pythons:
            function = portable_if_possible(function, serialization.NO_ARGUMENTS)[0]
        return self._with_packages(function, version)

    def _completed(self, parcel: TaskParcel, task: TaskToRun, items: tuple[Item, ...]) -> TaskParcel:
        head = parcel[0]
        if task.batch is not None:
            head.rows, head.apart, head.is_bulk = task.batch
            self.has_needs = True
        if items:
            head.items, self.has_needs = items, True  # the interchange is to look at them
        return parcel

    def _with_packages(self, function: Function, version: FunctionVersion) -> Function:
        overlay = getattr(version, "overlay", None) if self._packages is not None else None
        return function if overlay is None else overlay.with_function(function)


def _with_limit(task: TaskToRun, keep_from: int) -> TaskToRun:
    """Return *task*, whose result stays on its node from *keep_from* bytes on, unless the call has it otherwise."""
    is_own = task.options.keep_from is not None
    return task if is_own else task._replace(options=task.options._replace(keep_from=keep_from))


def _packed_arguments(
    task: TaskToRun,
    options: tuple[Any, ...],
    class_id: ClassId,
    store: ItemStore | None,
    memory: SharedArguments | None = None,
) -> tuple[Payload, frozenset[str], tuple[Item, ...]]:
    """Return the pickled arguments, of the first attempt if they are kept, names of own modules and items in them."""
    kept = task.kept
    if kept is not None and kept.payload is not None:
        return kept.payload, kept.modules, kept.items
    value, modules = (task.args, task.kwargs, *options), NO_MODULES
    items: tuple[Item, ...] = ()
    try:
        payload = serialization.dump_plain(value)
        if payload is not None:
            payload = _shared(payload, kept, memory) or payload
        else:
            rules = Rules()
            with collect(store) as noted:
                dumped = serialization.dump_anything(value, class_id, rules)
                payload = _shared(dumped, kept, memory) or _copy_buffers(dumped)
            items = tuple(noted.values())
            modules = frozenset(rules.names)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        raise SerializationError(_describe_unpicklable(task, error)) from error
    if kept is not None:
        kept.payload, kept.modules, kept.items = payload, modules, items
    return payload, modules, items


def _shared(payload: Payload, kept: Kept | None, memory: SharedArguments | None) -> Payload | None:
    """Copy *payload* to memory that workers map, if they can and it is large; return what loads it from there."""
    if memory is None or not memory.is_on or kept is None:
        return None
    shared = memory.packed(payload)
    if shared is None:
        return None
    packed, kept.memory = shared
    return packed


def _copy_buffers(payload: Payload) -> Payload:
    """Copy the buffers out of band: the user may change that memory before the task has left the driver."""
    if not payload.buffers:
        return payload
    return payload._replace(buffers=tuple(memoryview(bytes(view)) for view in payload.buffers))


def _plain_options(options: RunOptions) -> tuple[Any, ...]:
    """*options* as plain builtins, in a tuple; empty where only options are set that travel in the task's head."""
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
            options.pipefail,
            options.folder,
            None if options.leaves is None else [tuple(leave) for leave in options.leaves],
            None,  # resources, which workers ignore
            options.keep_from,
            [os.fsdecode(pattern) for pattern in options.patterns],
        ),
    )


def _describe_unpicklable_function(what: str, app: AppFunction, error: BaseException | None) -> SerializationError:
    if isinstance(error, SerializationError):
        return SerializationError(f"The {what} cannot be sent: {error}")
    words = "" if error is None else _words_on(error)
    reason = (
        "It refers to a value (a global, a default, a variable of a closure) that is nested too deeply: make that "
        "inside the function, or keep it in a flatter form."
        if _is_too_deep(error)
        else "It refers to something that lives in the driver only (a lock, an open file, a connection): make that "
        "inside the function, or pass what it is made from."
    )
    described = SerializationError(f"The {what} cannot be pickled: {words}. {reason}{_why_by_value(app)}")
    described.__cause__ = error
    return described


def _is_too_deep(error: BaseException | None) -> bool:
    return isinstance(error, RecursionError) or isinstance(getattr(error, "__cause__", None), RecursionError)


def _why_by_value(app: AppFunction) -> str:
    """Sentence on the module of the function, if that is the user's own and travels by value."""
    module = getattr(app.original, "__module__", None)
    own = registry.find(module) if isinstance(module, str) else None
    return f" {own.why_by_value}" if own is not None and own.why_by_value else ""


def _describe_unpicklable(task: TaskToRun, error: BaseException) -> str:
    """Sentence that names the argument of *task* which cannot be pickled."""
    words = _words_on(error)
    try:
        place = _unpicklable_argument(task)
    except BaseException as broken:  # a key's __repr__, an object's __getattr__
        if is_ctrl_c(broken):
            raise
        place = ""
    if not place:
        return f"The arguments of {task.title} cannot be pickled: {words}."
    if _is_too_deep(error):
        name = re.split(r"[.\[]", place)[0]
        return (
            f"Argument {name!r} of {task.title} is nested too deeply to be pickled ({words}). Pass it in a flatter "
            "form, such as a list of its parts, or run the app in threads of the driver."
        )
    return (
        f"Argument {place!r} of {task.title} cannot be pickled: {words}. "
        "Pass what it is made from (a path, an address) and open it inside the function."
    )


def _unpicklable_argument(task: TaskToRun) -> str:
    """Path to the part of the arguments that cannot be pickled; empty if each of them can."""
    try:
        bound = inspect.signature(task.app.original).bind(*task.args, **task.kwargs).arguments
    except (TypeError, ValueError):  # arguments that do not fit, or a builtin without a signature
        bound = {**{str(n): value for n, value in enumerate(task.args)}, **task.kwargs}
    for name, value in bound.items():
        place = _unpicklable_in(value)
        if place is not None:
            return name + place
    return ""


def _words_on(error: BaseException) -> str:
    """Text of *error*, with its class where that is no usual one of pickling."""
    words = describe_error(error)
    return words.partition(": ")[2] or words if isinstance(error, Exception) else words


def _unpicklable_in(value: Any, depth: int = 0) -> str | None:  # noqa: ANN401 - any user's value
    """Path to the innermost part of *value* that cannot be pickled, such as ``['model'].lock``; None if all can."""
    try:
        serialization.dump(value)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        if isinstance(value, Future):
            return ""  # its inside is of no use to the user
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
