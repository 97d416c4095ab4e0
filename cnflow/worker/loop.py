"""Loop of a worker process: read a record, run its task, write its result, until the manager closes the socket.

::

    start ──> remove sandboxes of a predecessor ──> write READY ──> read
                                                                     │
      ┌──────────────────────────────────────────────────────────────┤<────────────────────────────┐
      │ FUNCTION: keep it; unpickled at its first call               │ TASK                        │
      │ FORGET: keep none                                            │                             │
      └──────────────────────────────────────────────────────────────┤                             │
                                                                     ▼                             │
           restore folder and variables, unpickle arguments, run ──> VALUE, RAISED, ... ──write──────┘
             │
             └── SystemExit, a crash or a kill: the process ends, and the manager reports WORKER_LOST

    ends when the socket closes, or with its manager
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from cnflow.model.task import RunOptions
from cnflow.tasks import inside, own_modules
from cnflow.tasks.call import (
    PYTHON,
    Call,
    CallContext,
    check_outputs,
    describe_exception,
    message_of,
    name_of_type,
    run_call,
)
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.staging import steps
from cnflow.tasks.staging.copies import copies, remove_noted
from cnflow.tasks.stopping import Cancelled
from cnflow.wire import serialization
from cnflow.wire.pipe import Part, Reader, Record, ResultKind, ToWorker, pack
from cnflow.worker.beginning import Beginning
from cnflow.worker.interruption import Guard
from cnflow.worker.main_module import enter, main_of
from cnflow.worker.output import TaskOutput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from cnflow.worker.usage import UsageMeter

_CHUNK = 256 * 1024
_SIGKILL = 9
_ARGUMENTS_ONLY = 2
_PR_SET_PDEATHSIG = 1  # prctl(2)


class _Function:
    """A function as it was sent; unpickled by its first task. If that fails, each of its tasks fails."""

    __slots__ = ("_body", "_generation", "_loaded", "_main", "_modules", "kind", "name")

    def __init__(self, kind: int, name: str, body: bytes, modules: bytes) -> None:
        self.kind = kind
        self.name = name
        self._body = body
        self._modules = modules
        self._generation = 0
        self._loaded: Optional[Callable[..., Any]] = None
        self._main: Optional[ModuleType] = None

    def load(self) -> Callable[..., Any]:
        """Return the function; its script's names are in ``__main__`` from now on, and its modules can be imported."""
        if self._modules and (generation := own_modules.activate(self._modules)) != self._generation:
            self._loaded, self._generation = None, generation  # it refers to older modules
        loaded = self._loaded
        if loaded is None:
            loaded = self._loaded = serialization.load(self._body)
            self._main = main_of(loaded)
        enter(self._main)
        return loaded


def serve(descriptor: int, stops: int, sandbox: str) -> None:
    """Run the tasks that arrive over the manager's socket until it closes.

    Args:
        descriptor: of the socket.
        stops: descriptor of the pipe with the numbers of tasks to stop.
        sandbox: prefix of the paths of sandboxes; those that a predecessor left are removed.
    """
    _die_with_parent()
    own_pid = os.getpid()
    os.set_inheritable(stops, False)
    inside.enter_worker()
    guard = Guard(stops)
    _remove_leftovers(sandbox)
    output = TaskOutput()
    with socket.socket(fileno=descriptor) as manager:
        manager.set_inheritable(False)
        _write(manager, pack(ResultKind.READY, 0, 0.0, []))
        runner = _Runner(guard, CallContext(guard, sandbox), output)
        task, meter = 0, None  # a meter where the run wants to know what tasks use
        steps.here.report = lambda step: _report_step(manager, task, step)
        for record in _read_records(manager):
            if record.type == ToWorker.FUNCTION:
                runner.add_function(record)
            elif record.type == ToWorker.SEND_USAGE:
                meter = _start_meter()
                _write(manager, [meter.record(0)])
            elif record.type == ToWorker.FORGET:
                runner.forget_functions()
            else:
                task = record.id
                if meter is not None:
                    meter.begin()
                result = runner.run(record)
                left = [part for each in inside.take_left() for part in _pack_left(record.id, each)]
                if os.getpid() != own_pid:
                    os._exit(0)  # a child that the task forked, and that returned: its parent sends the result
                output.end()
                used = meter.record(task) if meter is not None else b""
                _write(manager, [*left, used + bytes(result[0]), *result[1:]])


