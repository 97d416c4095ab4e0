"""Finds the futures among the arguments of a call, and later puts their results in their place. No I/O.

::

    call ──find──> futures to wait for
      │
      └─copy──> arguments of the record ──all futures done──fill──> arguments of the function

The resolver "deep", the default, searches lists, tuples, sets, dicts and dataclasses, nested ones too. The resolver
"shallow" searches the arguments themselves and the elements of ``inputs``; futures in other containers are passed as
they are. Neither changes an object of the caller's.
"""

from __future__ import annotations

import copy
import dataclasses
from concurrent.futures import Future
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError
from cnflow.tasks.walks import run_walk
from cnflow.text import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnflow.tasks.walks import Walk

_CONTAINERS = (list, tuple, set, frozenset, dict)
_ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})


class Resolver(NamedTuple):
    """Treatment of the futures among the arguments of a call."""

    find: Callable[[tuple[Any, ...], dict[str, Any]], list[Future[Any]]]
    """Returns the futures to wait for, once each, in order of appearance.

    Raises:
        ConfigurationError: a container holds itself.
    """

    fill: Callable[..., Any]
    """Returns the tuple of arguments, the dict of keywords or the tuple of inputs with results in place of futures.

    Every future in it is done and has not failed; the second argument returns its result.
    """

    copy: Callable[[Any], Any]
    """Returns the tuple of arguments or the dict of keywords with copies of the containers in it that hold futures, so
    that changes which the caller makes to a container after the call have no effect. For executors that share."""


# Deep


def find_futures(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Future[Any]]:
    """Return every future in *args* and *kwargs*, once each, in order of appearance.

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


def _result_of(future: Future[Any]) -> Any:  # noqa: ANN401 - any result
    return future.result()


def fill_results(value: Any, result_of: Callable[[Any], Any] = _result_of) -> Any:  # noqa: ANN401 - any user's value
    """Return *value* with each future replaced by its result; containers without futures are passed on as they are.

    Every future in it is done and has not failed; *result_of* returns its result.

    Raises:
        ConfigurationError: an object that must be copied to take a result refers back to itself.
    """
    return value if _is_flat(value) else _Replacer(Future, result_of).replace(value)


def replace_all(value: Any, kind: type, replacement: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any user's value
    """Return *value* with each object of *kind* in it replaced; containers without one are passed on as they are."""
    return value if _is_flat(value) else _Replacer(kind, replacement).replace(value)


def copy_containers(arguments: Any) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    """Return *arguments* with copies of the containers that hold futures; unchanged where one cannot be copied."""
    if all(type(value) in _ATOMS or _is_instance(value, Future) for value in _elements(arguments)):
        return arguments
    try:
        # A replacer copies only what it changes, so that each future is exchanged for a placeholder and back.
        return _Replacer(_Placeholder, _future_of).replace(_Replacer(Future, _Placeholder).replace(arguments))
    except BaseException as error:  # a user's type may refuse; the task fails by that when it gets its results
        if is_ctrl_c(error):
            raise
        return arguments


def _is_flat(value: Any) -> bool:  # noqa: ANN401 - any user's value
    """Return True if *value* certainly holds no future, as the arguments of most calls."""
    kind = type(value)
    if kind is dict:
        return not value or (_ATOMS.issuperset(map(type, value)) and _ATOMS.issuperset(map(type, value.values())))
    return not value or _ATOMS.issuperset(map(type, value)) if kind is tuple else kind in _ATOMS


def _search(values: Iterable[Any], found: dict[int, Future[Any]], seen: set[int]) -> None:
    """Add the futures in *values*, of any depth, to *found*; *seen* holds the ids of containers that were searched."""
    inside: set[int] = set()
    """Ids of the containers around a value; none of those around an object, which may refer back to what holds it."""

    levels = [(iter(values), 0, inside)]
    while levels:
        values, holder, inside = levels[-1]
        for value in values:
            if type(value) in _ATOMS:
                continue
            key = id(value)
            if _is_instance(value, Future):
                found[key] = value
            elif _is_instance(value, _CONTAINERS):
                if key in inside:
                    raise ConfigurationError(f"An argument holds itself: a {type(value).__name__} is inside itself.")
                if key not in seen:
                    seen.add(key)
                    inside.add(key)
                    levels.append((iter(_elements(value)), key, inside))
                    break
            elif _is_dataclass(value) and key not in seen:
                seen.add(key)
                levels.append((iter(_fields(value).values()), key, set()))
                break
        else:
            levels.pop()
            if levels:
                inside.discard(holder)


def _is_instance(value: object, kinds: type | tuple[type, ...]) -> bool:
    """Return `isinstance`; by the type alone of a proxy whose `__class__` cannot be computed."""
    try:
        return isinstance(value, kinds)
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        return issubclass(type(value), kinds)


def _elements(container: Any) -> Iterable[Any]:  # noqa: ANN401 - any container
    return (*container, *container.values()) if isinstance(container, dict) else container


def _is_dataclass(value: object) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of a dataclass
    """Return the fields that are set, by name."""
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if hasattr(value, f.name)}


class _Placeholder:
    """Takes the place of a future while the containers that hold it are copied."""

    __slots__ = ("future",)

    def __init__(self, future: Future[Any]) -> None:
        self.future = future


def _future_of(placeholder: _Placeholder) -> Future[Any]:
    return placeholder.future


class _Replacer:
    """One walk that replaces each object of one type. An object met twice is replaced once, and stays one object.

    Args:
        replaced: type of the objects to replace.
        replacement: returns the replacement of one.
    """

    __slots__ = ("_begun", "_cyclic", "_made", "_replaced", "_replacement")

    def __init__(self, replaced: type, replacement: Callable[[Any], Any]) -> None:
        self._replaced = replaced
        self._replacement = replacement
        self._begun: set[int] = set()
        self._made: dict[int, Any] = {}
        self._cyclic: set[int] = set()
        """Ids of objects that were met again inside themselves."""

    def replace(self, value: Any) -> Any:  # noqa: ANN401 - any user's value
        """Return *value*, of any depth, with replacements."""
        made = self._replace_at_once(value)
        return run_walk(self._walk(value)) if made is _LATER else made

    def _replace_at_once(self, value: Any) -> Any:  # noqa: ANN401
        """Return what takes the place of *value*; `_LATER` for a container that was not met before."""
        if type(value) in _ATOMS:
            return value
        if _is_instance(value, self._replaced):
            return self._replacement(value)
        if not _is_instance(value, _CONTAINERS) and not _is_dataclass(value):
            return value
        key = id(value)
        if key in self._made:
            return self._made[key]
        if key in self._begun:
            self._cyclic.add(key)
            return value
        return _LATER

    def _walk(self, value: Any) -> Walk:  # noqa: ANN401 - a container
        key = id(value)
        self._begun.add(key)
        fields = None if _is_instance(value, _CONTAINERS) else _fields(value)
        parts = list(_elements(value) if fields is None else fields.values())
        replaced = []
        for part in parts:
            made = self._replace_at_once(part)
            replaced.append((yield self._walk(part)) if made is _LATER else made)
        made = self._made[key] = (
            value if all(map(is_, parts, replaced)) else _with_parts(value, fields, parts, replaced)
        )
        if made is not value and key in self._cyclic:
            raise ConfigurationError(
                f"An argument, a {type(value).__name__}, holds a future and points back at itself, so that it cannot "
                "be copied with the result. Pass the future beside it.",
            )
        return made


_LATER = object()
"""Stands for the replacement of a container that is to be walked through."""


def _with_parts(value: Any, fields: dict[str, Any] | None, parts: list[Any], replaced: list[Any]) -> Any:  # noqa: ANN401
    """Return a copy of the container *value* with its *parts*, a dict's keys before its values, *replaced*."""
    if fields is not None:
        changes = zip(fields, parts, replaced, strict=True)
        return _copy_with(value, {name: made for name, part, made in changes if made is not part})
    if isinstance(value, dict):
        half = len(replaced) // 2
        return _container_like(value, dict(zip(replaced[:half], replaced[half:], strict=True)))
    return _container_like(value, replaced)


