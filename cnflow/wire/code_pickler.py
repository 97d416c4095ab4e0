"""Cloudpickle's pickler with additions for functions and classes of the user's own, which are pickled by value.

::

    code ────────────────> with the name of its file, which tracebacks need
    a class ─────────────> with the id that the caller gives it; its state is set where it is new, and nowhere else;
                           with its __slots__ from the beginning, without which its objects would have a __dict__
    lru_cache, singledispatch, cached_property, singledispatchmethod
           around such a function ──> made again around the function; cloudpickle would look for it by name
"""

from __future__ import annotations

import enum
import functools
import operator
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, Callable, NamedTuple, Optional, Protocol

from cnflow.model import pickle_hooks

_CLASS_MAKER, _NAMESPACE = "_make_skeleton_class", 3
"""Function of cloudpickle 3.1 that makes a class which is no enumeration, and position of the first names in its body
among the arguments."""

_MEMBERS = 3
"""Position of the members among the arguments of ``_make_skeleton_enum``."""

CLASS_MAKERS = {_CLASS_MAKER: 4, "_make_skeleton_enum": 5}
"""Functions of cloudpickle 3.1 that make a class, in cloudpickle/cloudpickle.py: position of its id among the
arguments."""


class Rules(Protocol):
    """Rules of one pickle, which come before those of the pickler."""

    def reduce(self, pickler: Any, obj: Any) -> Any:  # noqa: ANN401 - any value
        """Return how *obj* is pickled, as `pickle.Pickler.reducer_override`; None if there is no rule for it."""


ClassId = Callable[[type, str, object], str]
"""Returns the id of a class in a pickle; it is called with the class, the id that cloudpickle gives it, and what is
pickled of it."""

LRU_CACHE = type(functools.lru_cache(print))
DISPATCHER: CodeType = functools.singledispatch(print).__code__  # type: ignore[attr-defined]
"""Code of every function that `functools.singledispatch` makes."""


