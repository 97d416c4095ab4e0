"""Import hook for ``parsl`` and its submodules, from the table in `names`.

    import parsl.app.app ──> sys.meta_path ──> Finder.find_spec
                                                 │ in the table: ModuleSpec ──> Module, without attributes yet
                                                 │ known to Parsl but not covered: NotCoveredError
                                                 v not below parsl: None, the next finder
    module.python_app ──> Module.__getattr__ ──> imports the attribute's home, and keeps the attribute
                                                 │ a submodule in the table: imports it
                                                 │ known to Parsl but not covered: NotCoveredError
                                                 v unknown: AttributeError

Homes are imported on first use, so that a task that imports ``parsl`` loads nothing of the driver.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cnflow.compat.parsl.names import NAMES, why_not_covered
from cnflow.errors import ConfigurationError, NotCoveredError
from cnflow.model import pickle_hooks
from cnflow.tasks.plain_apps import stand_in

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = "parsl"
_ROOTS = (f"{ROOT}.", "libsubmit.")  # which was a package of its own before it became parsl.providers


def install() -> None:
    """Install the import hook for ``parsl``; a second call changes nothing.

    Raises:
        ConfigurationError: Parsl itself was imported before.
    """
    imported = sys.modules.get(ROOT)
    if imported is not None and not isinstance(imported, Module):
        raise ConfigurationError(
            f"Parsl itself is imported already, from {getattr(imported, '__file__', 'an unknown place')}. Import "
            "cnflow.compat.parsl before anything that imports parsl, or start the script by 'cnflow run --parsl'."
        )
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    pickle_hooks.prelude = __package__  # for ``import parsl`` inside a task


class Finder(MetaPathFinder):
    """Finds the modules in the table."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - part of Python's interface
        target: ModuleType | None = None,  # noqa: ARG002 - the same
    ) -> ModuleSpec | None:
        """Return the spec of *fullname*; None for a module that is not Parsl's.

        Raises:
            NotCoveredError: the module is Parsl's, and cnflow has no counterpart.
        """
        parent = fullname.rpartition(".")[0]
        if parent and not isinstance(sys.modules.get(parent), Module):
            return None  # a package that somebody has made, such as Parsl's tests, holds modules of theirs
        if fullname in NAMES:
            return ModuleSpec(
                fullname, _ModuleLoader(), origin="cnflow.compat.parsl", is_package=bool(_children(fullname))
            )
        reason = why_not_covered(fullname) if fullname.startswith(_ROOTS) else ""
        if reason:
            raise NotCoveredError(fullname, reason)
        return None


class Module(ModuleType):
    """A module of Parsl whose attributes are imported from their homes in cnflow on first use."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any public name
        path = f"{self.__name__}.{name}"
        home = NAMES[self.__name__].get(name)
        if home is not None:
            module, _, attribute = home.partition(":")
            try:
                value = getattr(importlib.import_module(module), attribute)
            except ModuleNotFoundError as error:  # in a container, which has no driver
                value = stand_in(name, error)
        elif path in NAMES:
            value = importlib.import_module(path)
        elif name.startswith("_") or not (reason := why_not_covered(path)):
            raise AttributeError(f"module {self.__name__!r} of cnflow.compat.parsl has no attribute {name!r}")
        else:
            raise NotCoveredError(path, reason)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name: the module is imported wherever cnflow is installed."""
        return importlib.import_module, (self.__name__,)


class _ModuleLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__all__ = list(NAMES[module.__name__])  # type: ignore[attr-defined]  # for `import *`


def _children(name: str) -> list[str]:
    return [other for other in NAMES if other.startswith(f"{name}.")]
