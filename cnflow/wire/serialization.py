"""Pickles and unpickles users' values; the only importer of cloudpickle.

Values of plain builtins are pickled by `pickle` alone, which is several times faster; all others by cloudpickle, which
also pickles functions and classes by value. Large buffers (NumPy arrays, for example) stay out of band (PEP 574), so
that no process on the way copies them.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.model import pickle_hooks
from cnflow.wire.code_pickler import CLASS_MAKERS, CodePicklerMixin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from cnflow.wire.code_pickler import ClassId, Rules
    from cnflow.wire.pipe import Part

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""Minor version of the Python that runs here, such as ``3.12``; bytecode is the same within a minor version only."""

OUT_OF_BAND = 64 * 1024
"""Bytes from which a buffer travels as a frame; below, a frame costs more than the copy."""


class Payload(NamedTuple):
    """Pickled value."""

    body: bytes
    buffers: tuple[memoryview, ...] = ()
    """Buffers out of band, in the order that the unpickler needs."""

    python: str = ""
    """Minor version whose bytecode is inside; empty when any Python can load the value."""


class _NotPlainError(Exception):
    pass


class _PlainPickler(pickle.Pickler):
    """Pickles builtin values and containers; raises `_NotPlainError` at anything else."""

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401, ARG002 - pickle's own signature
        raise _NotPlainError


NO_ARGUMENTS = Payload(pickle.dumps(((), {}), protocol=5))


def dump(value: object, class_id: Optional[ClassId] = None, rules: Optional[Rules] = None) -> Payload:
    """Pickle *value*; *class_id* gives the ids of classes in it that are pickled by value, *rules* come first.

    Raises:
        Exception: any error that pickling a user's type raises.
    """
    return dump_plain(value) or dump_anything(value, class_id, rules)


def dump_plain(value: object) -> Optional[Payload]:
    """Pickle *value* if it is made of builtin values and containers alone; return None if it is not."""
    stream = io.BytesIO()
    try:
        _PlainPickler(stream, protocol=5).dump(value)
    except _NotPlainError:
        return None
    return Payload(stream.getvalue())


def load(body: Part, buffers: Sequence[Part] = ()) -> Any:  # noqa: ANN401 - the user's value
    """Unpickle a value. *buffers* back the loaded arrays: pass writable buffers for writable arrays."""
    return pickle.loads(body, buffers=buffers)


def load_apart(body: bytes) -> Any:  # noqa: ANN401 - the user's function
    """Unpickle a function with copies of all that was pickled by value, also of classes of this process."""
    return _ApartUnpickler(io.BytesIO(body)).load()


class _ApartUnpickler(pickle.Unpickler):
    """Makes each class of a pickle anew, whatever its id, and keeps apps apart from functions."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle" and name in CLASS_MAKERS:
            return functools.partial(_make_untracked, found, CLASS_MAKERS[name])
        if found is pickle_hooks.define_class:
            return _set_state
        return _AppApart if found is pickle_hooks.itself else found


def _make_untracked(make: Any, position: int, *args: Any) -> Any:  # noqa: ANN401 - a function of cloudpickle
    return make(*args[:position], None, *args[position + 1 :])


def _set_state(cls: type, state: tuple[Any, Any]) -> None:
    state[0](cls, state[1])


class _AppApart:
    """Stands for an app, for code that looks at functions: it has the name of its type, and its function."""

    def __init__(self, function: Any) -> None:  # noqa: ANN401 - the user's
        self.__wrapped__ = function

    def __call__(self) -> None:
        raise TypeError("the copy of an app is looked at, and not called")


_AppApart.__module__, _AppApart.__qualname__ = "cnflow.apps.app", "App"


def dump_anything(value: object, class_id: Optional[ClassId], rules: Optional[Rules]) -> Payload:
    """Pickle *value* as `dump` does where it is not plain."""
    stream = io.BytesIO()
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND:
            return True
        buffers.append(view)
        return False

    pickler = _code_pickler()(stream, protocol=5, buffer_callback=keep_in_band)
    pickler.class_id, pickler.rules = class_id, rules
    pickler.dump(value)
    return Payload(stream.getvalue(), tuple(buffers), MINOR if pickler.has_code else "")


@functools.lru_cache(maxsize=None)
def _code_pickler() -> Any:  # noqa: ANN401 - cloudpickle ships no types
    """Return the class of picklers. Made on first use: importing cloudpickle costs 20 ms."""
    import cloudpickle  # noqa: PLC0415

    return type("CodePickler", (CodePicklerMixin, cloudpickle.Pickler), {"is_by_name": staticmethod(is_by_name)})


def dump_in_band(value: object, class_id: Optional[ClassId] = None, rules: Optional[Rules] = None) -> bytes:
    """Pickle *value* as `dump` does, but into one bytes object, however large its buffers."""
    stream = io.BytesIO()
    pickler = _code_pickler()(stream, protocol=5)
    pickler.class_id, pickler.rules = class_id, rules
    pickler.dump(value)
    return stream.getvalue()


def is_by_name(code: Any) -> bool:  # noqa: ANN401 - a function, a class, a wrapper of either
    """Return True if a function or class is pickled as a name that is imported, False if as a value."""
    import cloudpickle.cloudpickle as internals  # noqa: PLC0415 - as above

    found = internals._lookup_module_and_qualname(code)  # noqa: SLF001 - no public function tells it
    return found is not None and not internals._is_registered_pickle_by_value(found[0])  # noqa: SLF001


def track_class(cls: type, identity: str) -> None:
    """Let objects of a class whose id is *identity* in a pickle be loaded as objects of *cls*."""
    import cloudpickle.cloudpickle as internals  # noqa: PLC0415 - as above

    with internals._DYNAMIC_CLASS_TRACKER_LOCK:  # noqa: SLF001 - the ids are in no other place
        internals._DYNAMIC_CLASS_TRACKER_BY_ID[identity] = cls  # noqa: SLF001


def pickle_by_value(module: ModuleType, by_value: bool) -> None:  # noqa: FBT001 - says it
    """Pickle functions and classes of *module* by value from now on, or by name."""
    import cloudpickle.cloudpickle as internals  # noqa: PLC0415 - as above

    if by_value:
        internals.register_pickle_by_value(module)
    elif module.__name__ in internals.list_registry_pickle_by_value():
        internals.unregister_pickle_by_value(module)


def unite_classes(old: Sequence[str], new: Sequence[str]) -> bool:
    """Let cloudpickle's ids *old*, of a killed process, stand for the classes of this process with the ids *new*.

    A result with an object of such a class then has the script's own class. Returns False if that is not possible.
    """
    if not old and not new:
        return True
    import cloudpickle.cloudpickle as internals  # noqa: PLC0415 - as above

    try:
        by_id, lock = internals._DYNAMIC_CLASS_TRACKER_BY_ID, internals._DYNAMIC_CLASS_TRACKER_LOCK  # noqa: SLF001 - the ids are in no other place
    except AttributeError:
        return False
    with lock:
        classes = [by_id.get(identity) for identity in new]
        if len(old) != len(new) or None in classes:
            return False
        return all(by_id.setdefault(identity, cls) is cls for identity, cls in zip(old, classes))
