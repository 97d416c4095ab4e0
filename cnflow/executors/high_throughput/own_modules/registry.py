"""Finds the user's own modules: those that are neither of the standard library, nor installed, nor of cnflow."""

from __future__ import annotations

import hashlib
import sys
import threading
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput.own_modules.module import OwnModule
from cnflow.ids import FunctionId
from cnflow.libraries import is_of_library
from cnflow.tasks.own_modules import ID_BYTES
from cnflow.wire.function_messages import Function

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from cnflow.executors.high_throughput.own_modules.module import ModuleVersion

_UNSEEN = object()


class Closure:
    """Some own modules with all those that they import, at one moment.

    Args:
        versions: the modules with their versions, in the order of their names.
    """

    __slots__ = ("_modules", "_names", "_snapshot", "names", "versions")

    def __init__(self, versions: tuple[tuple[OwnModule, ModuleVersion], ...] = ()) -> None:
        self.versions = versions
        self.names = frozenset(module.name for module, _ in versions)
        self._names = [module.name for module, _ in versions]
        self._modules = [module.module for module, _ in versions]
        snapshots = [version.snapshot for _, version in versions if version.snapshot is not None]
        self._snapshot = snapshots[0].joined(snapshots[1:]) if snapshots else None
        if not all(snapshot.is_current() for snapshot in snapshots):  # another thread changes something right now
            self._modules = []

    def holds(self) -> bool:
        """Return whether none of the modules has changed. Called for each task."""
        if not self._names:
            return True
        is_there = [*map(sys.modules.get, self._names)] == self._modules
        return is_there and (self._snapshot is None or self._snapshot.is_current())

    def joined(self, other: Closure) -> Closure:
        """Return these modules, and those of *other* that are not among them."""
        more = tuple(pair for pair in other.versions if pair[0].name not in self.names)
        return Closure(self.versions + more)

    @property
    def records(self) -> tuple[Function, ...]:
        """What is sent of them, in a fixed order."""
        return tuple(record for _, version in self.versions for record in version.records)


EMPTY = Closure()


class _FunctionWithModules(Function, dict=True, gc=True):
    """Function that holds the records of its modules, which are no field of the message."""


def sent_function(function: Function, closure: Closure) -> Function:
    """Return *function* with the modules of *closure*, under an id of its own."""
    records = closure.records
    if not records:
        return function
    modules = tuple(record.id for record in records)
    identity = FunctionId(hashlib.blake2b(function.id + b"".join(modules), digest_size=ID_BYTES).digest())
    python = function.python or next((record.python for record in records if record.python), "")
    return with_records(
        Function(identity, function.name, function.kind, python, function.body, modules, function.batching), records
    )


def with_records(function: Function, records: tuple[Function, ...]) -> Function:
    """Return *function*, which names *records*, as one that holds them."""
    if not records:
        return function
    made = _FunctionWithModules(
        function.id, function.name, function.kind, function.python, function.body, function.modules, function.batching
    )
    made.records = records  # type: ignore[attr-defined]  # in its __dict__
    return made


def records_of(function: Function) -> tuple[Function, ...]:
    """Return the records of the modules of *function*."""
    return function.records if type(function) is _FunctionWithModules else ()  # type: ignore[attr-defined]


class Registry:
    """All own modules that were met. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._own: dict[str, OwnModule] = {}
        self._others: dict[str, object] = {}
        """Modules that are not the user's own, by name; None for what is no module."""

    def find(self, name: str) -> OwnModule | None:
        """Return the own module *name*; None if it is none. Fast for one that was met before."""
        module = sys.modules.get(name)
        own = self._own.get(name)
        if own is not None and own.module is module:
            return own
        if self._others.get(name, _UNSEEN) is module:
            return None
        with self._lock:
            spec = self._own_spec(name, module)
            if spec is None:
                self._others[name] = module
                self._own.pop(name, None)
                return None
            own = self._own[name] = OwnModule(name, spec, module)
            return own

    def closure(self, names: Iterable[str]) -> Closure:
        """Return the modules *names* with all own modules that they may import.

        Raises:
            SerializationError: one of them has a global that cannot be sent.
        """
        found: dict[str, tuple[OwnModule, ModuleVersion]] = {}
        seen: set[str] = set()
        with self._lock:
            left = {*names}
            while left:
                while left:
                    left |= self._add(left.pop(), found, seen) - seen
                used = frozenset[str]().union(*(version.uses.names for _, version in found.values()))
                left = {name for own, _ in found.values() for name in own.submodules(used)} - seen
        return Closure(tuple(found[name] for name in sorted(found)))

    def _add(self, name: str, found: dict[str, tuple[OwnModule, ModuleVersion]], seen: set[str]) -> set[str]:
        """Add the module *name*, if it is an own one, and return what it may import."""
        seen.add(name)
        own = self.find(name)
        version = None if own is None else own.version()
        if own is None or version is None:
            return set()
        if version.error is not None:
            raise version.error
        if version.by_value and version.codes:  # workers would import what is on their disk
            raise SerializationError(f"{own.why_by_value} Other modules of yours import it, which workers cannot then.")
        found[name] = own, version
        return {*version.uses.imports, *_packages_of(name), *(sys.modules if version.uses.is_dynamic else ())}

    def _own_spec(self, name: str, module: ModuleType | None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in {"__main__", "cnflow", "__mp_main__"}:
            return None
        spec = getattr(module, "__spec__", None)
        if module is None:
            if top in sys.stdlib_module_names and top not in self._own:
                return None
            spec = self._spec_on_disk(name)
        elif spec is None and isinstance(getattr(module, "__file__", None), str):  # made by hand: pickled by value
            spec = ModuleSpec(name, None, origin=module.__file__)
            spec.has_location = True
        if spec is None or spec.loader is BuiltinImporter or spec.loader is FrozenImporter:
            return None
        places = [spec.origin] if spec.has_location and spec.origin else [*(spec.submodule_search_locations or ())]
        return spec if not all(map(is_of_library, places)) else None

    def _spec_on_disk(self, name: str) -> ModuleSpec | None:
        """Find a module that is not imported, without importing its package."""
        package = name.rpartition(".")[0]
        path = None
        if package:
            parent = self.find(package)
            if parent is None:
                return None
            path = parent.locations
            if path is None:
                return None
        try:
            return PathFinder.find_spec(name, path)
        except KeyError:  # a namespace package in one that is not imported
            spec = ModuleSpec(name, None, is_package=True)
            folders = [Path(each) / name.rpartition(".")[2] for each in path or ()]
            spec.submodule_search_locations = [str(each) for each in folders if each.is_dir()]
            return spec
        except (ImportError, ValueError, OSError):
            return None


def _packages_of(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


registry = Registry()
"""Of this process, as `sys.modules` is."""