class CodePicklerMixin:
    """Comes before cloudpickle's pickler among the bases of a class; the module has a picture.

    Tracebacks need the names of files; cloudpickle 3.1.3 replaces each by ``<dynamic-code>``. A code object is
    therefore pickled as a call that puts the name back into what cloudpickle makes of it.

    Attributes:
        has_code: True once bytecode was pickled.
        class_id: gives the ids of classes; None leaves them to cloudpickle.
        rules: for the user's own modules.
        is_by_name: `cnflow.wire.serialization.is_by_name`.
    """

    dispatch_table: dict[type, Any]
    is_by_name: Callable[[Any], bool]
    has_code = False
    class_id: Optional[ClassId] = None
    rules: Optional[Rules] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - cloudpickle's own signature
        super().__init__(*args, **kwargs)
        self._renames: dict[str, operator.methodcaller] = {}

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - pickle's own signature
        """Return how *obj* is pickled."""
        kind = type(obj)
        if self.rules is not None:
            reduced = self.rules.reduce(self, obj)
            if reduced is not None:
                return reduced
        if kind is CodeType:
            self.has_code = True
            return self._rename(obj.co_filename), (_Bare(obj),)
        if kind is _Bare:
            return self.dispatch_table[CodeType](obj.code)
        if kind in _WRAPPERS or (kind is FunctionType and obj.__code__ is DISPATCHER):
            return self._reduce_wrapper(kind, obj)
        reduced = super().reducer_override(obj)  # type: ignore[misc]  # the other base has it
        if isinstance(obj, type) and type(reduced) is tuple:
            return self._with_own_id(obj, reduced)
        return reduced

    def _reduce_wrapper(self, kind: type, obj: Any) -> Any:  # noqa: ANN401 - the same
        """Reduce a wrapper of the standard library, unless it is imported by name."""
        if kind not in _ATTRIBUTES_OF_CLASSES and self.is_by_name(obj):
            return NotImplemented
        return _WRAPPERS.get(kind, _reduce_dispatcher)(obj)

    def _with_own_id(self, cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        position = CLASS_MAKERS.get(getattr(reduced[0], "__name__", ""))
        if position is None:
            return reduced
        maker, args, state, listitems, dictitems, setter = reduced
        state[0].pop("__slotnames__", None)  # appears when an instance is pickled, and would make the class another one
        pickle_hooks.defined_classes.add(cls)
        if isinstance(cls, enum.EnumMeta):
            args, state = _with_aliases(cls, args, state)
        state_of_members = isinstance(cls, enum.EnumMeta) and _attributes_of_members(cls)
        if reduced[0].__name__ == _CLASS_MAKER:
            args = (*args[:_NAMESPACE], {**args[_NAMESPACE], **_first_names(cls)}, *args[_NAMESPACE + 1 :])
        if self.class_id is not None:
            before, after = args[:position], args[position + 1 :]
            args = (*before, self.class_id(cls, args[position], ((*before, *after), state)), *after)
        content = setter, state
        if state_of_members:
            content = pickle_hooks.set_enumeration, (content, state_of_members)
        return maker, args, content, listitems, dictitems, pickle_hooks.define_class

    def _rename(self, file: str) -> operator.methodcaller:
        """One object for each file: pickled once, then by reference, whichever strings Python happens to share."""
        if file not in self._renames:
            # A copy, because a pickle also differs by whether the function's __file__ is this very string.
            copy = file.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
            self._renames[file] = operator.methodcaller("replace", co_filename=copy)
        return self._renames[file]


def _first_names(cls: type) -> dict[str, Any]:
    """Return what the body of *cls* must have from the beginning, and cloudpickle leaves out."""
    names: dict[str, Any] = {}
    if cls.__qualname__ != cls.__name__:  # a class in a class, or in a function
        names["__qualname__"] = cls.__qualname__
    if "__slots__" in vars(cls) and NamedTuple not in vars(cls).get("__orig_bases__", ()):  # which sets them itself
        names["__slots__"] = _slots_of(cls)
    return names


def _with_aliases(cls: Any, args: tuple[Any, ...], state: tuple[Any, ...]) -> tuple[Any, Any]:  # noqa: ANN401 - an enumeration
    """Return what an enumeration is made of with all of its members; cloudpickle leaves out those with two names."""
    members = {name: member.value for name, member in cls.__members__.items()}
    attributes = {name: value for name, value in state[0].items() if name not in members}
    return (*args[:_MEMBERS], members, *args[_MEMBERS + 1 :]), (attributes, *state[1:])


def _attributes_of_members(cls: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - as above
    """Return what the ``__init__`` of an enumeration has set, by the names of its members."""
    found = {
        name: {key: value for key, value in vars(member).items() if not (key.startswith("_") and key.endswith("_"))}
        for name, member in cls.__members__.items()
    }
    return {name: attributes for name, attributes in found.items() if attributes}


def _slots_of(cls: type) -> tuple[str, ...]:
    """Return the value of ``__slots__`` that makes the members of *cls*, private ones by their full names."""
    slots = vars(cls)["__slots__"]
    named = {slots} if isinstance(slots, str) else set(slots)
    members = (name for name, member in vars(cls).items() if type(member) is MemberDescriptorType)
    return (*members, *(name for name in ("__dict__", "__weakref__") if name in named))


class _Bare(NamedTuple):
    """Stands for a code object without the name of its file."""

    code: CodeType


def _reduce_lru_cache(wrapper: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type of C
    parameters = wrapper.cache_parameters()
    # That function is of the standard library, and made together with the wrapper.
    state = {name: value for name, value in vars(wrapper).items() if name != "cache_parameters"}
    return pickle_hooks.cached, (wrapper.__wrapped__, parameters["maxsize"], parameters["typed"]), state


def _reduce_dispatcher(dispatcher: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a function with attributes
    # The implementations come after the function was made: they may refer to it.
    state = (dict(dispatcher.registry), dispatcher.__module__, dispatcher.__qualname__)
    return pickle_hooks.dispatching, (dispatcher.__wrapped__,), state, None, None, pickle_hooks.register_all


def _reduce_cached_property(prop: Any) -> tuple[Any, ...]:  # noqa: ANN401 - has a lock before Python 3.12
    return functools.cached_property, (prop.func,), {"attrname": prop.attrname}


def _reduce_dispatching_method(method: Any) -> tuple[Any, ...]:  # noqa: ANN401 - has weak references since Python 3.13
    return functools.singledispatchmethod, (method.func,), {"dispatcher": method.dispatcher}


_WRAPPERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    LRU_CACHE: _reduce_lru_cache,
    functools.cached_property: _reduce_cached_property,
    functools.singledispatchmethod: _reduce_dispatching_method,
}
_ATTRIBUTES_OF_CLASSES = {functools.cached_property, functools.singledispatchmethod}
