"""Finds the futures among the arguments of a call, and later puts their results in their place; pure.

Lists, tuples, sets and dicts are searched, nested ones too; nothing of the caller's is ever changed.
"""

from __future__ import annotations

import copy
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONTAINERS = (list, tuple, set, frozenset, dict)
_ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})


def futures_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Future[Any]]:
    """Every future in *args* and *kwargs*, once each, in order of appearance.

    Raises:
        ConfigurationError: a container holds itself.
    """
    found: dict[int, Future[Any]] = {}
    _search(args, found)
    if kwargs:
        _search(kwargs.values(), found)
    return list(found.values())


def _search(values: Iterable[Any], found: dict[int, Future[Any]], inside: tuple[int, ...] = ()) -> None:
    for value in values:
        if type(value) in _ATOMS:
            continue
        if isinstance(value, Future):
            found[id(value)] = value
        elif isinstance(value, _CONTAINERS):
            if id(value) in inside:
                raise ConfigurationError(f"An argument holds itself: a {type(value).__name__} is inside itself.")
            below = (*inside, id(value))
            if isinstance(value, dict):
                _search(value.keys(), found, below)
                _search(value.values(), found, below)
            else:
                _search(value, found, below)


def with_results(value: Any) -> Any:  # noqa: ANN401 - any user's value
    """*value* with each future replaced by its result; containers that hold none are passed on as they are.

    Every future in it is done and has not failed.
    """
    if type(value) in _ATOMS:
        return value
    if isinstance(value, Future):
        return value.result()
    if not isinstance(value, _CONTAINERS):
        return value
    if not futures_in((value,), {}):
        return value
    if isinstance(value, dict):
        return _rebuilt(value, {with_results(k): with_results(v) for k, v in value.items()})
    return _rebuilt(value, [with_results(part) for part in value])


def _rebuilt(original: Any, content: Any) -> Any:  # noqa: ANN401
    """*content* in a container of *original*'s type."""
    kind = type(original)
    if kind is type(content):
        return content
    if hasattr(kind, "_make"):  # a named tuple
        return kind._make(content)
    if isinstance(original, dict):  # a subclass whose constructor may want other things, such as defaultdict's
        made = copy.copy(original)
        made.clear()
        made.update(content)
        return made
    return kind(content)
