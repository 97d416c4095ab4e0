"""Names of the driver's part of cnflow, as a user's module finds them where only cnflow's workers are installed.

::

    import of a user's module in a worker
      ├── from cnflow.providers import DockerProvider ──> a stand-in; Config(...), class Mine(DockerProvider): no effect
      └── from cnflow import python_app ────────────────> the decorator of `plain_apps`
    later, in a task: Config(...) ──────────────────────> ModuleNotFoundError, which says what to do

A module may define apps and configure executors at its top, and be imported by tasks in a container that has no driver.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Optional

from cnflow.tasks.plain_apps import NAMES, driver_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_imports = 0
"""Imports of users' modules that are under way."""


@contextlib.contextmanager
def stand_ins_while_importing() -> Iterator[None]:
    """Let missing names of cnflow have stand-ins."""
    global _imports  # noqa: PLW0603 - imports are the process's
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
    _imports += 1
    try:
        yield
    finally:
        _imports -= 1


class _StandInType(type):
    def __getattr__(cls, name: str) -> Any:  # noqa: ANN401 - stands for anything
        return _used(f"{cls.__name__}.{name}", name)


class StandIn(metaclass=_StandInType):
    """Stands for a class, function or value of the driver's part."""

    def __init__(self, *_: object, **__: object) -> None:
        _used(type(self).__name__)

    def __call__(self, *_: object, **__: object) -> Any:  # noqa: ANN401, D102 - the same
        return _used(type(self).__name__)

    def __getitem__(self, _: object) -> Any:  # noqa: ANN401 - the same
        return _used(type(self).__name__)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the same
        return _used(f"{type(self).__name__}.{name}", name)


def _used(title: str, attribute: str = "") -> Any:  # noqa: ANN401 - the same
    """Return another stand-in.

    Raises:
        AttributeError: *attribute* is one of Python's own, which some look for.
        ModuleNotFoundError: no module is being imported: the user wants an effect.
    """
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    if not _imports:
        raise driver_only(title)
    made: Any = _StandInType(title, (StandIn,), {})
    return object.__new__(made)


class _Finder:
    """Finds modules of cnflow that are not installed here; a `importlib.abc.MetaPathFinder`, and the last one."""

    @staticmethod
    def find_spec(name: str, _: Optional[Sequence[str]] = None, __: object = None) -> Optional[ModuleSpec]:
        if not _imports or not name.startswith("cnflow."):
            return None
        return ModuleSpec(name, _Loader(), origin="cnflow.tasks.driver_names", is_package=True)  # type: ignore[arg-type]


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the same
        if name.startswith("__"):
            raise AttributeError(name)
        return NAMES[name] if name in NAMES else _StandInType(name, (StandIn,), {})


class _Loader:
    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Leave *module* as it is."""
