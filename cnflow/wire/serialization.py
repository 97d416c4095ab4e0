"""Users' values as bytes and back; the only user of cloudpickle.

Values made of plain builtins go through `pickle` alone, which is several times faster; everything else through
cloudpickle, which also ships functions and classes by value. Large buffers (NumPy arrays and the like) are kept out of
band (PEP 574), so that nobody on the way copies or looks into them.
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
"""Of the Python that runs here; bytecode is the same within one minor version only."""

OUT_OF_BAND = 64 * 1024
"""Bytes from which a buffer travels on its own; below that a frame costs more than the copy."""


class Payload(NamedTuple):
    """A pickled value."""

    body: bytes
    buffers: tuple[memoryview, ...] = ()
    """Out of band, in the order that the unpickler wants them."""

    python: str = ""
    """Minor version whose bytecode is inside; empty when any Python can load it."""


class _NotPlainError(Exception):
    pass


class _PlainPickler(pickle.Pickler):
    """Pickles builtin values and containers; gives up at anything else."""

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401, ARG002 - pickle's own signature
        raise _NotPlainError


NO_ARGUMENTS = Payload(pickle.dumps(((), {}), protocol=5))


def dump(value: object) -> Payload:
    """*value* as bytes.

    Raises:
        Exception: whatever the pickling of a user's type raises.
    """
    stream = io.BytesIO()
    try:
        _PlainPickler(stream, protocol=5).dump(value)
    except _NotPlainError:
        return _dump_anything(value)
    return Payload(stream.getvalue())


def load(body: Part, buffers: Sequence[Part] = ()) -> Any:  # noqa: ANN401 - the user's value
    """The value that `dump` was given. *buffers* back the loaded arrays: pass writable ones for writable arrays."""
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


@functools.lru_cache(maxsize=None)  # noqa: UP033 - functools.cache is the same; this says what is kept: one class
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
    """*value* as one piece of bytes, however large its buffers."""
    stream = io.BytesIO()
    _code_pickler()(stream, protocol=5).dump(value)
    return stream.getvalue()


def ship_by_value(module: ModuleType) -> None:
    """From now on have functions and classes of *module* travel whole instead of by their names."""
    import cloudpickle  # noqa: PLC0415 - as above

    cloudpickle.register_pickle_by_value(module)
