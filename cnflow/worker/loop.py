"""Loop of a worker process: read a record, run its task, write its result, until the manager closes the socket.

::

    start ──> remove sandboxes of a predecessor ──> write READY ──> read
                                                                     │
      ┌──────────────────────────────────────────────────────────────┤<────────────────────────────┐
      │ FUNCTION: keep it; unpickled at its first call               │ TASK, or BATCH of several   │
      │ FORGET: keep none; LOAD: load a model, write LOADED          │                             │
      │ UNLOAD: tear a model down, give its memory back              │                             │
      └──────────────────────────────────────────────────────────────┤                             │
                                                                     ▼                             │
           restore folder and variables, unpickle arguments, run ──> VALUE, RAISED, ... ──write──────┘
             │
             └── SystemExit, a crash or a kill: the process ends, and the manager reports WORKER_LOST

    ends when the socket closes, after teardown() of its models, or with its manager
"""

from __future__ import annotations

import contextlib
import functools
import os
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
    run_call,
)
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.models import Model, is_stream
from cnflow.tasks.staging import steps
from cnflow.tasks.staging.copies import copies, remove_noted
from cnflow.tasks.stopping import Cancelled
from cnflow.wire import serialization
from cnflow.wire.pipe import Part, Reader, Record, ResultKind, ToWorker, pack
from cnflow.worker.beginning import Beginning
from cnflow.worker.interruption import Guard
from cnflow.worker.main_module import enter, main_of
from cnflow.worker.output import TaskOutput
from cnflow.worker.results import load_arguments, pack_error, pack_left, pack_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from cnflow.worker.usage import UsageMeter

_CHUNK = 256 * 1024
_JOINED = 16 * 1024
"""Bytes below which a chunk is written together with others: a batch has one for each of its calls."""

_SIGKILL = 9
_ARGUMENTS_ONLY = 2
_PR_SET_PDEATHSIG = 1  # prctl(2)


class _Function:
    """A function as it was sent; unpickled by its first task. If that fails, each of its tasks fails."""

    __slots__ = ("_body", "_generation", "_loaded", "_main", "_modules", "_parts", "kind", "name")

    def __init__(self, kind: int, name: str, body: bytes, modules: bytes) -> None:
        self.kind = kind
        self.name = name
        self._parts = kind, name, body, modules
        self._body = body
        self._modules = modules
        self._generation = 0
        self._loaded: Optional[Callable[..., Any]] = None
        self._main: Optional[ModuleType] = None

    def load(self) -> Callable[..., Any]:
        """Return the function; its script's names are in ``__main__`` from now on, and its modules can be imported."""
        if self._modules and (generation := own_modules.activate(self._modules)) != self._generation:
            if type(self._loaded) is Model:
                self._loaded.unload()
            self._loaded, self._generation = None, generation  # it refers to older modules
        loaded = self._loaded
        if loaded is None:
            loaded = self._loaded = serialization.load(self._body)
            self._main = main_of(loaded)
        enter(self._main)
        return loaded

    @property
    def loaded(self) -> Optional[Callable[..., Any]]:
        """The function, if it was loaded."""
        return self._loaded

    def is_same(self, other: _Function) -> bool:
        """Return True if *other* would be loaded from the same bytes."""
        return self._parts == other._parts


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
        runner = _Runner(guard, CallContext(guard, sandbox), output, lambda parts: _write(manager, parts))
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
            elif record.type == ToWorker.UNLOAD:
                runner.unload_model(bytes(record.parts[0]))
                _end_if_forked(own_pid)
                output.end()
            elif record.type == ToWorker.LOAD:
                loaded = runner.load_model(record)
                _end_if_forked(own_pid)
                _write(manager, loaded)
                output.end()
            else:
                is_batch = record.type == ToWorker.BATCH
                task = runner.first_of(record) if is_batch else record.id
                if meter is not None:
                    meter.begin()
                result = runner.run_batch(record) if is_batch else runner.run(record)
                left = pack_left(task)
                _end_if_forked(own_pid)
                output.end()
                used = meter.record(task) if meter is not None else b""
                _write(manager, [*left, used + bytes(result[0]), *result[1:]])
    _unload_models()


def _end_if_forked(own: int) -> None:
    """End a child that a task or a model has forked, and that returned: its parent, the process *own*, replies."""
    if os.getpid() != own:
        os._exit(0)


