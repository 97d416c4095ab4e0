"""Runs an app's function and says how it ended; used in worker processes and in threads of the driver alike."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.model.task import NO_OPTIONS, AppKind, RunOptions

if TYPE_CHECKING:
    from types import TracebackType

    from cnflow.tasks.stopping import Control

PYTHON = int(AppKind.PYTHON)
BASH = int(AppKind.BASH)
"""Plain numbers, as they travel; compared for every task."""


class Call(NamedTuple):
    """One call of an app, as whoever runs it sees it."""

    kind: int
    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: RunOptions = NO_OPTIONS


class CallContext(NamedTuple):
    """Where a call is run."""

    control: Control
    sandbox: str = ""
    """What the paths of sandboxes begin with; empty lets `cnflow.tasks.sandbox` choose."""


class Raised(NamedTuple):
    """An exception as it travels: enough to show it where its class cannot be loaded."""

    exception: bytes
    """Pickled; empty when it cannot be."""

    type_name: str
    message: str
    traceback_text: str
    """As Python prints it, from the user's function on; empty for errors that explain themselves."""


def outputs_checked(what: Call, value: Any) -> Any:  # noqa: ANN401 - the user's value
    """*value*, if every output that was promised is there.

    Raises:
        MissingOutputs: names those that are not.
    """
    missing = [path for path in what.options.outputs if not os.path.exists(path)]  # noqa: PTH110 - pathlib is slow to import
    if missing:
        from cnflow.errors import MissingOutputs  # noqa: PLC0415 - only failures need it

        raise MissingOutputs(what.name, missing)
    return value


def call(what: Call, place: CallContext) -> Any:  # noqa: ANN401 - the user's value
    """What the app returns.

    Raises:
        Exception: whatever the function raises; BashExitFailure or BashAppNoReturn for a bash app that fails.
    """
    if what.kind == BASH:
        from cnflow.tasks.shell import run_command  # noqa: PLC0415 - most workers never run a shell

        return run_command(what, place)
    return what.function(*what.args, **what.kwargs)


def describe(error: BaseException, dump: Callable[[object], bytes]) -> Raised:
    """*error* as it travels; *dump* pickles or raises."""
    try:
        pickled = dump(error)
    except Exception:  # noqa: BLE001 - a user's class may fail in any way; the text goes then
        pickled = b""
    return Raised(pickled, type(error).__qualname__, _message(error), traceback_text(error))


def traceback_text(error: BaseException) -> str:
    """The traceback of *error* without cnflow's own frames."""
    from cnflow.errors import CnflowError  # noqa: PLC0415 - only failures need it

    if isinstance(error, CnflowError):
        return ""
    import traceback  # noqa: PLC0415 - the same

    lines = traceback.format_exception(type(error), error, users_part(error.__traceback__))
    return "".join(lines).rstrip("\n")


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """*trace* from the first frame that is not of this package."""
    own = __file__.rpartition("tasks")[0]
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(own):
        trace = trace.tb_next
    return trace


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a user's class may fail in any way; the text goes then
        return f"(its __str__ failed: {sys.exc_info()[1]!r})"
