"""The user's own modules in a worker: imported from the source that the driver sent, not from what lies there.

::

    record of a module ──receive──> _records         task of a function ──activate──> _modules: name -> source
                                                                             │
         the name has another source by now: all own modules leave ──────────┤ sys.modules, and are imported anew
         values of the driver's globals that changed since ──────────────────┘ are set in the module

    import steps ──_Finder──> compile, exec, and the driver's values; linecache has the source for tracebacks

A module is imported once for each version of its source, as in any process: what it makes at its import (locks,
connections, caches) lives as long as that version. Standard library only.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import linecache
import os
import pickle
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.tasks import local_packages
from cnflow.tasks.driver_names import stand_ins_while_importing
from cnflow.tasks.plain_instances import is_plain_instance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORD = 100
"""Kind of the record of a module, among those of functions; apps have the kinds of `cnflow.model.task.AppKind`."""

ID_BYTES = 16

SOURCE, VALUES, MISSING = "source", "values", "missing"
"""Kinds of content: the source of a module, values of its globals, the reason why it was not sent."""


class ModuleSource(NamedTuple):
    """Source of a module, as the driver loaded it."""

    name: str
    file: str
    """Empty for a namespace package."""

    locations: Optional[tuple[str, ...]]
    """Folders of a package; None for a module. They exist where the driver's files are."""

    source: bytes


generation = 0
"""Raised when the own modules are to be imported anew: functions that were loaded before refer to older ones."""

_records: dict[bytes, tuple[str, Any]] = {}
_modules: dict[str, tuple[bytes, ModuleSource]] = {}
_values: dict[str, dict[str, tuple[bool, bytes]]] = {}
"""Values for globals, by name of the module and of the global: whether that is the object of the import still, and the
pickled value."""

_reasons: dict[str, str] = {}
_active: bytes = b""
_codes: dict[str, CodeType] = {}


def receive(identity: bytes, body: bytes) -> None:
    """Keep a record until a function needs it."""
    kind, content = pickle.loads(body)
    _records[identity] = (kind, local_packages.receive(*content) if kind == local_packages.PACKAGES else content)


def forget() -> None:
    """Drop records: those that are needed later come again. Imported modules stay."""
    _records.clear()


def activate(records: bytes) -> int:
    """Let imports find the modules of *records*, their ids one after the other; return the generation of modules.

    Called before each task whose function has own modules.
    """
    global _active  # noqa: PLW0603 - one table of modules in a process, as `sys.modules` is
    if records != _active:
        ids = [records[start : start + ID_BYTES] for start in range(0, len(records), ID_BYTES)]
        _use([(identity, *_records[identity]) for identity in ids])
        _active = records
    return generation


def _use(records: Sequence[tuple[bytes, str, Any]]) -> None:
    if local_packages.use(next((content for _, kind, content in records if kind == local_packages.PACKAGES), None)):
        _drop_all()
    own = [
        record for record in records if record[1] != local_packages.PACKAGES and not local_packages.has(record[2][0])
    ]
    sources = {content[0]: (identity, ModuleSource(*content)) for identity, kind, content in own if kind == SOURCE}
    values = {content[0]: content[1] for _, kind, content in own if kind == VALUES}
    if any(
        (name in _modules and _modules[name][0] != source[0]) or _values.get(name, {}).keys() - values.get(name, {})
        for name, source in sources.items()
    ):
        _drop_all()
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name, source in sources.items():
        if name not in _modules:
            _modules[name] = source
            sys.modules.pop(name, None)  # found otherwise before
    _reasons.update(content for _, kind, content in records if kind == MISSING)
    for name, changed in values.items():
        _set_values(name, changed)


def _drop_all() -> None:
    global generation  # noqa: PLW0603 - as above
    for name in _modules:
        sys.modules.pop(name, None)
        _codes.pop(name, None)
    _modules.clear()
    _values.clear()
    generation += 1


def _set_values(name: str, values: dict[str, tuple[bool, bytes]]) -> None:
    before = _values.get(name, {})
    _values[name] = values
    module = sys.modules.get(name)
    if module is not None:
        for path, value in values.items():
            if before.get(path) != value:
                _set_value(module, path, *value)


def _set_value(module: ModuleType, path: str, is_same: bool, pickled: bytes) -> None:  # noqa: FBT001 - as it is kept
    """Set a global, or an attribute of a class.

    A container or object that *is_same* as that of the import is filled anew: other modules may refer to it, too.
    """
    value = pickle.loads(pickled)
    *owners, name = path.split(".")
    owner: Any = module
    for each in owners:
        owner = getattr(owner, each)
    present: Any = getattr(owner, name, None)
    if is_same and type(present) is type(value):
        if isinstance(value, list):
            present[:] = value
            return
        if isinstance(value, (dict, set)):
            present.clear()
            present.update(value)
            return
        if isinstance(value, SimpleNamespace) or is_plain_instance(type(value)):
            vars(present).clear()
            vars(present).update(vars(value))
            return
    setattr(owner, name, value)


