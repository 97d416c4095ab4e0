"""Runs the command line of a bash app, in a shell or directly.

::

    run_command: function(*args) ──> command line ──> sandbox, files for the output
                                        │
        find_program: plain words only ─┴─ yes ──> start the program itself (0.7 ms)
                                           no ───> start it in bash, or /bin/sh (1.5 ms): `shell_process`
                                        │
        wait (stoppable) ──> 0 ──> outputs moved out of the sandbox ──> return 0
                         ├── other code ──> BashExitFailure with the last lines of stderr
                         └── stop ──> end its process group

A command starts directly only if the result is the same: it has no character that is special to a shell, and its first
word is a program in the PATH and no reserved word or builtin of the shell. `make` does the same:
https://www.gnu.org/software/make/manual/html_node/Execution.html
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from types import CodeType
from typing import IO, TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from cnflow.errors import AppBadFormatting, BashAppNoReturn, BashExitFailure
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.exit_codes import explain_exit_code
from cnflow.tasks.sandbox import sandbox_of
from cnflow.tasks.shell_process import start_in_shell
from cnflow.tasks.stopping import end_group
from cnflow.tasks.streams import Sink, copy_to_own_stderr, inherited, open_sinks, read_tail, target_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.tasks.call import Call, CallContext

_HARMLESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:@%+,- ")

# https://www.gnu.org/software/bash/manual/html_node/Reserved-Word-Index.html and Builtin-Index.html
_WORDS = """
if then else elif fi case esac for select while until do done in function time coproc
. : alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo enable eval
exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read
readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset
wait
"""
_SHELL_WORDS = frozenset(_WORDS.split())
_SAME_AS_A_PROGRAM = frozenset({"true", "false"})
"""Builtins that without arguments behave as the programs of the same names."""


class Program(NamedTuple):
    """A program to start without a shell."""

    path: str
    words: list[str]
    environment: dict[str, str]


def find_program(command: str, environment: Mapping[str, str], folder: Optional[str]) -> Optional[Program]:
    """Return the program that *command* starts; None if it needs a shell.

    Args:
        command: a command line.
        environment: all variables of the command.
        folder: in which the command runs; None is the current one.
    """
    words = command.split()
    if not words or not _HARMLESS.issuperset(command) or not _is_plain(words):
        return None
    if "BASH_ENV" in environment or any(name.startswith("BASH_FUNC_") for name in environment):
        return None  # a shell would read that file, or call a function of the first word's name
    folder = folder or os.getcwd()
    name = os.path.join(folder, words[0]) if "/" in words[0] else words[0]
    path = shutil.which(name, path=environment.get("PATH"))
    return Program(path, words, {**environment, "PWD": folder}) if path else None


def _is_plain(words: list[str]) -> bool:
    first = words[0]
    if first in _SAME_AS_A_PROGRAM:
        return len(words) == 1
    return "=" not in first and first[0] not in "-%" and first not in _SHELL_WORDS


def run_command(call: Call, context: CallContext) -> int:
    """Call the app's function, run the command line that it returns, and return 0.

    Files for the output come from the options, or from ``stdout=`` and ``stderr=`` among the arguments; the function
    receives those too if it has such parameters. Only the command runs in the sandbox, the function does not. The
    command leads a process group, which a stop ends as a whole.

    Raises:
        BashAppNoReturn: the function returned no string.
        BashExitFailure: the command exited with a code other than 0.
        BadStdStreamFile: a file for the output cannot be opened.
    """
    _pending.call = (call, context)
    try:
        returned = _line_of(call.function, call.args, call.kwargs, call.name)
        has_run = _pending.call is None
    finally:
        _pending.call = None
    if not has_run:
        _run_line(returned, call, context)
    return 0


class Command(NamedTuple):
    """Callable that runs the command of a bash app, for wrappers that act after the command.

    A wrapper around the app's function calls it in the function's place, with the same arguments.
    """

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - those of the function
        """Run the command, as `run_command` does."""
        call, context = _pending.call
        _pending.call = None
        _run_line(_line_of(self.function, args, kwargs, call.name), call, context)
        return 0


_pending = threading.local()
"""Call that this thread is about to run, in attribute ``call``; None once a `Command` has run it."""


def _line_of(function: Callable[..., Any], args: Any, kwargs: Any, name: str) -> Any:  # noqa: ANN401 - of the call
    """Call *function* and return its command line.

    Raises:
        AppBadFormatting: its ``format`` has more fields than values.
        TypeError: it joins files as text; the message has the remedy.
        Exception: any other that it raises.
    """
    try:
        return call_function(function, args, _without_streams(function, kwargs))
    except IndexError as error:
        if str(error).startswith("Replacement index"):
            raise AppBadFormatting(f"bash_app {name} has more fields in its text than values: {error}") from error
        raise
    except TypeError as error:
        if "expected str instance, File found" in str(error):
            raise TypeError(f"{error}. A File is no text: write ' '.join(map(str, inputs)).") from error
        raise


def _run_line(command: object, call: Call, context: CallContext) -> None:
    if not isinstance(command, str):
        raise BashAppNoReturn(f"bash_app {call.name} returned {command!r}; it must return the command line as a string")
    _check_characters(command, call.name)
    context.control.hold()
    with contextlib.ExitStack() as undo:
        stdout, stderr = open_sinks(_target(call, "stdout"), _target(call, "stderr"), undo)
        kept = None if stderr else undo.enter_context(tempfile.TemporaryFile())
        options = call.options
        cwd = undo.enter_context(sandbox_of(options, context.sandbox)) if options.sandbox else None
        streams = (stdout.file if stdout else inherited(1), stderr.file if stderr else kept)
        code = _run(command, call, context, cwd, streams)
        if kept:
            copy_to_own_stderr(kept)
        if code:
            failure = BashExitFailure(call.name, code, command, _stderr_tail(stderr, kept))
            failure.hint = explain_exit_code(code, os.environ.get("CNFLOW_WORKER_IMAGE", ""))
            raise failure


def _check_characters(command: str, name: str) -> None:
    """Refuse what cannot be passed to a program.

    Raises:
        BashAppNoReturn: *command* holds a null character, or a lone surrogate that stands for no byte.
    """
    wrong = command.find("\0")
    try:
        os.fsencode(command)
    except UnicodeEncodeError as error:
        wrong = error.start if wrong < 0 else wrong
    if wrong >= 0:
        raise BashAppNoReturn(
            f"bash_app {name} returned a command line with {command[wrong]!r} at position {wrong:,}, which no program "
            "can be given; it must return text"
        )


def _run(
    command: str, call: Call, context: CallContext, cwd: Optional[str], streams: tuple[_Stream, Optional[IO[Any]]]
) -> int:
    process = _start(command, call, cwd, streams)
    try:
        return context.control.wait(process)
    except BaseException:
        end_group(process)
        raise


# A group of its own, to end it as a whole; in the worker's session, where the manager finds processes that are left.
_OWN_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
_Stream = Union[IO[Any], int, None]


def _start(
    command: str, call: Call, cwd: Optional[str], streams: tuple[_Stream, Optional[IO[Any]]]
) -> subprocess.Popen[bytes]:
    stdout, stderr = streams
    environment: Mapping[str, str] = {**os.environ, **call.options.env} if call.options.env else os.environ
    common: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr, "cwd": cwd, **_OWN_GROUP}
    program = find_program(command, environment, cwd)
    if program is not None:
        # A shell may start what the kernel cannot, such as a script without a line that names its interpreter.
        with contextlib.suppress(OSError):
            return subprocess.Popen(program.words, executable=program.path, env=program.environment, **common)
    return start_in_shell(call.name, command, environment, pipefail=call.options.pipefail, **common)


def _without_streams(function: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """*kwargs* without ``stdout`` and ``stderr``, unless *function* has such parameters."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or code.co_flags & 0x08:  # CO_VARKEYWORDS: it accepts any name
        return kwargs
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {key: value for key, value in kwargs.items() if key not in {"stdout", "stderr"} or key in names}


def _target(call: Call, name: str) -> Any:  # noqa: ANN401 - as target_of
    option = getattr(call.options, name)
    return target_of(call.kwargs.get(name) if option is None else option, name)


def _stderr_tail(stderr: Optional[Sink], kept: Optional[IO[Any]]) -> str:
    return stderr.tail() if stderr else read_tail(kept) if kept else ""
