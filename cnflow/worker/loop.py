"""A worker's life: read a task from the manager's socket, run it, write its result, until the socket closes."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.wire import payload
from cnflow.wire.pipe import Part, Reader, Record, ResultKind, ToWorker, pack
from cnflow.worker.run import call, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 256 * 1024
_SIGKILL = 9
_PR_SET_PDEATHSIG = 1  # prctl(2)


class _Function(NamedTuple):
    kind: int
    name: str
    load: Callable[[], Callable[..., Any]]


def serve(descriptor: int) -> None:
    """Run tasks that come over the socket *descriptor* until it closes."""
    _die_with_parent()
    with socket.socket(fileno=descriptor) as manager:
        manager.set_inheritable(False)
        _write(manager, pack(ResultKind.READY, 0, 0.0, []))
        functions: dict[bytes, _Function] = {}
        for record in _records(manager):
            if record.type == ToWorker.FUNCTION:
                identity, head, code = (bytes(part) for part in record.parts)
                kind, _, name = head.decode().partition(" ")
                functions[identity] = _Function(int(kind), name, _loader(code))
            else:
                function, body, *buffers = record.parts
                _write(manager, _run(record.id, functions[bytes(function)], body, buffers))


def _records(manager: socket.socket) -> Iterator[Record]:
    reader = Reader()
    while data := manager.recv(_CHUNK):
        yield from reader.feed(data)


def _loader(body: bytes) -> Callable[[], Callable[..., Any]]:
    """Loads the pickled function once it is called, and only once: a failing import is each task's own error."""
    loaded: list[Callable[..., Any]] = []

    def load() -> Callable[..., Any]:
        if not loaded:
            loaded.append(payload.load(body))
        return loaded[0]

    return load


def _run(task: int, function: _Function, body: Part, buffers: list[Part]) -> list[Part]:
    """The record of the task's result. SystemExit is let through: it ends this process, as the user's code asked."""
    kind, seconds = ResultKind.VALUE, 0.0
    begin = time.perf_counter()
    try:
        args, kwargs = payload.load(body, buffers)
        value = call(function.kind, function.name, function.load(), args, kwargs)
        seconds = time.perf_counter() - begin
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever the user's code raises is its result
        kind, seconds = ResultKind.RAISED, time.perf_counter() - begin
        value = tuple(describe(error, _dump_body))
    try:
        result, out_of_band, python = payload.dump(value)
    except Exception as error:  # noqa: BLE001 - a user's type may fail in any way
        kind, python, out_of_band = ResultKind.UNPICKLABLE, "", ()
        result = f"{type(value).__qualname__}: {error}".encode()
    return pack(kind, task, seconds, [python.encode(), result, *out_of_band])


def _dump_body(value: object) -> bytes:
    return payload.dump(value).body


def _write(manager: socket.socket, chunks: list[Part]) -> None:
    for chunk in chunks:
        manager.sendall(chunk)


def _die_with_parent() -> None:
    """Have the kernel end this process with its manager, however that ends. Linux only; elsewhere the socket tells."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes  # noqa: PLC0415 - only here, and an image's Python may lack it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    except (ImportError, OSError, AttributeError) as error:
        sys.stderr.write(f"worker: cannot ask the kernel to end it with its manager: {error}\n")
