"""Finds which part of a pickled value cannot be loaded here, for messages: ``args[0]['when']``.

The value is loaded once more, with stand-ins for what is not here and for all bytecode, which is never made into code.
"""

from __future__ import annotations

import functools
import io
import pickle
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.pipe import Part

_DEPTH = 6


class _StandInType(type):
    """Type of the stand-ins: an attribute of a class that is not here, such as a class method that unpickles, is it."""

    def __getattr__(cls, name: str) -> Any:  # noqa: ANN401 - as pickles want it
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class _StandIn(metaclass=_StandInType):
    """Stands for a class or function that is not here, for its calls and for their results."""

    name = ""

    def __init__(self, *_: object, **__: object) -> None: ...
    def __new__(cls, *_: object, **__: object) -> Any:  # noqa: ANN401 - as pickles want it
        return object.__new__(cls)

    def __call__(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - as above
        return self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setstate__(self, _: object) -> None: ...
    def append(self, _: object) -> None:
        """Take an item of a list."""

    def extend(self, _: object) -> None:
        """Take items of a list."""

    def __setitem__(self, *_: object) -> None: ...


class _Unpickler(pickle.Unpickler):
    has_foreign_code = False

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        if self.has_foreign_code and (module.startswith("cloudpickle") or module == "cnflow.model.pickle_hooks"):
            return type(f"{module}.{name}", (_StandIn,), {"name": "a function or class of the script"})
        if name == "_builtin_type":  # by which cloudpickle names types of `types`
            return functools.partial(self.find_class, "types")
        try:
            return super().find_class(module, name)
        except Exception:  # noqa: BLE001 - an import may fail in any way
            return type(name, (_StandIn,), {"name": f"{module}.{name}"})


def place_in(body: Part, buffers: Sequence[Part], names: Sequence[str], *, has_foreign_code: bool = False) -> str:
    """Return the place in a value of what cannot be loaded, and its class: ``args[0]['when'], zoneinfo.ZoneInfo``.

    Args:
        body: the pickle.
        buffers: those out of band.
        names: names of the parts of the value, which is a tuple; with one name, of the value itself.
        has_foreign_code: the pickle has bytecode of another Python: functions and classes of it are what is looked for.

    Returns:
        An empty text if no place can be told.
    """
    try:
        unpickler = _Unpickler(io.BytesIO(body), buffers=buffers)
        unpickler.has_foreign_code = has_foreign_code
        value = unpickler.load()
    except BaseException:  # noqa: BLE001 - the stand-ins do not do for this value, or its type ends the program
        return ""
    parts = zip(names, value) if len(names) > 1 else ((names[0], value),)
    for name, part in parts:
        found = _stand_in_in(part, _DEPTH)
        if found is not None:
            return f"{name}{found[0]}, {found[1]}"
    return ""


def name_place(error: Exception, body: Part, buffers: Sequence[Part], names: Sequence[str]) -> None:
    """Add to the message of *error*, which was raised while a value was loaded, the place in the value."""
    place = place_in(body, buffers, names)
    if place:
        error.args = (f"{error} (it is needed by {place})",)
        if isinstance(error, ImportError):
            error.msg = error.args[0]


def _stand_in_in(value: Any, depth: int) -> Optional[tuple[str, str]]:  # noqa: ANN401 - a user's value
    if isinstance(value, _StandIn):
        return "", value.name
    if isinstance(value, type) and issubclass(value, _StandIn):
        return "", value.name
    for name, part in parts_of(value) if depth else ():
        found = _stand_in_in(part, depth - 1)
        if found is not None:
            return name + found[0], found[1]
    return None


def parts_of(value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - a user's value
    """Return the parts of *value*, with what leads to each of them from it."""
    if isinstance(value, dict):
        return [*((f"[{key!r}]", part) for key, part in value.items()), *((f" key {key!r}", key) for key in value)]
    if isinstance(value, (list, tuple)):
        return [(f"[{n}]", part) for n, part in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [(" item", part) for part in value]
    return [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()]