def _start_meter() -> UsageMeter:
    from cnflow.worker.usage import UsageMeter

    return UsageMeter()


def _read_records(manager: socket.socket) -> Iterator[Record]:
    reader = Reader()
    while data := _receive(manager):
        yield from reader.feed(data)


def _receive(manager: socket.socket) -> bytes:
    """Return what has arrived; nothing at the manager's end, also if it has not read all that this worker sent."""
    try:
        return manager.recv(_CHUNK)
    except ConnectionResetError:
        return b""


class _Runner:
    def __init__(self, guard: Guard, context: CallContext, output: TaskOutput) -> None:
        self._output = output
        self._guard = guard
        self._context = context
        self._functions: dict[bytes, _Function] = {}
        self._beginning = Beginning()

    def add_function(self, record: Record) -> None:
        identity, head, body, modules = (bytes(part) for part in record.parts)
        kind, _, name = head.decode().partition(" ")
        if int(kind) == own_modules.RECORD:
            own_modules.receive(identity, body)
        else:
            self._functions[identity] = _Function(int(kind), name, body, modules)

    def forget_functions(self) -> None:
        self._functions.clear()
        own_modules.forget()

    def run(self, record: Record) -> list[Part]:
        """Run the task and return the record of its result.

        Raises:
            SystemExit: the user's code asked to end this process.
        """
        self._beginning.restore()
        identity, body, *buffers = record.parts
        function = self._functions[bytes(identity)]
        seconds, loaded = 0.0, ()
        self._output.begin(record.id, function.name)
        if function.kind != PYTHON:
            self._output.announce()  # a command prints by itself
        started = time.perf_counter()
        try:
            try:
                self._guard.start(function.name, record.seconds)
                function.load()  # first: the arguments may be of its modules, and of the versions of its classes
                loaded = _load_arguments(function.name, body, buffers)
                value = self._call(function, loaded)
            finally:
                self._guard.end()
                if copies.undo is not None:
                    remove_noted()
            seconds = time.perf_counter() - started
        except BaseException as error:
            seconds = time.perf_counter() - started
            # The stop itself is reported, not an exception that its cleanup raised.
            reason = self._guard.take_stop() or error
            if isinstance(reason, SystemExit):
                raise
            own_modules.explain(reason)
            if isinstance(reason, Cancelled):
                return pack(ResultKind.CANCELLED, record.id, seconds, [b"", b""])
            return _pack_error(record.id, seconds, reason)
        keep_from = RunOptions(*loaded[_ARGUMENTS_ONLY]).keep_from if len(loaded) > _ARGUMENTS_ONLY else None
        return _pack_result(ResultKind.VALUE, record.id, seconds, value, keep_from)

    def _call(self, function: _Function, loaded: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the user's value
        if len(loaded) == _ARGUMENTS_ONLY:
            args, kwargs = loaded
            if function.kind == PYTHON:
                return call_function(function.load(), args, kwargs)
            return run_call(Call(function.kind, function.name, function.load(), args, kwargs), self._context)
        args, kwargs, options = loaded
        call = Call(function.kind, function.name, function.load(), args, kwargs, RunOptions(*options))
        if call.options.leaves is not None:
            from cnflow.tasks.staging.items import run_with_items

            return run_with_items(call, self._call_with_options)
        return self._call_with_options(call)

    def _call_with_options(self, call: Call) -> Any:  # noqa: ANN401 - the user's value
        if call.kind == PYTHON:
            from cnflow.tasks.environment import call_with_options

            return check_outputs(call, call_with_options(call, self._guard, self._context.sandbox))
        return check_outputs(call, run_call(call, self._context))


def _load_arguments(name: str, body: Part, buffers: list[Any]) -> tuple[Any, ...]:
    try:
        return serialization.load(body, buffers)  # type: ignore[no-any-return]  # as the driver has made it
    except Exception as error:
        if isinstance(error, (ImportError, AttributeError)):
            from cnflow.wire.unloadable import name_place

            name_place(error, body, buffers, ("args", "kwargs"))
        note = f"Raised in the worker while the arguments of {name} were unpickled."
        if sys.version_info >= (3, 11):  # the traceback may have no line of the user's code
            error.add_note(note)
        elif type(error) in {TypeError, ValueError, pickle.UnpicklingError}:  # whose argument is their message
            error.args = (f"{error}. {note}",)
        raise


def _pack_result(
    kind: ResultKind, task: int, seconds: float, value: object, keep_from: Optional[int] = None
) -> list[Part]:
    """Record of a result. One of *keep_from* bytes or more stays on this node, and the record has words on it."""
    try:
        result, out_of_band, python = payload = serialization.dump_result(value)
        if keep_from is not None and keep_from >= 0:
            from cnflow.tasks import values

            left = values.leave(value, payload, keep_from)
            if left is not None:
                result, out_of_band, python = payload = serialization.dump(tuple(left))
        if out_of_band or len(result) >= serialization.OUT_OF_BAND:
            from cnflow.tasks.shared_values import leave_result

            shared = leave_result(payload)
            if shared:
                result, out_of_band = shared, ()
    except BaseException as error:  # noqa: BLE001 - a user's type may fail in any way; SystemExit is no wish to end here
        kind, python, out_of_band = ResultKind.UNPICKLABLE, "", ()
        message = message_of(error)
        words = message if message and isinstance(error, Exception) else f"{name_of_type(error)} {message}".rstrip()
        result = f"{name_of_type(value)}: {words}".encode(errors="replace")
    return pack(kind, task, seconds, [python.encode(), result, *out_of_band])


def _pack_left(task: int, left: inside.Left) -> list[Part]:
    """Record of an item that the task leaves on this node."""
    numbers = (str(number).encode() for number in (left.size, int(left.form)))
    return pack(ResultKind.ITEM, task, 0.0, [left.key, *numbers, left.name.encode(), os.fsencode(left.path)])


def _pack_error(task: int, seconds: float, error: BaseException) -> list[Part]:
    """Record of what a task has raised, with the minor version whose bytecode is in the pickled exception."""
    pythons = [""]

    def dump(value: object) -> bytes:
        body, _, python = serialization.dump_result(value, in_band=True)
        pythons.append(python)
        return body

    raised = serialization.dump(tuple(describe_exception(error, dump)))
    return pack(ResultKind.RAISED, task, seconds, [pythons[-1].encode(), raised.body])


def _write(manager: socket.socket, chunks: list[Part]) -> None:
    for chunk in chunks:
        manager.sendall(chunk)


def _report_step(manager: socket.socket, task: int, step: steps.Step) -> None:
    """Write a record at once or not at all: a stop of the task may come at any moment, and cuts off no record."""
    parts = [str(part).encode(errors="replace") for part in step]
    with contextlib.suppress(OSError):
        manager.send(b"".join(pack(ResultKind.STAGING, task, time.time(), parts)), socket.MSG_DONTWAIT)


def _remove_leftovers(sandbox: str) -> None:
    """Remove the sandboxes that a killed predecessor left; most workers have none."""
    folder, name = os.path.split(sandbox)
    if any(entry.startswith(f"{name}-") for entry in os.listdir(folder)):
        from cnflow.tasks.sandbox import remove_leftovers

        remove_leftovers(sandbox)


def _die_with_parent() -> None:
    """Let the kernel kill this process when its manager ends. Linux only; elsewhere the closed socket ends it."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    except (ImportError, OSError, AttributeError) as error:
        sys.stderr.write(f"worker: the kernel cannot end it with its manager: {error}\n")
