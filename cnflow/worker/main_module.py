"""Gives tasks a ``__main__`` with the names of the user's script, instead of the worker's own.

Functions of a script are pickled by value, with the globals that they use. Code in a task may look for these names in
``__main__``: `pickle` does, for a function that a task passes to a pool of forked processes::

    script: def cube(x) ──by value──> worker: main.cube ──Pool.map──> pickle: "__main__.cube" ──> child: main.cube
"""

from __future__ import annotations

import sys
from types import FunctionType, MethodType, ModuleType
from typing import Any, Optional

_NAME = "__main__"


def main_of(function: Any) -> Optional[ModuleType]:  # noqa: ANN401 - any callable
    """Return a module with *function* and its globals if it is one of the user's script; None for all others."""
    if isinstance(function, MethodType):
        function = function.__func__
    elif not isinstance(function, FunctionType):
        function = vars(type(function)).get("__call__")
    if not isinstance(function, FunctionType) or function.__module__ != _NAME:
        return None
    module = ModuleType(_NAME)
    names = vars(module)
    names.update(function.__globals__)
    if "." not in function.__qualname__:
        names.setdefault(function.__qualname__, function)
    return module


def enter(module: Optional[ModuleType]) -> None:
    """Make *module* the ``__main__`` of this process; None leaves it as it is."""
    if module is not None:
        sys.modules[_NAME] = module
