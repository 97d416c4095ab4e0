"""Ids of what a function reads of the user's own modules: ``module.attribute``, and imports in its body.

::

    a module among the globals or closure variables ──┐
    a module that the body imports ──loaded───────────┴──> those of its names that the function reads as attributes
                   └──not loaded, and workers load it ──> its source, with that of the own modules which it imports

Names of attributes count wherever the function reads them, so that ``m = helper; m.scale(x)`` is seen like
``helper.scale(x)``. An attribute that the function computes (``getattr(helper, name)``) is not.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextvars import ContextVar
from importlib.machinery import PathFinder
from importlib.util import resolve_name
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.memo.bytecode import Import, is_dunder, parse
from cnflow.dataflow.memo.report import note
from cnflow.dataflow.memo.values import digest, encode
from cnflow.libraries import is_in_installation_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_STDLIB = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - compared with strings
_static: dict[str, tuple[tuple[int, int], bytes, frozenset[Import]]] = {}
"""Path of a module -> time of change and size of the file, digest of its code, its imports."""

imports_in_driver: ContextVar[bool] = ContextVar("imports_in_driver", default=False)
"""True while ids are made for a task that runs in this process, and imports here what its body imports."""


def is_installed(module: str | None, filename: str | None) -> bool:
    """Return True for code of the standard library, of cnflow, or of an installation folder; by name and file."""
    top = (module or "").partition(".")[0]
    if top in {"cnflow", "__main__"}:  # the script is the user's own, also where an installed program runs it
        return top == "cnflow"
    if top in sys.stdlib_module_names:
        # A user's module may have the name of one that is in no use here: test.py, code.py.
        return not (filename and os.path.isabs(filename) and not filename.startswith(_STDLIB))  # noqa: PTH117 - a string
    return is_in_installation_folder(filename or "")


def is_own(module: ModuleType) -> bool:
    """Return True if *module* is the user's own."""
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return not is_installed(module.__name__, file)


def read_attributes(
    module: ModuleType, names: Iterable[str], id_of: Callable[[Any, str], bytes], above: tuple[ModuleType, ...] = ()
) -> Iterator[bytes]:
    """Yield the ids of those of *names* that *module*, one of the user's own, has; also in its own modules inside."""
    if module in above or not is_own(module):
        return
    variables = vars(module)
    for name in sorted(names):
        if name not in variables or is_dunder(name):
            continue
        value = variables[name]
        if isinstance(value, ModuleType):
            inside = list(read_attributes(value, names, id_of, (*above, module)))
            if inside:
                yield encode(name) + b"".join(inside)
        else:
            yield encode(name) + id_of(value, name)


def imported_modules(imports: Iterable[Import], variables: Mapping[str, Any]) -> Iterator[ModuleType | bytes]:
    """Yield the user's own modules that a body imports: each that is loaded, else the id of its source."""
    for full in sorted(_full_names(imports, str(variables.get("__package__") or ""))):
        if full not in sys.modules and imports_in_driver.get() and _own_file(full):
            try:
                importlib.import_module(full)
            except Exception:  # noqa: BLE001 - the task will import it, and fail with this error
                yield _id_of_source(full, set())
                continue
        module = sys.modules.get(full)
        if module is not None:
            yield module
        elif source := _id_of_source(full, set()):
            note("source", full)
            yield source


def _full_names(imports: Iterable[Import], package: str) -> set[str]:
    """Return the absolute names of imported modules, of packages around them, and of what may be modules in them."""
    found = set()
    for module, level, names in imports:
        try:
            full = resolve_name("." * level + module, package) if level else module
        except ImportError:  # beyond the top, as the import in the task will find
            continue
        found.add(full)
        found.add(full.partition(".")[0])
        found.update(
            f"{full}.{name}" for name in names if f"{full}.{name}" in sys.modules or _own_file(f"{full}.{name}")
        )
    return found


def _own_file(name: str) -> str:
    """Return the path of the source of a module of the user's own; empty for all others. Imports nothing."""
    folders, origin = None, None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:depth]), folders)
        if spec is None or (depth < len(parts) and spec.submodule_search_locations is None):
            return ""
        folders, origin = spec.submodule_search_locations, spec.origin
    return origin if origin and origin.endswith(".py") and not is_installed(name, origin) else ""


def _id_of_source(name: str, seen: set[str]) -> bytes:
    """Return the id of a module that is not loaded, by its source and that of the own modules that it imports."""
    path = _own_file(name)
    if not path or path in seen:
        return b""
    seen.add(path)
    status = os.stat(path)  # noqa: PTH116 - a string
    state = (status.st_mtime_ns, status.st_size)
    known = _static.get(path)
    if known is None or known[0] != state:
        with open(path, "rb") as file:  # noqa: PTH123 - a string
            try:
                code = parse(compile(file.read(), path, "exec", dont_inherit=True))
            except (SyntaxError, ValueError):  # as the import in the task will find
                return b""
        known = _static[path] = (state, code.content, code.imports)
    _, content, imports = known
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    inner = [_id_of_source(each, seen) for each in sorted(_full_names(imports, package))]
    return digest(encode(name) + content + b"".join(inner))