def _unload_models() -> None:
    """Call the ``teardown()`` of each model, where there is any."""
    loaded = sys.modules.get("cnflow.tasks.loaded_models")
    if loaded is not None:
        loaded.unload_all()


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
    def __init__(
        self, guard: Guard, context: CallContext, output: TaskOutput, write: Callable[[Sequence[Part]], None]
    ) -> None:
        self._output = output
        self._write = write
        self._guard = guard
        self._context = context
        self._functions: dict[bytes, _Function] = {}
        self._models: dict[bytes, _Function] = {}
        """Those of models, also after FORGET: they stay loaded."""

        self._beginning = Beginning()

    def add_function(self, record: Record) -> None:
        identity, head, body, modules = (bytes(part) for part in record.parts)
        kind, _, name = head.decode().partition(" ")
        if int(kind) == own_modules.RECORD:
            own_modules.receive(identity, body)
        else:
            made = _Function(int(kind), name, body, modules)
            known = self._models.get(identity)
            self._functions[identity] = known if known is not None and known.is_same(made) else made

    def forget_functions(self) -> None:
        self._functions.clear()
        own_modules.forget()

    def first_of(self, record: Record) -> int:
        """Id of the first task of a BATCH, by which its output and its use go."""
        from cnflow.wire.batch_records import unpack_batch

        return unpack_batch(record).calls[0][0]

    def load_model(self, record: Record) -> list[Part]:
        """Load the model of a LOAD record and return the LOADED record."""
        from cnflow.worker.batches import load_model

        self._beginning.restore()
        identity = bytes(record.parts[0])
        function = self._models[identity] = self._functions[identity]
        self._output.begin(0, function.name)
        return load_model(identity, function.load)

    def unload_model(self, identity: bytes) -> None:
        """Tear the model *identity* down and forget it, unless another function of this worker is of its module."""
        from cnflow.worker.batches import unload_model

        self._functions.pop(identity, None)
        function = self._models.pop(identity, None)
        if function is not None:
            self._output.begin(0, function.name)
            unload_model(function.loaded, [other.loaded for other in self._models.values()])

    def run_batch(self, record: Record) -> list[Part]:
        """Answer the tasks of a BATCH and return the records of their results."""
        from cnflow.worker.batches import answer_batch

        self._beginning.restore()
        identity = bytes(record.parts[0])
        function = self._models[identity] = self._functions[identity]
        self._output.begin(self.first_of(record), function.name)
        results = answer_batch(record, function.name, function.load, self._guard, self._call_with_options)
        return [part for result in results for part in result]

    def run(self, record: Record) -> list[Part]:
        """Run the task and return the record of its result.

        Raises:
            SystemExit: the user's code asked to end this process.
        """
        self._beginning.restore()
        identity, body, *buffers = record.parts
        function = self._functions[bytes(identity)]
        seconds = 0.0
        loaded: tuple[Any, ...] = ()
        self._output.begin(record.id, function.name)
        if function.kind != PYTHON:
            self._output.announce()  # a command prints by itself
        started = time.perf_counter()
        try:
            try:
                self._guard.start(function.name, record.seconds)
                target = function.load()  # first: arguments may be of its modules, and of versions of its classes
                loaded = load_arguments(function.name, body, buffers)
                if type(target) is Model:
                    self._models[bytes(identity)] = function
                    if loaded[0] and is_stream(loaded[0][0]):
                        target = functools.partial(self._stream, record.id, target)
                value = self._call(function, target, loaded)
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
            return pack_error(record.id, seconds, reason)
        keep_from = RunOptions(*loaded[_ARGUMENTS_ONLY]).keep_from if len(loaded) > _ARGUMENTS_ONLY else None
        return pack_result(ResultKind.VALUE, record.id, seconds, value, keep_from)

    def _stream(self, task: int, model: Model, *args: Any) -> None:  # noqa: ANN401 - form, rows, options
        from cnflow.worker.batches import send_pieces

        send_pieces(task, model(*args), self._guard, self._write)

    def _call(self, function: _Function, target: Callable[..., Any], loaded: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the user's value
        if len(loaded) == _ARGUMENTS_ONLY:
            args, kwargs = loaded
            if function.kind == PYTHON:
                return call_function(target, args, kwargs)
            return run_call(Call(function.kind, function.name, target, args, kwargs), self._context)
        args, kwargs, options = loaded
        call = Call(function.kind, function.name, target, args, kwargs, RunOptions(*options))
        if call.options.leaves is not None:
            from cnflow.tasks.staging.items import run_with_items

            return run_with_items(call, self._call_with_options)
        return self._call_with_options(call)

    def _call_with_options(self, call: Call) -> Any:  # noqa: ANN401 - the user's value
        if call.kind == PYTHON:
            from cnflow.tasks.environment import call_with_options

            return check_outputs(call, call_with_options(call, self._guard, self._context.sandbox))
        return check_outputs(call, run_call(call, self._context))


def _write(manager: socket.socket, chunks: Sequence[Part]) -> None:
    if len(chunks) > 1 and all(type(chunk) is bytes and len(chunk) < _JOINED for chunk in chunks):
        chunks = [b"".join(chunks)]  # each write wakes the manager
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
