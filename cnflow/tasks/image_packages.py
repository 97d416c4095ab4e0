"""Packages of the image that models may use; workers themselves need none of them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any


def numpy() -> Any:  # noqa: ANN401 - a module
    """Return NumPy.

    Raises:
        ImportError: the image has none.
    """
    return importlib.import_module("numpy")


def pydantic() -> Any:  # noqa: ANN401 - a module
    """Return pydantic, from version 2 on; None where the image has none."""
    try:
        found = importlib.import_module("pydantic")
    except ImportError:
        return None
    return found if hasattr(found, "TypeAdapter") else None


def typing_extensions() -> Any:  # noqa: ANN401 - a module
    """Return typing_extensions, which pydantic brings along."""
    return importlib.import_module("typing_extensions")


@functools.lru_cache(maxsize=None)
def has_numpy() -> bool:
    """Return True if NumPy is installed, without importing it."""
    return importlib.util.find_spec("numpy") is not None
