"""Pickles and unpickles users' values; the only importer of cloudpickle.

Values of plain builtins are pickled by `pickle` alone, which is several times faster; all others by cloudpickle, which
also pickles functions and classes by value. Large buffers (NumPy arrays, for example) stay out of band (PEP 574), so
that no process on the way copies them.
"""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional

from cnflow.model import source_code
from cnflow.wire import moved_names
from cnflow.wire.code_pickler import CodePicklerMixin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from cnflow.wire.code_pickler import ClassId, Rules
    from cnflow.wire.pipe import Part
    from cnflow.wire.portable_pickler import Sources

MINOR = source_code.MINOR

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


def dump_result(value: object, *, in_band: bool = False) -> Payload:
    """Pickle *value* in a worker, for a driver whose Python may be another one: then code is pickled as source."""
    payload = None if in_band else dump_plain(value)
    return payload or dump_anything(value, None, None, as_source=source_code.foreign, in_band=in_band)


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
    try:
        return pickle.loads(body, buffers=buffers)
    except (ImportError, AttributeError, DeprecationWarning):  # the last by NumPy 2, where warnings are errors
        if not moved_names.has_any(body):
            raise
        return moved_names.Unpickler(io.BytesIO(body), buffers=buffers).load()


def dump_anything(
    value: object,
    class_id: Optional[ClassId],
    rules: Optional[Rules],
    sources: Optional[Sources] = None,
    *,
    as_source: bool = False,
    in_band: bool = False,
) -> Payload:
    """Pickle *value* as `dump` does where it is not plain.

    Args:
        value: of any type.
        class_id: as of `dump`.
        rules: as of `dump`.
        sources: source of code, which is pickled in place of bytecode.
        as_source: the same, without *sources*: where this process has compiled the code from source.
        in_band: large buffers are part of the body.
    """
    stream = io.BytesIO()
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND:
            return True
        buffers.append(view)
        return False

    kind = _portable_pickler() if as_source or sources is not None else _code_pickler()
    pickler = kind(stream, protocol=5, buffer_callback=None if in_band else keep_in_band)
    pickler.class_id, pickler.rules = class_id, rules
    if sources is not None:
        pickler.sources = sources
    pickler.dump(value)
    return Payload(stream.getvalue(), tuple(buffers), MINOR if pickler.has_code else "")


@functools.lru_cache(maxsize=None)
def _portable_pickler() -> Any:  # noqa: ANN401 - cloudpickle ships no types
    import cloudpickle  # noqa: PLC0415 - as below

    from cnflow.wire.portable_pickler import PortablePicklerMixin  # noqa: PLC0415 - few processes need it

    names = {**_names_of_pickler(cloudpickle), "class_by_id": staticmethod(class_by_id)}
    return type("PortablePickler", (PortablePicklerMixin, cloudpickle.Pickler), names)


@functools.lru_cache(maxsize=None)
def _code_pickler() -> Any:  # noqa: ANN401 - as above
    """Return the class of picklers. Made on first use: importing cloudpickle costs 20 ms."""
    import cloudpickle  # noqa: PLC0415

    return type("CodePickler", (CodePicklerMixin, cloudpickle.Pickler), _names_of_pickler(cloudpickle))


def _names_of_pickler(cloudpickle: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    from dataclasses import MISSING  # noqa: PLC0415 - cloudpickle has imported it

    table = _Reducers(cloudpickle.Pickler.dispatch_table.maps[0])
    # There is one such object in a process: a field of a dataclass whose default is another one has a default.
    table[type(MISSING)] = lambda _: "MISSING"
    return {"is_by_name": staticmethod(is_by_name), "dispatch_table": table}


class _Reducers(Dict[Any, Any]):
    """Cloudpickle's reducers, then those of `copyreg`; a look costs half of that into cloudpickle's own two tables."""

    def __missing__(self, kind: type) -> Any:  # noqa: ANN401 - a function
        return copyreg.dispatch_table[kind]


def dump_in_band(value: object, class_id: Optional[ClassId] = None, rules: Optional[Rules] = None) -> bytes:
    """Pickle *value* as `dump` does, but into one bytes object, however large its buffers."""
    return dump_anything(value, class_id, rules, in_band=True).body


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


def class_by_id(identity: str, name: str) -> type:
    """Return the class of this process that has that id in pickles. Results from another Python call this."""
    import cloudpickle.cloudpickle as internals  # noqa: PLC0415 - as above

    found = internals._DYNAMIC_CLASS_TRACKER_BY_ID.get(identity)  # noqa: SLF001 - as above
    if not isinstance(found, type):
        raise LookupError(f"the class {name!r} of the task's script is not one of this driver")  # noqa: TRY004 - no argument
    return found


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
