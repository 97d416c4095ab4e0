"""Runs the function of an app, and describes an exception for the wire.

::

    worker process, or thread of the driver
      │
      │  Call: kind, name, function, arguments, options          CallContext: how it is stopped, where sandboxes go
      ▼
    run_call ──Python or join app──> function(*args, **kwargs)
      │      └─bash app────────────> shell.run_command: function ──> command line ──> process ──> exit code 0
      ▼
    check_outputs ──> value
      │
      └── exception, of the app or of cnflow ──> describe_exception ──> Raised, pickled by a worker

Options of Python apps in workers (files for the output, environment, sandbox) are applied by `environment`, those of
bash apps by `shell`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.model.task import NO_OPTIONS, AppKind, RunOptions
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.staging.copies import copies, remove_noted
from cnflow.text import describe_safely
from cnflow.wire import serialization

if TYPE_CHECKING:
    from types import TracebackType

    from cnflow.tasks.stopping import Control

PYTHON = int(AppKind.PYTHON)
BASH = int(AppKind.BASH)
JOIN = int(AppKind.JOIN)
"""Plain numbers, as on the wire; compared once per task, where an enum is slower."""


class Call(NamedTuple):
    """One call of an app, with its dependencies resolved."""

    kind: int
    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: RunOptions = NO_OPTIONS


class CallContext(NamedTuple):
    """Surroundings of a call."""

    control: Control
    sandbox: str = ""
    """Prefix of the paths of sandboxes; `cnflow.tasks.sandbox` chooses one if it is empty."""


class Raised(NamedTuple):
    """An exception on the wire: enough to show it where its class cannot be loaded."""

    exception: bytes
    """Pickled; empty if it cannot be pickled."""

    type_name: str
    message: str
    traceback_text: str
    """Traceback as Python prints it, from the user's function on; empty for cnflow's errors, whose messages suffice."""


def run_call(call: Call, context: CallContext) -> Any:  # noqa: ANN401 - the user's value
    """Run the app and return its result.

    Raises:
        Exception: any that the function raises; BashExitFailure or BashAppNoReturn for a bash app that fails.
    """
    try:
        if call.kind == BASH:
            from cnflow.tasks.shell import run_command

            return run_command(call, context)
        return call_function(call.function, call.args, call.kwargs)
    finally:
        if copies.undo is not None:
            remove_noted()


def check_outputs(call: Call, value: Any) -> Any:  # noqa: ANN401 - the user's value
    """Return *value* if every file exists, and every pattern has one, that the call names as an output.

    Raises:
        MissingOutputs: names those that do not exist.
    """
    folder = call.options.folder
    missing = [path for path in call.options.outputs if not os.path.exists(os.path.join(folder, path))]
    if call.options.patterns:
        from cnflow.tasks.trees import matches

        missing += [path for path in call.options.patterns if not matches(os.path.join(folder, path))]
    if missing:
        from cnflow.errors import MissingOutputs

        raise MissingOutputs(call.name, missing)
    return value


def describe_exception(error: BaseException, dump: Callable[[object], bytes]) -> Raised:
    """Describe *error* for the wire; *dump* pickles it, or raises if it cannot.

    All of this may run the user's code, which may raise anything, SystemExit and RecursionError included.
    """
    try:
        pickled = dump(error)
    except BaseException:  # noqa: BLE001 - a user's class may fail in any way; the text is sent then
        pickled = b""
    return Raised(pickled, name_of_type(error), message_of(error), traceback_text(error))


def dump_exception(error: BaseException) -> tuple[Any, str]:
    """Return *error* as it is pickled for the wire, and the minor version whose bytecode is in that, if any is."""
    pythons = [""]

    def dump(value: object) -> bytes:
        body, _, python = serialization.dump_result(value, in_band=True)
        pythons.append(python)
        return body

    raised = serialization.dump(tuple(describe_exception(error, dump)))
    return raised.body, pythons[-1]


def name_of_type(value: object) -> str:
    """Qualified name of the class of *value*, whatever its metaclass makes of that."""
    name: str = type.__dict__["__qualname__"].__get__(type(value))
    return name


def is_usable(error: BaseException) -> bool:
    """Return False if what each exception and its class have cannot be read from *error*: its own code raises."""
    kind = type(error)
    try:
        read = (error.__class__, error.__traceback__, error.__cause__, error.__context__, error.__suppress_context__)
        return bool(read) and all(type(name) is str for name in (kind.__name__, kind.__qualname__, kind.__module__))
    except BaseException:  # noqa: BLE001 - a user's class may fail in any way
        return False


def traceback_text(error: BaseException) -> str:
    """Traceback of *error* without cnflow's own frames at its top; empty for an error of cnflow."""
    from cnflow.errors import CnflowError

    if issubclass(type(error), CnflowError):
        return ""
    import traceback

    trace = without_own_frames(BaseException.__dict__["__traceback__"].__get__(error))
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except BaseException as broken:  # noqa: BLE001 - odd attributes of the error, its causes, notes or text
        why = f"(Its causes and notes are left out: showing them raised {name_of_type(broken)}.)"
        lines = ["Traceback (most recent call last):\n", *traceback.format_tb(trace)]
        lines += [f"{name_of_type(error)}: {message_of(error)}\n{why}"]
    return "".join(lines).rstrip("\n")


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """*trace* from its first frame that is outside of this package."""
    own = __file__.rpartition("tasks")[0]
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(own):
        trace = trace.tb_next
    return trace


def message_of(error: BaseException) -> str:
    """Text of *error*, whatever its ``__str__`` does; time that it takes counts as the task's."""
    try:
        return str.__str__(str(error))  # a subclass of str would be one more class of the user's
    except BaseException as broken:  # noqa: BLE001 - a user's class may fail in any way
        return f"(its __str__ failed: {describe_safely(broken)})"
