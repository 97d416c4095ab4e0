"""Warns, once for each app, of a function that is large with what it refers to: such a value is better an argument."""

from __future__ import annotations

import inspect
import logging
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from cnflow.wire.bulk import BULK_FROM

if TYPE_CHECKING:
    from cnflow.model.task import AppFunction

logger = logging.getLogger(__name__)

_MEBIBYTE = 2**20

_reported: set[str] = set()
"""Names of apps."""


def warn_if_large(app: AppFunction, size: int, *, is_pickled_at_each_call: bool) -> None:
    """Warn of an app whose function takes *size* bytes, which travel in one piece and hold up other messages."""
    if size < BULK_FROM or app.name in _reported:
        return
    _reported.add(app.name)
    name = _largest_value(app.original)
    logger.warning(
        "The function of %s takes %.1f MiB with the values that it refers to%s. It is sent in one piece%s. Pass such a "
        "value as an argument, or read it from a file in the function.",
        app.name,
        size / _MEBIBYTE,
        f", most of all {name!r}" if name else "",
        ", and pickled at each call to see whether it has changed" if is_pickled_at_each_call else "",
    )


def _largest_value(function: Any) -> str:  # noqa: ANN401 - the user's
    """Return the name of a global, closure variable or default of *function* that is large by itself, or nothing."""
    found = inspect.unwrap(function) if callable(function) else function
    if not isinstance(found, FunctionType):
        return ""
    code = found.__code__
    values = {name: found.__globals__[name] for name in code.co_names if name in found.__globals__}
    values.update(zip(code.co_freevars, (_content(cell) for cell in found.__closure__ or ()), strict=True))
    defaults = found.__defaults__ or ()
    values.update(zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True))
    sizes = {name: _size(value) for name, value in values.items()}
    largest = max(sizes, key=lambda name: sizes[name], default="")
    return largest if largest and sizes[largest] > BULK_FROM // 2 else ""


def _content(cell: Any) -> object:  # noqa: ANN401 - a cell
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None


def _size(value: object) -> int:
    """Return about the size of *value*, without what it holds."""
    try:
        size = getattr(value, "nbytes", 0)
        return max(size if isinstance(size, int) else 0, sys.getsizeof(value))
    except Exception:  # noqa: BLE001 - a user's type may fail in any way
        return 0