class _Finder:
    """Finds the own modules; a `importlib.abc.MetaPathFinder`."""

    @staticmethod
    def find_spec(name: str, path: Optional[Sequence[str]] = None, _: object = None) -> Optional[ModuleSpec]:
        found = _modules.get(name)
        if found is None:
            if name in _reasons and PathFinder.find_spec(name, path) is None:
                raise ModuleNotFoundError(f"No module named {name!r}: {_reasons[name]}", name=name)
            return None
        source = found[1]
        spec = ModuleSpec(
            name,
            _Loader(source),  # type: ignore[arg-type]  # importlib.abc takes 20 ms to import
            origin=source.file or None,
            is_package=source.locations is not None,
        )
        spec.has_location = bool(source.file)
        if source.locations is not None:
            here = None if source.file else PathFinder.find_spec(name, path)  # a namespace may have parts here, too
            spec.submodule_search_locations = [
                *source.locations,
                *((here and here.submodule_search_locations) or ()),
            ]
        return spec


class _Loader:
    """Runs the source of one module; a `importlib.abc.InspectLoader`."""

    def __init__(self, source: ModuleSource) -> None:
        self._source = source
        self.name = source.name
        self.path = source.file

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the source in *module*; then set the values that the driver has."""
        name, source = self._source.name, self._source
        if source.file:
            lines = source.source.decode("utf-8", "replace").splitlines(keepends=True)
            # Without a time, so that `linecache.checkcache` keeps it whatever file has that path here.
            linecache.cache[source.file] = (len(source.source), None, lines, source.file)
            code = _codes[name] = self.get_code(name)
            with stand_ins_while_importing(), _with_plain_apps():
                exec(code, vars(module))  # noqa: S102 - as every import does
        if source.locations is not None and "__getattr__" not in vars(module):
            vars(module)["__getattr__"] = functools.partial(_submodule, name)
        for path, value in _values.get(name, {}).items():
            _set_value(module, path, *value)

    def get_code(self, _: str) -> CodeType:
        """Compile the source."""
        code: CodeType = compile(self._source.source, self._source.file, "exec", dont_inherit=True)
        return code

    def get_source(self, _: str) -> str:
        """Return the source; for `linecache`, `inspect` and `pdb`."""
        from importlib.util import decode_source

        return decode_source(self._source.source)

    def is_package(self, _: str) -> bool:
        """Return whether it is a package."""
        return self._source.locations is not None

    def get_filename(self, _: str) -> str:
        """Return the path of the file in the driver."""
        return self.path

    def get_resource_reader(self, _: str) -> Any:  # noqa: ANN401 - a TraversableResources
        """Read data files from the driver's folder, where that exists; since Python 3.10."""
        from importlib.readers import FileReader

        return FileReader(self)  # type: ignore[arg-type]  # needs the path alone


def _submodule(package: str, name: str) -> ModuleType:
    """Import a module of *package* that is used as its attribute: in the driver, other code has imported it."""
    if f"{package}.{name}" in _modules:
        return importlib.import_module(f"{package}.{name}")
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def explain(error: BaseException) -> None:
    """Add to the message of a missing module where it is missing, and what to do."""
    if type(error) is not ModuleNotFoundError or not error.name or _ADVICE in str(error):
        return
    image = os.environ.get("CNFLOW_WORKER_IMAGE", "")
    place = f"in image {image!r}" if image else f"in the workers' Python {sys.executable}"
    executor = os.environ.get("CNFLOW_WORKER_EXECUTOR", "")
    error.msg = f"{error.msg}, {place} (executor {executor!r}). {_ADVICE}"
    error.args = (error.msg,)


_ADVICE = (
    "Install it there, or import it in the functions that need it. A module of your own is sent where the code imports "
    "it by its name."
)


# What pickles of the driver call


def function_at(module: str, path: str) -> Any:  # noqa: ANN401 - the user's
    """Return the function that is, or is wrapped by, the attribute *path* of a module: an app's own function."""
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    while not isinstance(found, FunctionType):
        found = found.__wrapped__
    return found


def globals_of(module: str) -> dict[str, Any]:
    """Return the namespace of a module: that of functions which were made in its functions."""
    return vars(importlib.import_module(module))


def code_at(module: str, name: str, line: int) -> CodeType:
    """Return the code of *name* at *line* of an own module: compiled here, whichever Python this is."""
    loader: Any = importlib.import_module(module).__spec__.loader  # type: ignore[union-attr]  # an import has one
    for code in codes_in(_codes[module] if module in _codes else loader.get_code(module)):
        if code.co_name == name and code.co_firstlineno == line:
            return code
    raise AttributeError(f"{module} has no function {name!r} at line {line}.")


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects in *code*, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_in(constant)


# Decorators of apps, while own modules are imported


@contextlib.contextmanager
def _with_plain_apps() -> Iterator[None]:
    """Let the decorators of apps return functions as they are: inside a task, an app is the plain function.

    The real ones would do, too, where the driver's packages are installed. Importing them takes half a second.
    """
    cnflow: Any = sys.modules["cnflow"]
    homes = cnflow._HOMES  # noqa: SLF001 - our own package
    before = {name: vars(cnflow).pop(name) for name in _DECORATORS if name in vars(cnflow)}
    real = {name: homes[name] for name in _DECORATORS}
    homes.update(dict.fromkeys(_DECORATORS, "cnflow.tasks.plain_apps"))
    try:
        yield
    finally:
        homes.update(real)
        for name in _DECORATORS:
            vars(cnflow).pop(name, None)
        vars(cnflow).update(before)


_DECORATORS = ("python_app", "bash_app", "join_app", "model_app", "predict_app")
