"""Finds the futures among the arguments of a call, and later puts their results in their place; pure.

Deep, as is usual: lists, tuples, sets, dicts and dataclasses are searched, nested ones too. Shallow: the arguments
themselves and the elements of ``inputs``; futures in other containers are passed as they are. Either way nothing of the
caller's is ever changed.
"""

from __future__ import annotations

import copy
import dataclasses
from concurrent.futures import Future
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_CONTAINERS = (list, tuple, set, frozenset, dict)
_ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})


class Resolver(NamedTuple):
    """What becomes of the futures among the arguments of a call."""

    find: Callable[[tuple[Any, ...], dict[str, Any]], list[Future[Any]]]
    """Those to wait for, once each, in order of appearance.

    Raises:
        ConfigurationError: a container holds itself.
    """

    fill: Callable[[Any], Any]
    """The tuple of arguments, the dict of keywords or the tuple of inputs, with results in place of those futures.

    Each of them is done and has not failed.
    """

    copy: Callable[[Any], Any]
    """The tuple of arguments or the dict of keywords, with copies of the containers in it that hold futures: what the
    caller does to his own after the call is not seen."""


def futures_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Future[Any]]:
    """Every future in *args* and *kwargs*, once each, in order of appearance.

    Raises:
        ConfigurationError: a container holds itself.
    """
    if _is_flat(args) and _is_flat(kwargs):
        return []
    found: dict[int, Future[Any]] = {}
    seen: set[int] = set()
    _search(args, found, seen)
    if kwargs:
        _search(kwargs.values(), found, seen)
    return list(found.values())


def _search(values: Iterable[Any], found: dict[int, Future[Any]], seen: set[int], inside: tuple[int, ...] = ()) -> None:
    """Add to *found*; *seen* are containers that need no second look, *inside* those around *values*."""
    for value in values:
        if type(value) in _ATOMS:
            continue
        if isinstance(value, Future):
            found[id(value)] = value
        elif isinstance(value, _CONTAINERS):
            if id(value) in inside:
                raise ConfigurationError(f"An argument holds itself: a {type(value).__name__} is inside itself.")
            if id(value) not in seen:
                seen.add(id(value))
                _search(_parts(value), found, seen, (*inside, id(value)))
        elif _is_dataclass(value) and id(value) not in seen:
            seen.add(id(value))
            _search(_fields(value).values(), found, seen)  # objects may point back at what holds them


def _parts(container: Any) -> Iterable[Any]:  # noqa: ANN401 - any container
    return (*container, *container.values()) if isinstance(container, dict) else container


def _is_dataclass(value: object) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of a dataclass
    """Those that are set, by name."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if hasattr(value, f.name)}


def with_results(value: Any) -> Any:  # noqa: ANN401 - any user's value
    """*value* with each future replaced by its result; containers that hold none are passed on as they are.

    Every future in it is done and has not failed.

    Raises:
        ConfigurationError: what is to be copied with its results points back at itself.
    """
    return value if _is_flat(value) else _Filling(Future, _result_of).of(value)


def with_own_containers(given: Any) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    """*given* with copies of the containers in it that hold futures; as it is where one of them cannot be copied."""
    if all(type(value) in _ATOMS or isinstance(value, Future) for value in _parts(given)):
        return given
    try:
        return _Filling(_StandIn, _future_of).of(_Filling(Future, _StandIn).of(given))
    except Exception:  # noqa: BLE001 - a user's type may refuse; the task fails by that when it gets its results
        return given


class _StandIn:
    """A future, while the containers that hold it are copied."""

    __slots__ = ("future",)

    def __init__(self, future: Future[Any]) -> None:
        self.future = future


def _future_of(stand_in: _StandIn) -> Future[Any]:
    return stand_in.future


def _is_flat(value: Any) -> bool:  # noqa: ANN401 - any user's value
    """Whether it surely holds no future; most calls' arguments are so."""
    kind = type(value)
    if kind is dict:
        return not value or (_ATOMS.issuperset(map(type, value)) and _ATOMS.issuperset(map(type, value.values())))
    return not value or _ATOMS.issuperset(map(type, value)) if kind is tuple else kind in _ATOMS


