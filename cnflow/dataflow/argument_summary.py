"""Describes the arguments of a call in some words, for monitoring. No I/O, and none of the user's code runs.

A number, a text and a container are shown by value, bounded; an array and a table by type and shape; a future by its
task; a file by its URL without passwords; anything else by its type. A text whose name says that it is secret, such as
``password=``, is ``***``.
"""

from __future__ import annotations

import re
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any

from cnflow.model.file import File
from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST = 300
"""Characters of a summary."""

_LONGEST_VALUE = 60
_MOST_ITEMS = 5
_DEEPEST = 3
_MOST_BITS = 128
_LONGEST_URL = 2_000
"""Characters of a text that are searched for passwords of URLs before it is cut."""

_SECRET = re.compile(r"passw|\bpwd\b|secret|credential|token(?!iz)|(?:api|access|private|account)_?key", re.IGNORECASE)


def summarize_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return ``3, 'a.txt', n=<future of task 7>``; at most `LONGEST` characters."""
    if not args and not kwargs:
        return ""
    words = [_describe(value, 0) for value in args[:_MOST_ITEMS]]
    left_out = max(0, len(args) - _MOST_ITEMS)
    for number, (name, value) in enumerate(kwargs.items()):
        if number == _MOST_ITEMS:
            left_out += len(kwargs) - _MOST_ITEMS
            break
        words.append(f"{name}={_describe_named(name, value, 0)}")
    if left_out:
        words.append(f"... {left_out} more")
    return _cut(", ".join(words), LONGEST)


def _describe(value: Any, depth: int) -> str:  # noqa: ANN401 - a user's value
    kind = type(value)  # not isinstance, which asks the value for its __class__
    show = _SHOWN.get(kind)
    if show is not None:
        return show(value)
    if issubclass(kind, Future):
        task = value.__dict__.get("tid")
        return "<future>" if task is None else f"<future of task {task}>"
    if issubclass(kind, File):
        return repr(_cut(mask_url(value.url), _LONGEST_VALUE))
    if kind in _BRACKETS:
        return _items(value, depth) if depth < _DEEPEST else f"<{kind.__name__} of {len(value)}>"
    return f"<{_name_of(kind)}{_shape_of(value, kind)}>"


def _describe_named(name: Any, value: Any, depth: int) -> str:  # noqa: ANN401 - a user's value
    is_secret = type(value) is str and type(name) is str and _SECRET.search(name)
    return "***" if is_secret else _describe(value, depth)


def _integer(value: int) -> str:
    return repr(value) if value.bit_length() <= _MOST_BITS else f"<int of {value.bit_length()} bits>"


def _text(value: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        return repr(mask_url(value))
    return repr(mask_url(value[:_LONGEST_URL])[:_LONGEST_VALUE]) + "..."


def _bytes(value: bytes | bytearray) -> str:
    return f"<{type(value).__name__} of {len(value)}>"


_SHOWN: Mapping[type, Callable[[Any], str]] = {
    int: _integer,
    float: repr,
    bool: repr,
    complex: repr,
    type(None): repr,
    str: _text,
    bytes: _bytes,
    bytearray: _bytes,
}
_BRACKETS: Mapping[type, str] = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: "{}"}


def _items(value: Any, depth: int) -> str:  # noqa: ANN401 - a container of the user's
    brackets = _BRACKETS[type(value)]
    try:
        some = list(islice(value.items() if type(value) is dict else value, _MOST_ITEMS))
    except RuntimeError:  # another thread changes it
        return f"<{type(value).__name__} of {len(value)}>"
    if type(value) is dict:
        words = [f"{_describe(name, depth + 1)}: {_describe_named(name, item, depth + 1)}" for name, item in some]
    else:
        words = [_describe(item, depth + 1) for item in some]
    if len(value) > len(some):
        words.append(f"... {len(value) - len(some)} more")
    return f"{brackets[0]}{', '.join(words)}{brackets[1]}"


def _name_of(kind: type) -> str:
    module = type.__getattribute__(kind, "__module__")
    name = type.__getattribute__(kind, "__qualname__")
    return _cut(f"{module}.{name}" if isinstance(module, str) and module != "builtins" else name, _LONGEST_VALUE)


_SHAPED = frozenset({"numpy", "pandas", "torch", "polars", "jax", "jaxlib", "cupy", "xarray", "scipy"})


def _shape_of(value: Any, kind: type) -> str:  # noqa: ANN401 - the same
    """Return `` (3, 4) float64`` for an array of a well-known library, whose attributes are cheap and safe to ask."""
    if _name_of(kind).partition(".")[0] not in _SHAPED:
        return ""
    try:
        words = f" {tuple(value.shape)}"
        return f"{words} {value.dtype}" if hasattr(value, "dtype") else words
    except Exception:  # noqa: BLE001 - one of these types has none
        return ""


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
