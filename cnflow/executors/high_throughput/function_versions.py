"""Versions of functions: each call of an app is run with the function as it was at the call.

A function changes with all that it refers to: a global is set anew, a cell of a notebook is run again, a class gets
another attribute. Workers are sent the new version then, under an id of its own, and keep the old one for the tasks
that were called before::

    call ──> CodeState of the last version holds? ──yes──> that version: nearly always
                 │no, or it cannot be known
                 v                                           in its first calls it is pickled again as well
             pickle again ──same bytes?──> that version
                 └──other bytes──> a new version: another FunctionId, sent along with its first task

A thread may change a value and change it back while the function is pickled: then the looks before and after find the
same, and the pickle has something else. So a version is settled when the next calls find the same state and pickle.

The classes of the script have versions for the same reason. An unpickled class is one object in each process, by its id
in the pickle, so a changed class gets another id: tasks of before and after it run in one worker. Arguments and results
refer to the class by the id that the function of their task has it under, so that ``isinstance`` holds in the task; the
driver knows each id as its own class.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import uuid
import weakref
from types import FunctionType
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput.code_state import CodeState
from cnflow.executors.high_throughput.large_functions import warn_if_large
from cnflow.executors.high_throughput.own_modules.module import AGREEMENTS
from cnflow.executors.high_throughput.own_modules.registry import EMPTY, Closure, registry, sent_function
from cnflow.executors.high_throughput.own_modules.rules import Rules
from cnflow.ids import FunctionId
from cnflow.model import pickle_hooks
from cnflow.text import is_ctrl_c
from cnflow.wire import serialization
from cnflow.wire.apart import load_apart
from cnflow.wire.function_messages import Batching, Function

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.model.task import AppFunction
    from cnflow.wire.code_pickler import ClassId

_ATTEMPTS = 20
"""Number of times that a function is pickled while other threads change it."""

_OWN_MODULES = b"cnflow.tasks.own_modules"
"""Name in the pickle of a function that is found by its place."""

_RESTLESS = "other threads change what it refers to, faster than it can be pickled. Pass what changes as an argument"


class FunctionVersion:
    """A function at one moment: one object as long as the function does not change.

    Attributes:
        source: the function itself, which may have changed since.
        state: of the function when it was pickled, or when it was found to be the same.
        agreements: number of calls in a row that found the same state and pickle; the state alone is looked at after
            `AGREEMENTS` of them.
        function: what is sent; None if the function could not be pickled.
        error: why it could not.
        modules: the user's own modules to which it refers, and those that they import.
        classes: those that were pickled by value, with their ids.
        class_id: gives the ids of classes in values that go to a task of this function.
    """

    __slots__ = (
        "_apart",
        "_variants",
        "agreements",
        "class_id",
        "classes",
        "error",
        "function",
        "modules",
        "source",
        "state",
    )

    def __init__(self, source: Callable[..., Any], state: CodeState) -> None:
        self.source = source
        self.state = state
        self.agreements = 0
        self.function: Function | None = None
        self.error: BaseException | None = None
        self.modules = EMPTY
        self.classes: dict[type, str] = {}
        self.class_id: ClassId = functools.partial(_class_versions.id_for_task, self.classes)
        self._apart: Any = None
        self._variants: dict[frozenset[str], tuple[Closure, Function]] = {}

    def is_same(self, other: FunctionVersion) -> bool:
        """Return True if *other*, a version of the same app, is sent as the same bytes, with the same classes."""
        return self.function == other.function is not None and self.classes == other.classes

    def function_apart(self) -> Callable[..., Any] | None:
        """Return the function as it was pickled, to look at: a copy that nothing changes any more.

        None for a function that is or has what only its own methods can load, which are not to be called here, or that
        is found by its place in the source of a module.
        """
        is_plain = self.function is not None and self.state.is_provable and _OWN_MODULES not in self.function.body
        if self._apart is None and self.function is not None and is_plain:
            self._apart = load_apart(self.function.body)
        return self._apart if isinstance(self._apart, FunctionType) else None

    def function_with(self, names: frozenset[str]) -> Function | None:
        """Return the function for a task whose arguments refer to the own modules *names*."""
        if self.function is None or names <= self.modules.names:
            return self.function
        closure, function = self._variants.get(names, (EMPTY, self.function))
        if closure is EMPTY or not closure.holds():
            closure = registry.closure(names)
            function = sent_function(self.function, self.modules.joined(closure))
            self._variants[names] = closure, function
        return function


def version_of(app: AppFunction) -> FunctionVersion:
    """Return the present version of the function of *app*. Safe from any thread; called for each task."""
    version: FunctionVersion | None = app.version
    is_present = (
        version is not None
        and version.error is None
        and version.state.holds()
        and (not version.modules.names or version.modules.holds())
    )
    if version is not None and is_present and version.agreements >= AGREEMENTS:
        return version
    made = _make(app)
    if version is not None and version.is_same(made):
        version.state, version.modules = made.state, made.modules
        version.agreements = version.agreements + 1 if is_present and made.state.holds() else 0
        return version
    app.version = made
    return made


def _make(app: AppFunction) -> FunctionVersion:
    """Pickle the function of *app* between two looks that find the same, or twice to the same bytes."""
    before: FunctionVersion | None = None
    for _ in range(_ATTEMPTS):
        state = CodeState(app.function)
        made = _pickle(app, state)
        if not state.is_provable or state.holds():
            return made
        if before is not None and made.is_same(before) and not made.classes:  # a class and its id may be of two moments
            state.expire()  # may be another one than the pickle's
            return made
        before = made
    made.function, made.error = None, RuntimeError(_RESTLESS)
    return made


def _pickle(app: AppFunction, state: CodeState) -> FunctionVersion:
    version = FunctionVersion(app.function, state)
    class_id = functools.partial(_class_versions.id_for_function, version.classes)
    rules = Rules()
    try:
        function = pickle_hooks.picklable(app.function)
        body, buffers, python = serialization.dump(function, class_id, rules)
        body = body if not buffers else serialization.dump_in_band(function, class_id, rules)
        version.modules = registry.closure(rules.names)
    except BaseException as error:  # a user's type may fail in any way; the task fails with it
        if is_ctrl_c(error):
            raise
        version.error = error
        return version
    limits = f"{app.batching} " if app.batching is not None else ""
    identity = hashlib.blake2b(f"{app.kind} {app.name} {limits}".encode() + body, digest_size=16).digest()
    batching = None if app.batching is None else Batching(*app.batching)
    sent = Function(FunctionId(identity), app.name, int(app.kind), python, body, batching=batching)
    version.function = sent_function(sent, version.modules)
    warn_if_large(app, len(body), is_pickled_at_each_call=not state.is_provable)
    return version


class _ClassVersion:
    """Versions of one class: the ids of all, by content, and the present one."""

    __slots__ = ("agreements", "by_content", "first", "present", "state")

    def __init__(self, first: str) -> None:
        self.first = self.present = first
        self.by_content: dict[bytes, str] = {}
        self.state: CodeState | None = None
        self.agreements = 0  # as those of a function


class _ClassVersions:
    """Ids of the script's classes. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # pickling a class asks for those that it refers to
        self._known: weakref.WeakKeyDictionary[type, _ClassVersion] = weakref.WeakKeyDictionary()

    def id_for_function(self, classes: dict[type, str], cls: type, made: str, parts: object) -> str:
        """Return the id of the version of *cls* that has *parts*, and note it in *classes*. *made* is cloudpickle's."""
        identity = classes[cls] = self._id_of(cls, made, parts)
        return identity

    def id_for_task(self, classes: dict[type, str], cls: type, made: str, parts: object) -> str:
        """Return the id of *cls* among *classes*, those of the task's function, else that of the version of *parts*."""
        return classes.get(cls) or self._id_of(cls, made, parts)

    def _id_of(self, cls: type, made: str, parts: Any) -> str:  # noqa: ANN401 - cloudpickle's arguments and state
        with self._lock:
            version = self._known.get(cls)
            if version is None:
                version = self._known[cls] = _ClassVersion(made)
            is_present = version.state is not None and version.state.holds()
            if is_present and version.agreements >= AGREEMENTS and _are_present(parts, cls):
                return version.present
            state = CodeState(cls)
            pickled = serialization.dump_in_band(parts, self._first_id, Rules())
            content = hashlib.blake2b(pickled, digest_size=16).digest()
            known = version.by_content.get(content)
            if known is None:
                known = uuid.uuid4().hex if version.by_content else version.first
                version.by_content[content] = known
                serialization.track_class(cls, known)
            if not (state.holds() and _are_present(parts, cls)):
                state.expire()
            version.agreements = version.agreements + 1 if is_present and known == version.present else 0
            version.present, version.state = known, state
            return known

    def _first_id(self, cls: type, made: str, _: object) -> str:
        """Return the id under which the content of *cls* is compared, the same for all versions."""
        version = self._known.get(cls)
        if version is None:
            version = self._known[cls] = _ClassVersion(made)
        return version.first


def _are_present(parts: Any, cls: type) -> bool:  # noqa: ANN401 - as above
    """Return False if attributes of *cls* were set since *parts* were read."""
    present = vars(cls)
    return all(present.get(name, value) is value for name, value in parts[1][0].items())


_class_versions = _ClassVersions()
