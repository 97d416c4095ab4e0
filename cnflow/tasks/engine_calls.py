"""Runs tasks in the workers of a foreign engine: those of MPI, or of any pool of `concurrent.futures`.

::

    driver                                       process of the engine, or of the driver itself
    ──────────────────────────────────────────────────────────────────────────────────────────────────
    engine.submit(run_task, function, call)    ──> load the function, once ──> arguments ──> Run ──> the app
                                                                           walltime ──> Stopped is raised in it
    Reply <── pickled by the engine ────────── (kind, python, body, buffers, seconds, ended, host, version) <──┘

What crosses the engine is plain: tuples of bytes and numbers, so that each engine's own pickling of them is quick, and
meets no value of the user. The engine's workers need cnflow itself and cloudpickle, and nothing of the user's script.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any, Callable, NamedTuple

from cnflow.errors import AppTimeout
from cnflow.model.task import NO_OPTIONS, RunOptions
from cnflow.tasks import inside, own_modules
from cnflow.tasks.call import BASH, PYTHON, Call, CallContext, check_outputs, dump_exception, run_call
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.staging.copies import copies, remove_noted
from cnflow.tasks.stopping import Cancelled
from cnflow.tasks.thread_output import call_in_thread
from cnflow.tasks.thread_stopping import Run, Stopped, Timer
from cnflow.text import describe_safely
from cnflow.wire import serialization
from cnflow.wire.pipe import ResultKind


class FunctionSent(NamedTuple):
    """Function of an app, as the engine's workers load it."""

    identity: bytes
    kind: int
    name: str
    body: bytes
    modules: bytes
    """Ids of the user's own modules, one after the other (`cnflow.tasks.own_modules.activate`)."""

    records: tuple[tuple[bytes, bytes], ...]
    """Those modules."""


class CallSent(NamedTuple):
    """One task, as the engine's workers run it."""

    driver: str
    title: str
    body: bytes
    buffers: tuple[bytes, ...]
    walltime: float
    """Seconds; 0 sets no limit."""


class Reply(NamedTuple):
    """End of one task."""

    kind: int
    """`ResultKind`: VALUE, RAISED, UNPICKLABLE or CANCELLED."""

    python: str
    body: bytes
    buffers: tuple[bytes, ...] = ()
    seconds: float = 0.0
    ended: float = 0.0
    host: str = ""
    version: str = ""
    """Of the Python that ran the task."""


drivers: dict[str, int] = {}
"""Process id of each driver that was in this process, by its token; that of the parent in a process that was forked."""

_functions: dict[bytes, tuple[int, Callable[..., Any]]] = {}
"""Loaded functions with the generation of own modules that they refer to."""

_MOST_FUNCTIONS = 1000
_received: set[bytes] = set()
_lock = threading.RLock()  # several threads of one process load functions; a load imports the user's code
_timers: dict[int, Timer] = {}
"""By process: a forked one does not have the thread of its parent's."""