class _Filling:
    """One walk that replaces each object of one type; what is met twice is filled once, and stays one object."""

    __slots__ = ("_begun", "_made", "_met_inside_itself", "_replaced", "_replacement")

    def __init__(self, replaced: type, replacement: Callable[[Any], Any]) -> None:
        self._replaced = replaced
        self._replacement = replacement
        self._begun: set[int] = set()
        self._made: dict[int, Any] = {}
        self._met_inside_itself: set[int] = set()

    def of(self, value: Any) -> Any:  # noqa: ANN401 - any user's value
        if type(value) in _ATOMS:
            return value
        if isinstance(value, self._replaced):
            return self._replacement(value)
        if not isinstance(value, _CONTAINERS) and not _is_dataclass(value):
            return value
        key = id(value)
        if key in self._made:
            return self._made[key]
        if key in self._begun:
            self._met_inside_itself.add(key)
            return value
        self._begun.add(key)
        made = self._made[key] = self._filled(value)
        if made is not value and key in self._met_inside_itself:
            raise ConfigurationError(
                f"An argument, a {type(value).__name__}, holds a future and points back at itself, so that it cannot "
                "be copied with the result. Pass the future beside it.",
            )
        return made

    def _filled(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            keys, values = self._each(value), self._each(value.values())
            if all(map(is_, keys, value)) and all(map(is_, values, value.values())):
                return value
            return _rebuilt(value, dict(zip(keys, values, strict=True)))
        if isinstance(value, _CONTAINERS):
            parts = self._each(value)
            return value if all(map(is_, parts, value)) else _rebuilt(value, parts)
        fields = _fields(value)
        changed = {name: made for name, part in fields.items() if (made := self.of(part)) is not part}
        return _changed(value, changed) if changed else value

    def _each(self, values: Iterable[Any]) -> list[Any]:
        return [value if type(value) in _ATOMS else self.of(value) for value in values]


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


def _changed(original: Any, fields: dict[str, Any]) -> Any:  # noqa: ANN401
    """A copy of a dataclass's instance with other *fields*; its constructor may want other things, as above."""
    made = copy.copy(original)
    for name, value in fields.items():
        object.__setattr__(made, name, value)  # a frozen one refuses any other way
    return made


# Shallow


def _at_hand(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Future[Any]]:
    given = [*args, *kwargs.values(), *_inputs_in(kwargs)]
    return list({id(value): value for value in given if isinstance(value, Future)}.values())


def _filled_at_hand(given: Any) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    if not isinstance(given, dict):
        return tuple(_result_of(value) for value in given)
    made = {name: _result_of(value) for name, value in given.items()}
    if any(isinstance(value, Future) for value in _inputs_in(given)):
        made["inputs"] = _rebuilt(given["inputs"], [_result_of(value) for value in given["inputs"]])
    return made


def _with_own_inputs(given: Any) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    if isinstance(given, dict) and any(isinstance(value, Future) for value in _inputs_in(given)):
        return {**given, "inputs": _rebuilt(given["inputs"], [*given["inputs"]])}
    return given


def _inputs_in(kwargs: dict[str, Any]) -> Sequence[Any]:
    inputs = kwargs.get("inputs")
    return inputs if isinstance(inputs, (list, tuple)) else ()


def _result_of(value: Any) -> Any:  # noqa: ANN401 - any user's value
    return value.result() if isinstance(value, Future) else value


RESOLVERS = {
    "deep": Resolver(futures_in, with_results, with_own_containers),
    "shallow": Resolver(_at_hand, _filled_at_hand, _with_own_inputs),
}
"""By their names in a Config."""
