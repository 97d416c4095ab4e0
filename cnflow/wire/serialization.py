"""Pickles and unpickles users' values; the only importer of cloudpickle.

Values of plain builtins are pickled by `pickle` alone, which is several times faster; all others by cloudpickle, which
also pickles functions and classes by value. Large buffers (NumPy arrays, for example) stay out of band (PEP 574), so
that no process on the way copies them.
"""

from __future__ import annotations

import functools
import io
import operator
import pickle
import sys
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

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


def dump(value: object) -> Payload:
    """Pickle *value*.

    Raises:
        Exception: any error that pickling a user's type raises.
    """
    stream = io.BytesIO()
    try:
        _PlainPickler(stream, protocol=5).dump(value)
    except _NotPlainError:
        return _dump_anything(value)
    return Payload(stream.getvalue())


def load(body: Part, buffers: Sequence[Part] = ()) -> Any:  # noqa: ANN401 - the user's value
    """Unpickle a value. *buffers* back the loaded arrays: pass writable buffers for writable arrays."""
    return pickle.loads(body, buffers=buffers)


def _dump_anything(value: object) -> Payload:
    stream = io.BytesIO()
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND:
            return True
        buffers.append(view)
        return False

    pickler = _code_pickler()(stream, protocol=5, buffer_callback=keep_in_band)
    pickler.dump(value)
    return Payload(stream.getvalue(), tuple(buffers), MINOR if pickler.has_code else "")


@functools.lru_cache(maxsize=None)  # noqa: UP033 - functools.cache is the same; lru_cache names its content, one class
def _code_pickler() -> Any:  # noqa: ANN401 - cloudpickle ships no types
    """Cloudpickle's pickler, which also keeps file names of code and notices bytecode.

    Tracebacks need the names; cloudpickle 3.1.3 replaces each by ``<dynamic-code>``. A code object is therefore pickled
    as a call that puts the name back into what cloudpickle makes of it. The call is to the standard library's
    functions, so that loading needs no cnflow.

    Made on first use: importing cloudpickle costs 20 ms.
    """
    import cloudpickle  # noqa: PLC0415

    class CodePickler(cloudpickle.Pickler):
        has_code = False

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - cloudpickle's own signature
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
            self._renames: dict[str, operator.methodcaller] = {}

        def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - pickle's own signature
            if type(obj) is CodeType:
                self.has_code = True
                return self._rename(obj.co_filename), (_Bare(obj),)
            if type(obj) is _Bare:
                return self.dispatch_table[CodeType](obj.code)
            return super().reducer_override(obj)  # type: ignore[no-untyped-call]

        def _rename(self, file: str) -> operator.methodcaller:
            """One object for each file: pickled once, then by reference, whichever strings Python happens to share."""
            if file not in self._renames:
                # A copy, because a pickle also differs by whether the function's __file__ is this very string.
                copy = file.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
                self._renames[file] = operator.methodcaller("replace", co_filename=copy)
            return self._renames[file]

    return CodePickler


class _Bare(NamedTuple):
    """Stands for a code object without the name of its file."""

    code: CodeType


def dump_in_band(value: object) -> bytes:
    """Pickle *value* into one bytes object, however large its buffers."""
    stream = io.BytesIO()
    _code_pickler()(stream, protocol=5).dump(value)
    return stream.getvalue()


def pickle_by_value(module: ModuleType) -> None:
    """Pickle functions and classes of *module* by value from now on, not by name."""
    import cloudpickle  # noqa: PLC0415 - as above

    cloudpickle.register_pickle_by_value(module)


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
