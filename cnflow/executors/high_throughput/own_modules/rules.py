"""Rules of one pickle: code of the user's own modules is pickled by name, and the modules are noted.

::

    steps.scale            a function that its module has under its name ──> that name
    steps.work             the function of an app, which has its name ─────> function_at("steps", "work")
    inner function, lambda ────────────────────────────────────────────────> its code's place in the source, and the
                                                                             globals of the module: not copies of them
    code of the script ────────────────────────────────────────────────────> as without rules; what it imports is noted
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput import sources
from cnflow.executors.high_throughput.own_modules.imports import uses_of
from cnflow.executors.high_throughput.own_modules.registry import registry
from cnflow.tasks.own_modules import code_at, function_at, globals_of
from cnflow.wire.code_pickler import DISPATCHER, LRU_CACHE

if TYPE_CHECKING:
    from cnflow.executors.high_throughput.own_modules.module import OwnModule


class Rules:
    """Rules for one pickle; see the module.

    Attributes:
        names: own modules to which the pickle refers.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._met: dict[str, OwnModule | None] = {}

    def reduce(self, pickler: Any, obj: Any) -> Any:  # noqa: ANN401 - cloudpickle's pickler, and any value
        """Return how *obj* is pickled; None for the pickler's own way."""
        kind = type(obj)
        if kind is FunctionType:
            return self._reduce_function(pickler, obj)
        if kind is CodeType:
            self._note_imports(obj, "")
            sources.note(obj.co_filename)
        elif kind is ModuleType:
            self._note(obj.__name__)
        elif isinstance(obj, type):
            self._note(obj.__module__)
        elif kind is LRU_CACHE:
            own = self._note(getattr(obj, "__module__", None))
            if own is not None and _attribute(own.name, obj.__qualname__) is obj:
                return NotImplemented
        elif kind is _CodeAt:
            return code_at, (obj.module, obj.name, obj.line)
        elif kind is _GlobalsOf:
            return globals_of, (obj.module,)
        else:
            self._note(kind.__module__)
        return None

    def _note(self, name: Any) -> OwnModule | None:  # noqa: ANN401 - a class may call anything its module
        """Return the own module *name* if it is sent as source, and note it."""
        if type(name) is not str:
            return None
        if name not in self._met:
            own = registry.find(name)
            version = None if own is None else own.version()
            self._met[name] = None if version is None or version.by_value else own
            if self._met[name] is not None:
                self.names.add(name)
        return self._met[name]

    def _note_imports(self, code: CodeType, package: str) -> None:
        for name in uses_of(code, package).imports:
            self._note(name)

    def _reduce_function(self, pickler: Any, function: FunctionType) -> Any:  # noqa: ANN401 - as above
        own = self._note(function.__module__)
        if own is None or function.__globals__ is not vars(own.module):
            self._note_imports(function.__code__, function.__globals__.get("__package__") or "")
            return None
        path = function.__qualname__
        found = _attribute(own.name, path)
        if found is function:
            return NotImplemented
        if function.__code__ is DISPATCHER:
            return None
        if found is not None and _unwrapped(found) is function:
            return function_at, (own.name, path)
        made, args, state, *rest = pickler._dynamic_function_reduce(function)  # noqa: SLF001 - cloudpickle has no other
        code: Any = function.__code__
        place = code.co_name, code.co_firstlineno
        version = own.version()
        if version is not None and code in version.codes and place in version.positions:
            code = _CodeAt(own.name, *place)
        state[1]["__globals__"] = {}
        return made, (code, _GlobalsOf(own.name), *args[2:]), state, *rest


class _CodeAt:
    """Stands for code in the source of an own module."""

    def __init__(self, module: str, name: str, line: int) -> None:
        self.module, self.name, self.line = module, name, line


class _GlobalsOf:
    """Stands for the namespace of an own module."""

    def __init__(self, module: str) -> None:
        self.module = module


def is_sent_as_source(code: FunctionType | type) -> bool:
    """Return whether a function or class is of an own module that is sent as source, whose versions show its changes.

    A module that cannot be sent so is pickled by value from now on.
    """
    own = registry.find(code.__module__) if type(code.__module__) is str else None
    version = None if own is None else own.version()
    if own is None or version is None or version.by_value or not version.records:
        return False
    return isinstance(code, type) or (own.module is not None and code.__globals__ is vars(own.module))


def has_name(function: FunctionType) -> bool:
    """Return whether a function of an own module is pickled by its name there."""
    return _unwrapped(_attribute(function.__module__, function.__qualname__)) is function


def _attribute(module: str, path: str) -> Any:  # noqa: ANN401 - the user's
    found: Any = sys.modules.get(module)
    try:
        for name in path.split("."):
            found = getattr(found, name)
    except Exception:  # noqa: BLE001 - a user's type may fail in any way
        return None
    return found


def _unwrapped(found: Any) -> Any:  # noqa: ANN401 - the user's
    for _ in range(10):
        if isinstance(found, FunctionType):
            return found
        found = getattr(found, "__wrapped__", None)
    return None
