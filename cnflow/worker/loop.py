"""A worker's life: read a task from the manager's socket, run it, write its result, until the socket closes."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.model.task import RunOptions
from cnflow.tasks.call import PYTHON, Call, CallContext, call, describe, outputs_checked
from cnflow.tasks.stopping import Cancelled
from cnflow.wire import serialization
from cnflow.wire.pipe import Part, Reader, Record, ResultKind, ToWorker, pack
from cnflow.worker.interruption import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 256 * 1024
_SIGKILL = 9
_ARGUMENTS_ONLY = 2
_PR_SET_PDEATHSIG = 1  # prctl(2)


class _Function(NamedTuple):
    kind: int
    name: str
    load: Callable[[], Callable[..., Any]]


def serve(descriptor: int, stops: int, sandbox: str) -> None:
    """Run tasks that come over the socket *descriptor* until it closes.

    Args:
        descriptor: of the socket to the manager.
        stops: of the pipe over which it names tasks to stop.
        sandbox: what the paths of sandboxes begin with; those of a worker that was here before are removed.
    """
    _die_with_parent()
    own_pid = os.getpid()
    os.set_inheritable(stops, False)
    guard = Guard(stops)
    _tidy_up(sandbox)
    with socket.socket(fileno=descriptor) as manager:
        manager.set_inheritable(False)
        _write(manager, pack(ResultKind.READY, 0, 0.0, []))
        runner = _Runner(guard, CallContext(guard, sandbox))
        for record in _records(manager):
            if record.type == ToWorker.FUNCTION:
                runner.learn(record)
            else:
                result = runner.run(record)
                if os.getpid() != own_pid:
                    os._exit(0)  # a child that the task forked and let return: its parent answers
                _write(manager, result)


def _records(manager: socket.socket) -> Iterator[Record]:
    reader = Reader()
    while data := manager.recv(_CHUNK):
        yield from reader.feed(data)


def _loader(body: bytes) -> Callable[[], Callable[..., Any]]:
    """Loads the pickled function once it is called, and only once: a failing import is each task's own error."""
    loaded: list[Callable[..., Any]] = []

    def load() -> Callable[..., Any]:
        if not loaded:
            loaded.append(serialization.load(body))
        return loaded[0]

    return load


class _Runner:
    def __init__(self, guard: Guard, place: CallContext) -> None:
        self._guard = guard
        self._place = place
        self._functions: dict[bytes, _Function] = {}

    def learn(self, record: Record) -> None:
        identity, head, code = (bytes(part) for part in record.parts)
        kind, _, name = head.decode().partition(" ")
        self._functions[identity] = _Function(int(kind), name, _loader(code))

    def run(self, record: Record) -> list[Part]:
        """The record of the task's result. SystemExit is let through: the user's code asked to end this process."""
        identity, body, *buffers = record.parts
        function = self._functions[bytes(identity)]
        kind, seconds = ResultKind.VALUE, 0.0
        begin = time.perf_counter()
        try:
            try:
                self._guard.begin(function.name, record.seconds)
                value = self._call(function, serialization.load(body, buffers))
            finally:
                self._guard.end()
            seconds = time.perf_counter() - begin
        except BaseException as error:
            seconds = time.perf_counter() - begin
            # What a stopped task makes of the stop on its way out is no news; why it was stopped is.
            reason = self._guard.take_stop() or error
            if isinstance(reason, SystemExit):
                raise
            if isinstance(reason, Cancelled):
                return pack(ResultKind.CANCELLED, record.id, seconds, [b"", b""])
            kind, value = ResultKind.RAISED, tuple(describe(reason, _dump_body))
        return _packed(kind, record.id, seconds, value)

    def _call(self, function: _Function, loaded: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the user's value
        if len(loaded) == _ARGUMENTS_ONLY:
            args, kwargs = loaded
            if function.kind == PYTHON:
                return function.load()(*args, **kwargs)
            return call(Call(function.kind, function.name, function.load(), args, kwargs), self._place)
        args, kwargs, options = loaded
        what = Call(function.kind, function.name, function.load(), args, kwargs, RunOptions(*options))
        if function.kind == PYTHON:
            from cnflow.tasks.environment import call_within  # noqa: PLC0415 - most workers need none

            return outputs_checked(what, call_within(what, self._guard, self._place.sandbox))
        return outputs_checked(what, call(what, self._place))


def _packed(kind: ResultKind, task: int, seconds: float, value: object) -> list[Part]:
    try:
        result, out_of_band, python = serialization.dump(value)
    except Exception as error:  # noqa: BLE001 - a user's type may fail in any way
        kind, python, out_of_band = ResultKind.UNPICKLABLE, "", ()
        result = f"{type(value).__qualname__}: {error}".encode()
    return pack(kind, task, seconds, [python.encode(), result, *out_of_band])


def _dump_body(value: object) -> bytes:
    return serialization.dump_in_band(value)


def _write(manager: socket.socket, chunks: list[Part]) -> None:
    for chunk in chunks:
        manager.sendall(chunk)


def _tidy_up(sandbox: str) -> None:
    """Remove what a killed predecessor left; there is hardly ever anything."""
    folder, name = os.path.split(sandbox)
    if any(entry.startswith(f"{name}-") for entry in os.listdir(folder)):  # noqa: PTH208 - pathlib is slow to import
        from cnflow.tasks.sandbox import remove_leftovers  # noqa: PLC0415 - the same

        remove_leftovers(sandbox)


def _die_with_parent() -> None:
    """Have the kernel end this process with its manager, however that ends. Linux only; elsewhere the socket tells."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes  # noqa: PLC0415 - only here, and an image's Python may lack it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    except (ImportError, OSError, AttributeError) as error:
        sys.stderr.write(f"worker: cannot ask the kernel to end it with its manager: {error}\n")
