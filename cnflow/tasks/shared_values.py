"""Large arguments and results of tasks on the driver's own machine: mapped memory in place of bytes through sockets.

::

    driver: a file without a name <──map, private── worker: /proc/PID/fd/N      pickled as a call of `load_argument`
    driver: map, private, unlink ──────────────────> worker: file in memory     pickled as a call of `load_result`

Maps are private: arrays can be written to, and nobody else gets the change. Nothing has a name but a result on its way.
That tells its driver: who maps it removes it, the driver removes the others at its end, and managers those of drivers
that were killed.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.tasks import value_files
from cnflow.tasks.values import loaded

if TYPE_CHECKING:
    from cnflow.wire.serialization import Payload

VARIABLE = "CNFLOW_SHARED_VALUES"
"""Variable of workers whose driver maps the files of their results: most bytes of one, and how their paths begin."""

SHARED_FROM = 512 * 1024
"""Bytes from which a value is mapped; below, the files cost more than the copies."""


_MEMORY = "/dev/shm"  # noqa: S108 - files in it belong to one user
_PREFIX = "cnflow-result-"
_SPARE = 64 * 2**20
"""Bytes of memory that are left to others."""

_CALL, _CALL_WITHIN = b"load_result", 100


class Argument(NamedTuple):
    """Pickled as a call that loads the arguments of a task from memory of the driver."""

    place: str
    """Path, and the device and inode of what must be there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return load_argument, (self.place,)


class Result(NamedTuple):
    """Pickled as a call that loads a result from the file at *path*, once."""

    path: str

    def __reduce__(self) -> tuple[Any, ...]:
        return load_result, (self.path,)


def size_of(payload: Payload) -> int:
    """Bytes of *payload*."""
    return len(payload.body) + sum(len(memoryview(buffer).cast("B")) for buffer in payload.buffers)


def load_argument(place: str) -> Any:  # noqa: ANN401 - pickles call it
    """Return the arguments whose bytes are at *place*.

    Raises:
        OSError: the driver has ended, or does not need the result any more.
    """
    path, _, identity = place.rpartition(" ")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if f"{status.st_dev}:{status.st_ino}" != identity:
            raise FileNotFoundError(f"{path} is no memory of the driver any more")
        content = value_files.map_file(descriptor, private=True)
    finally:
        os.close(descriptor)
    return loaded(content)


def load_result(path: str) -> Any:  # noqa: ANN401 - pickles call it
    """Return the value in the file at *path*, and remove the file: the map stays as long as the value.

    Raises:
        OSError: the file is gone.
    """
    content = value_files.map_file(path, private=True)
    os.unlink(path)
    return loaded(content)


def results_prefix(place: str) -> str:
    """How the paths of results begin for the driver whose probe is at *place*: ``/proc/PID/fd/N TOKEN``."""
    path, _, token = place.rpartition(" ")
    space = os.stat("/proc/self/ns/pid").st_ino  # others may have processes of these numbers
    return f"{_MEMORY}/{_PREFIX}{os.getuid()}-{space}-{path.split('/')[2]}-{token[:8]}-"


def remove_results(prefix: str) -> None:
    """Remove the files of results whose paths begin with *prefix*."""
    for name in os.listdir(_MEMORY):
        if f"{_MEMORY}/{name}".startswith(prefix):
            with contextlib.suppress(OSError):
                os.unlink(f"{_MEMORY}/{name}")


def remove_results_of_killed_drivers() -> None:
    """Remove the files of results for drivers of this user and this space of processes that are no more."""
    own = f"{_PREFIX}{os.getuid()}-{os.stat('/proc/self/ns/pid').st_ino}-"
    for name in os.listdir(_MEMORY):
        if name.startswith(own) and not os.path.exists(f"/proc/{name[len(own) :].partition('-')[0]}"):
            with contextlib.suppress(OSError):
                os.unlink(f"{_MEMORY}/{name}")


def discard_result(body: bytes) -> None:
    """Remove the file of a result that nobody wants, if *body* is the pickle of `leave_result`."""
    if _CALL not in body[:_CALL_WITHIN]:
        return
    import pickletools

    path = next((str(arg) for _, arg, _ in pickletools.genops(body) if str(arg).startswith("/")), "")
    if os.path.basename(path).startswith(_PREFIX):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def leave_result(payload: Payload) -> bytes:
    """Write *payload* to a file in memory, and return the pickle that loads it; empty where it travels by itself.

    So does one for which there is no room.
    """
    limit, _, prefix = os.environ.get(VARIABLE, "0").partition(" ")
    size = size_of(payload) if prefix else 0
    if not SHARED_FROM <= size <= int(limit):
        return b""
    path = ""
    try:
        state = os.statvfs(os.path.dirname(prefix))
        if state.f_bavail * state.f_frsize < size + _SPARE:
            return b""
        descriptor, path = value_files.open_new(os.path.dirname(prefix), os.path.basename(prefix))
        with os.fdopen(descriptor, "wb") as file:
            value_files.write(file.fileno(), value_files.chunks_of(payload))
            if not path:
                whole = prefix + os.urandom(8).hex()
                value_files.give_name(file.fileno(), whole)
                path = whole
    except OSError:  # no room: it goes through the sockets
        with contextlib.suppress(OSError):
            os.unlink(path)
        return b""
    return pickle.dumps(Result(path), protocol=5)