def run_task(function: tuple[Any, ...], call: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run one task, and return its `Reply`; raises nothing but what ends this process.

    Args:
        function: a `FunctionSent`.
        call: a `CallSent`.
    """
    sent, task = FunctionSent(*function), CallSent(*call)
    run = _new_run()
    before, inside.thread.runs_task = inside.thread.runs_task, True
    begun = time.monotonic()
    try:
        try:
            reply = _reply_of(_value(sent, task, run), begun)
        except BaseException as error:  # noqa: BLE001 - SystemExit ends the task, not the engine's worker
            # A stopped task may raise anything on its way out; the cause of the stop counts.
            reply = _failure(run.reason or error, begun)
        run.close()
    except Stopped:  # raised between the end of the task and `close`
        run.close()
        reply = _failure(run.reason or Cancelled(), begun)
    finally:
        inside.thread.runs_task = before
    if copies.undo is not None:
        remove_noted()
    return tuple(reply)


def is_here(driver: str) -> bool:
    """Return True if *driver* is this very process."""
    return drivers.get(driver) == os.getpid()


class _MainRun(Run):
    """A task in the main thread, which a signal also wakes from a system call."""

    __slots__ = ()

    def stop(self, reason: BaseException) -> None:
        super().stop(reason)
        if self._sent and not self._closed:
            signal.pthread_kill(self._thread, signal.SIGALRM)


def _new_run() -> Run:
    process = os.getpid()
    timer = _timers.get(process)
    if timer is None:
        timer = _timers.setdefault(process, Timer("cnflow-walltimes"))
    if threading.current_thread() is not threading.main_thread():
        return Run(timer)
    if signal.getsignal(signal.SIGALRM) in {signal.SIG_DFL, signal.SIG_IGN}:
        signal.signal(signal.SIGALRM, lambda *_: None)  # Python code, in which Stopped is raised
    return _MainRun(timer)


def _value(sent: FunctionSent, task: CallSent, run: Run) -> Any:  # noqa: ANN401 - the user's value
    here = is_here(task.driver)
    with _lock:
        function = _load(sent, is_driver=here)
        args, kwargs, *rest = serialization.load(task.body, [bytearray(buffer) for buffer in task.buffers])
    options = RunOptions(*rest[0]) if rest else NO_OPTIONS
    if options is NO_OPTIONS and sent.kind != BASH and not task.walltime:
        return call_function(function, args, kwargs, run.set_wake)
    call = Call(sent.kind, sent.name, function, args, kwargs, options)
    alarm = None
    timer = _timers[os.getpid()]
    if task.walltime:
        overrun = AppTimeout(sent.name, task.walltime)
        alarm = timer.after(task.walltime, lambda: run.stop(overrun))
    try:
        return check_outputs(call, _call(call, run, task, is_alone=type(run) is _MainRun and not here))
    finally:
        if alarm is not None:
            timer.forget(alarm)


def _call(call: Call, run: Run, task: CallSent, *, is_alone: bool) -> Any:  # noqa: ANN401 - the same
    """Call the app; *is_alone* where the whole process is the task's."""
    if call.kind != PYTHON:
        return run_call(call, CallContext(run))
    if not is_alone:
        return call_in_thread(call, run, task.title)
    from cnflow.tasks.environment import call_with_options

    return call_with_options(call, run, "")


def _load(sent: FunctionSent, *, is_driver: bool) -> Callable[..., Any]:
    """Return the function; the user's own modules can be imported from now on."""
    generation = 0
    if sent.modules and not is_driver:  # the driver has its modules, and the tasks that run in it use them
        for identity, body in sent.records:
            if identity not in _received:
                own_modules.receive(identity, body)
                _received.add(identity)
        generation = own_modules.activate(sent.modules)
    known = _functions.get(sent.identity)
    if known is not None and known[0] == generation:
        return known[1]
    if len(_functions) >= _MOST_FUNCTIONS:
        _functions.clear()
    loaded: Callable[..., Any] = serialization.load(sent.body)
    _functions[sent.identity] = generation, loaded
    return loaded


def _reply_of(value: object, begun: float) -> Reply:
    try:
        body, buffers, python = serialization.dump_result(value)
        parts = tuple(bytes(view) for view in buffers)
        return _ended(Reply(ResultKind.VALUE, python, body, parts), begun)
    except BaseException as error:
        if isinstance(error, Stopped):
            raise
        words = f"{type(value).__name__}: {describe_safely(error)}"
        return _ended(Reply(ResultKind.UNPICKLABLE, "", words.encode(errors="replace")), begun)


def _failure(error: BaseException, begun: float) -> Reply:
    if isinstance(error, Cancelled):
        return _ended(Reply(ResultKind.CANCELLED, "", b""), begun)
    own_modules.explain(error)
    body, python = dump_exception(error)
    return _ended(Reply(ResultKind.RAISED, python, body), begun)


def _ended(reply: Reply, begun: float) -> Reply:
    version = ".".join(str(number) for number in sys.version_info[:3])
    seconds = time.monotonic() - begun
    return reply._replace(
        kind=int(reply.kind), seconds=seconds, ended=time.time(), host=os.uname().nodename, version=version
    )