def _container_like(original: Any, content: Any) -> Any:  # noqa: ANN401
    """Return *content* in a container of *original*'s type."""
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


def _copy_with(original: Any, fields: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return a copy of a dataclass's instance with other *fields*; its constructor may take other arguments."""
    made = copy.copy(original)
    for name, value in fields.items():
        object.__setattr__(made, name, value)  # a frozen one refuses any other way
    return made


# Shallow


def _find_shallow(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Future[Any]]:
    candidates = [*args, *kwargs.values(), *_inputs_in(kwargs)]
    return list({id(value): value for value in candidates if _is_instance(value, Future)}.values())


def _fill_shallow(arguments: Any, result_of: Callable[[Any], Any] = _result_of) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    def fill(value: Any) -> Any:  # noqa: ANN401 - any user's value
        return result_of(value) if _is_instance(value, Future) else value

    if not isinstance(arguments, dict):
        return tuple(map(fill, arguments))
    filled = {name: fill(value) for name, value in arguments.items()}
    if any(_is_instance(value, Future) for value in _inputs_in(arguments)):
        inputs = arguments["inputs"]
        filled["inputs"] = _container_like(inputs, [fill(value) for value in inputs])
    return filled


def _copy_inputs(arguments: Any) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    if isinstance(arguments, dict) and any(_is_instance(value, Future) for value in _inputs_in(arguments)):
        return {**arguments, "inputs": _container_like(arguments["inputs"], [*arguments["inputs"]])}
    return arguments


def _inputs_in(kwargs: dict[str, Any]) -> Sequence[Any]:
    inputs = kwargs.get("inputs")
    return inputs if isinstance(inputs, (list, tuple)) else ()


RESOLVERS = {
    "deep": Resolver(find_futures, fill_results, copy_containers),
    "shallow": Resolver(_find_shallow, _fill_shallow, _copy_inputs),
}
"""Resolvers by their names in a Config."""
