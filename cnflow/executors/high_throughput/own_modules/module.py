"""One of the user's own modules, as the driver has it in memory.

::

    first look, and after each reload: source on disk ──compile──> has it the code of the functions in memory?
              │ yes                                                        │ no: edited since, or changed by a tool
              v                                                            v
    sent as this source, with the values of globals that            sent by value, as functions of
    the source does not give                                        the script are

    each further look: Snapshot.is_current? ──yes──> the version before: nearly always
                                            └──no──> the same source with other values; after a reload, as at first

The source is kept: a file that is edited and not reloaded changes nothing, in workers as in the driver.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pathlib
import pickle
import sys
import threading
import time
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput.own_modules.imports import Uses, uses_of
from cnflow.executors.high_throughput.own_modules.values import (
    Snapshot,
    fingerprint,
    is_plain,
    literals,
    spaces_of,
)
from cnflow.executors.high_throughput.syntax_trees import parse
from cnflow.ids import FunctionId
from cnflow.tasks.own_modules import ID_BYTES, MISSING, RECORD, SOURCE, VALUES, ModuleSource, codes_in
from cnflow.wire import serialization
from cnflow.wire.function_messages import Function

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from importlib.machinery import ModuleSpec

logger = logging.getLogger(__name__)

AGREEMENTS = 3
"""Number of looks in a row that find the same, until only what can change is compared: another thread may change a
value between the look and the pickle, and change it back."""

_MOST_OF_A_VALUE = 2**20
"""Bytes of a pickled value above which the import in the worker makes it, if it is as at the first look."""

_looks = threading.RLock()

_NO_USES = Uses(frozenset(), is_dynamic=False, sets=frozenset(), names=frozenset())


class ModuleVersion(NamedTuple):
    """A module at one moment."""

    records: tuple[Function, ...]
    """What is sent of it; empty if it is pickled by value."""

    uses: Uses
    codes: frozenset[CodeType] = frozenset()
    """Code in its source."""

    positions: frozenset[tuple[str, int]] = frozenset()
    """Names and lines of that code of which there is one."""

    snapshot: Snapshot | None = None
    """None for a module that the driver has not imported."""

    by_value: bool = False
    error: SerializationError | None = None
    """Why workers cannot be given it as it is."""


class OwnModule:
    """A module of the user's own; see the picture.

    Args:
        name: full name.
        spec: that of the module.
        module: None if the driver has not imported it.
    """

    def __init__(self, name: str, spec: ModuleSpec, module: ModuleType | None) -> None:
        self.name = name
        self.module = module
        self._spec = spec
        self._version: ModuleVersion | None = None
        self._agreements = 0
        self._read_version = ModuleVersion((), _NO_USES)
        """What the source gives, without values."""

        self._literals: dict[str, object] = {}
        self._baseline: dict[str, object] = {}
        self._sizes: dict[str, int] = {}
        self._sent: dict[str, bytes] = {}
        """Values that were sent once are sent from then on: workers have the one before."""

        self._with_code: set[str] = set()
        """Globals among them whose pickles have bytecode."""

        self._is_told = False
        self._is_partial = False
        self._named_by_values: set[str] = set()

    @property
    def locations(self) -> list[str] | None:
        """Folders in which the modules of a package are; None if it is no package."""
        found = self._spec.submodule_search_locations
        return None if found is None else [*found]

    @property
    def why_by_value(self) -> str:
        """Sentence on why the module is pickled by value; empty if it is not."""
        version = self.version()
        if version is None or not version.by_value:
            return ""
        if version.codes:
            return (
                f"The module {self.name!r} has other code in memory than in its file {self._spec.origin}, and is "
                "therefore pickled by value. If the file was edited, reload the module or start again."
            )
        return f"The module {self.name!r} has no source that can be sent, and is therefore pickled by value."

    def submodules(self, names: AbstractSet[str]) -> list[str]:
        """Return those modules of a package that the driver has imported and that are its attributes among *names*."""
        if self.module is None or self.locations is None:
            return []
        found = [(name, value) for name, value in [*vars(self.module).items()] if type(value) is ModuleType]
        return [each.__name__ for name, each in found if name in names and each.__name__ == f"{self.name}.{name}"]

    def version(self) -> ModuleVersion | None:
        """Return the present version; None if the module was replaced by another one, or imported since."""
        if sys.modules.get(self.name) is not self.module:
            return None
        version = self._version
        is_present = version is not None and (version.snapshot is None or version.snapshot.is_current())
        if version is not None and is_present and self._agreements >= AGREEMENTS:
            return version
        with _looks:
            made = self._look(version)
            is_same = version is not None and is_present and made.records == version.records
            self._agreements = self._agreements + 1 if is_same else 0
        return made

    def _look(self, before: ModuleVersion | None) -> ModuleVersion:
        module, spec = self.module, self._spec
        if module is not None and before is not None:
            spec = getattr(module, "__spec__", None) or spec
        is_reloaded = spec is not self._spec or self._is_partial
        self._is_partial = bool(getattr(spec, "_initializing", False))  # its import goes on, and may set anything yet
        self._spec = spec
        snapshot = None if module is None else Snapshot(spaces_of(module))
        if before is None or is_reloaded:
            self._read_version = self._read(spec)
            self._sent = {}
            if snapshot is not None:
                self._baseline = snapshot.named
                self._sizes = _sizes(snapshot.named)
        version = self._read_version
        version = version._replace(by_value=not self._has_source_of(version, module))
        if module is not None and module.__name__ == self.name:
            serialization.pickle_by_value(module, version.by_value)
        records: tuple[Function, ...] = () if version.by_value else version.records
        if snapshot is not None and not version.by_value:
            try:
                records += self._values(snapshot, version.uses)
            except SerializationError as error:
                version = version._replace(error=error)
            imports = version.uses.imports | self._named_by_values
            version = version._replace(uses=version.uses._replace(imports=imports))
        self._version = version._replace(records=records, snapshot=snapshot)
        return self._version

    def _read(self, spec: ModuleSpec) -> ModuleVersion:
        """Read the source, which is that of the functions in memory or not."""
        locations = None if spec.submodule_search_locations is None else tuple(spec.submodule_search_locations)
        file = spec.origin or ""
        if file.endswith(tuple(EXTENSION_SUFFIXES)):
            return ModuleVersion((_record(self.name, MISSING, (self.name, _why_no_extension(file))),), _NO_USES)
        if not spec.has_location:  # a namespace package
            source = ModuleSource(self.name, "", locations, b"")
            return ModuleVersion((_record(self.name, SOURCE, tuple(source)),), _NO_USES)
        if type(spec.loader) is not SourceFileLoader:
            return ModuleVersion((), _NO_USES)
        try:
            content = spec.loader.get_data(file)
            tree = parse(content, file)
            code = compile(tree, file, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            return ModuleVersion((), _NO_USES)
        self._literals = literals(tree)
        inner = [*codes_in(code)]
        places = [(each.co_name, each.co_firstlineno) for each in inner]
        return ModuleVersion(
            (_record(self.name, SOURCE, (self.name, file, locations, content)),),
            uses_of(code, self.name if locations is not None else self.name.rpartition(".")[0]),
            frozenset(inner),
            frozenset(place for place in places if places.count(place) == 1),
        )

    def _has_source_of(self, version: ModuleVersion, module: ModuleType | None) -> bool:
        """Return whether the functions in memory are those of the source."""
        if not version.records:
            return False
        if module is None or not self._spec.has_location or not _may_be_edited(self._spec.origin or ""):
            return True
        for _, space in spaces_of(module):
            for value in [*space.values()]:
                function = getattr(value, "__func__", value)
                function = function if type(function) is FunctionType else getattr(value, "__wrapped__", None)
                if (
                    type(function) is FunctionType
                    and function.__globals__ is vars(module)
                    and function.__code__.co_filename == self._spec.origin
                    and function.__code__ not in version.codes
                ):
                    return False
        return True

    def _values(self, snapshot: Snapshot, uses: Uses) -> tuple[Function, ...]:
        """Record of the values that differ from those that the import of the source gives."""
        for path, value in snapshot.named.items():
            name = path.rpartition(".")[2]
            if name.startswith("__") and name.endswith("__"):
                continue
            is_changed = self._is_changed(path, value)
            if path in self._sent and not is_changed and not is_plain(value):
                continue  # it has got a connection, say, which workers make themselves: they keep what they were sent
            if not is_changed and path not in self._sent and not self._is_unknown(path, value):
                continue
            pickled = self._pickled(path, value, is_memory=path in uses.sets)
            if pickled is not None and (is_changed or path in self._sent or len(pickled) <= _MOST_OF_A_VALUE):
                self._sent[path] = pickled
        if not self._sent:
            return ()
        present, missing = snapshot.named, object()
        baseline = self._baseline
        values = {
            path: (baseline.get(path, missing) is present.get(path, missing), pickled)
            for path, pickled in self._sent.items()
        }
        python = serialization.MINOR if self._with_code & self._sent.keys() else ""
        return (_record(self.name, VALUES, (self.name, values), python),)

    def _is_unknown(self, path: str, value: object) -> bool:
        """Return whether a plain value is another one than the literal in the source, or follows from a computation."""
        if not is_plain(value) or ("." in path and path not in self._literals):
            return False
        return path not in self._literals or fingerprint(self._literals[path]) != fingerprint(value)

    def _is_changed(self, path: str, value: object) -> bool:
        """Return whether a value is another one than at the first look at this source."""
        if path in self._baseline and self._baseline[path] is value:
            return _is_filled(value) and len(value) != self._sizes.get(path)  # type: ignore[arg-type]
        return not (
            isinstance(value, ModuleType)  # a submodule that was imported since
            or (type(value) is FunctionType and self._version is not None and value.__code__ in self._version.codes)
            or (path in self._literals and is_plain(value) and not self._is_unknown(path, value))
        )

    def _pickled(self, path: str, value: object, *, is_memory: bool) -> bytes | None:
        from cnflow.executors.high_throughput.own_modules.rules import Rules  # noqa: PLC0415 - they import this module

        rules = Rules()
        try:
            pickled, _, python = serialization.dump_anything(value, None, rules, in_band=True)
        except Exception as error:
            if not is_memory:
                raise SerializationError(
                    f"The global {path!r} of the module {self.name!r} was changed in the driver since its import, and "
                    f"workers cannot be given it: {error}. Pass it as an argument, or make it inside the function."
                ) from error
            if not self._is_told:
                self._is_told = True
                logger.warning(
                    "functions of the module %r have set its global %r in the driver to a %s, which cannot be "
                    "pickled: each worker has its own, as after an import",
                    self.name, path, type(value).__name__,
                )  # fmt: skip
            return None
        self._named_by_values |= rules.names
        if python:
            self._with_code.add(path)
        else:
            self._with_code.discard(path)
        return pickled


def _may_be_edited(file: str) -> bool:
    """Return whether a file was written since this process began: code in memory may be older.

    If not, a decorator that compiles functions anew (for checks of types, say) is no reason to distrust the file.
    """
    try:
        return pathlib.Path(file).stat().st_mtime > _process_start() - 1
    except OSError:
        return True


@functools.lru_cache(maxsize=1)
def _process_start() -> float:
    """Unix time at which this process began; 0 where Python does not find it (proc_pid_stat(5), field 22)."""
    try:
        ticks = int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


def _sizes(named: dict[str, Any]) -> dict[str, int]:
    return {name: len(value) for name, value in named.items() if _is_filled(value)}


def _is_filled(value: object) -> bool:
    return type(value) in {list, dict, set}


def _record(name: str, kind: str, content: tuple[Any, ...], python: str = "") -> Function:
    body = pickle.dumps((kind, content), protocol=5)
    identity = hashlib.blake2b(body, digest_size=ID_BYTES).digest()
    return Function(FunctionId(identity), name, RECORD, python, body)


def record_with(record: Function, convert: Callable[[bytes], bytes]) -> Function:
    """Return *record* with each pickled value converted, and no bytecode."""
    if not record.python:
        return record
    kind, (name, values) = pickle.loads(record.body)
    converted = {path: (is_same, convert(pickled)) for path, (is_same, pickled) in values.items()}
    return _record(record.name, kind, (name, converted))


def _why_no_extension(file: str) -> str:
    return (
        f"{file} is an extension module: compiled code fits one Python and one platform, and is not sent. Install "
        "the module where the workers run, or in the image"
    )
