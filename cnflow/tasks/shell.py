"""Command lines that need no shell: starting bash takes longer than starting most programs (1.5 ms to 0.7 ms).

Only where nobody can tell the difference: words without any sign that a shell looks at, the first of which is a program
in the PATH and no word of the shell's own. `make` does the same: https://www.gnu.org/software/make/manual/html_node/Execution.html
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from cnflow.errors import BashAppNoReturn, BashExitFailure
from cnflow.tasks.sandbox import sandbox
from cnflow.tasks.stopping import end_group
from cnflow.tasks.streams import Sink, open_sinks, tail_of, target_of

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
_OF_THE_SHELL = frozenset(_WORDS.split())
_SAME_AS_A_PROGRAM = frozenset({"true", "false"})
"""Builtins that do what the programs of their names do, when they have no arguments."""


class Program(NamedTuple):
    """What to start in a shell's place."""

    path: str
    words: list[str]
    environment: dict[str, str]


def program_in(command: str, environment: Mapping[str, str], folder: Optional[str]) -> Optional[Program]:
    """The program that *command* starts; None where a shell is needed.

    Args:
        command: a command line.
        environment: variables that it would have.
        folder: that it would be run in; None is the current one.
    """
    words = command.split()
    if not words or not _HARMLESS.issuperset(command) or not _is_plain(words):
        return None
    if "BASH_ENV" in environment or any(name.startswith("BASH_FUNC_") for name in environment):
        return None  # a shell would read that first, or find a function of that name
    folder = folder or os.getcwd()  # noqa: PTH109 - pathlib is slow to import
    name = os.path.join(folder, words[0]) if "/" in words[0] else words[0]  # noqa: PTH118 - the same
    path = shutil.which(name, path=environment.get("PATH"))
    return Program(path, words, {**environment, "PWD": folder}) if path else None


def _is_plain(words: list[str]) -> bool:
    first = words[0]
    if first in _SAME_AS_A_PROGRAM:
        return len(words) == 1
    return "=" not in first and first[0] not in "-%" and first not in _OF_THE_SHELL


def run_command(what: Call, place: CallContext) -> int:
    """Call the app's function, run what it returns in a shell, and return 0.

    Where its streams go is said by the options, or by ``stdout=`` and ``stderr=`` among the arguments; the function
    sees the latter too if it has such parameters. The function runs where it is called, only the command in the
    sandbox. The command leads a process group, which is ended with it when it is stopped.

    Raises:
        BashAppNoReturn: the function returned no string.
        BashExitFailure: the command exited with another code than 0.
        BadStdStreamFile: a stream's file cannot be opened.
    """
    _here.call = (what, place)
    try:
        returned = what.function(*what.args, **_accepted(what.function, what.kwargs))
        was_run = _here.call is None
    finally:
        _here.call = None
    if not was_run:
        _run_line(returned, what, place)
    return 0


class Command(NamedTuple):
    """The function of a bash app as one that runs the command, for those who want to act after it.

    It is called in place of the app's function by what is put around it, with the same arguments.
    """

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - those of the function
        """As `run_command`."""
        what, place = _here.call
        _here.call = None
        _run_line(self.function(*args, **_accepted(self.function, kwargs)), what, place)
        return 0


_here = threading.local()
"""The call that this thread is about to run, until a `Command` runs it."""


def _run_line(command: object, what: Call, place: CallContext) -> None:
    if not isinstance(command, str):
        raise BashAppNoReturn(f"bash_app {what.name} returned {command!r}; it must return the command line, a string")
    place.control.hold()
    with contextlib.ExitStack() as undo:
        stdout, stderr = open_sinks(_target(what, "stdout"), _target(what, "stderr"), undo)
        kept = None if stderr else undo.enter_context(tempfile.TemporaryFile())
        options = what.options
        cwd = undo.enter_context(sandbox(options.inputs, options.outputs, place.sandbox)) if options.sandbox else None
        environment = {**os.environ, **options.env} if options.env else None
        code = _run(
            command, place, cwd, environment, (stdout.file if stdout else None, stderr.file if stderr else kept)
        )
        if kept:
            _pass_on(kept)
        if code:
            raise BashExitFailure(what.name, code, command, _tail(stderr, kept))


def _run(
    command: str,
    place: CallContext,
    cwd: Optional[str],
    environment: Optional[dict[str, str]],
    streams: tuple[Optional[IO[Any]], Optional[IO[Any]]],
) -> int:
    process = _started(command, cwd, os.environ if environment is None else environment, streams)
    try:
        return place.control.wait(process)
    except BaseException:
        end_group(process)
        raise


# A group of its own, so that it can be ended as a whole; in the worker's session, where the manager finds what is left.
_OWN_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}


def _started(
    command: str,
    cwd: Optional[str],
    environment: Mapping[str, str],
    streams: tuple[Optional[IO[Any]], Optional[IO[Any]]],
) -> subprocess.Popen[bytes]:
    stdout, stderr = streams
    common: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr, "cwd": cwd, **_OWN_GROUP}
    program = program_in(command, environment, cwd)
    if program is not None:
        # What cannot be started so, such as a script without a first line that names its interpreter, a shell may know.
        with contextlib.suppress(OSError):
            return subprocess.Popen(program.words, executable=program.path, env=program.environment, **common)
    return subprocess.Popen(command, shell=True, executable=_shell(), env=environment, **common)  # noqa: S602 - the user's own command line: running it is what a bash app is for


@functools.lru_cache(maxsize=None)  # noqa: UP033 - functools.cache is the same; this says what is kept: one name
def _shell() -> str:
    """Bash where the image has one, as apps are written for it; ``/bin/sh`` otherwise."""
    return shutil.which("bash") or "/bin/sh"


def _accepted(function: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """*kwargs* less the streams that *function* does not ask for."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x08:  # CO_VARKEYWORDS: it takes any
        return kwargs
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {key: value for key, value in kwargs.items() if key not in {"stdout", "stderr"} or key in names}


def _target(what: Call, name: str) -> Any:  # noqa: ANN401 - as target_of
    given = getattr(what.options, name)
    return target_of(what.kwargs.get(name) if given is None else given, name)


def _tail(stderr: Optional[Sink], kept: Optional[IO[Any]]) -> str:
    return stderr.tail() if stderr else tail_of(kept) if kept else ""


def _pass_on(stream: IO[Any]) -> None:
    """Copy what the command wrote to its stderr to the worker's own."""
    stream.seek(0)
    sys.stderr.write(stream.read().decode(errors="replace"))
    sys.stderr.flush()
