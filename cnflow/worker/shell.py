"""Runs the command line that a bash app's function returns."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Optional, Union

from cnflow.errors import BashAppNoReturn, BashExitFailure

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_TAIL_BYTES = 4096
_TAIL_LINES = 20

Stream = Union[str, "os.PathLike[str]", tuple[str, str]]
"""Where a stream goes: a path, which is appended to, or ``(path, mode)``."""


def run_command(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Call *function*, run what it returns in a shell, and return 0.

    ``stdout=`` and ``stderr=`` among *kwargs* say where the command's streams go; the function sees them too if it has
    such parameters.

    Raises:
        BashAppNoReturn: the function returned no string.
        BashExitFailure: the command exited with another code than 0.
        OSError: a stream's file cannot be opened.
    """
    streams = {key: kwargs[key] for key in ("stdout", "stderr") if kwargs.get(key) is not None}
    command = function(*args, **_accepted(function, kwargs))
    if not isinstance(command, str):
        raise BashAppNoReturn(f"bash_app {name} returned {command!r}; it must return the command line, a string")
    with _stdout(streams.get("stdout")) as stdout, _stderr(streams.get("stderr")) as stderr:
        done = subprocess.run(  # noqa: S602 - the user's own command line: running it is what a bash app is for
            command,
            shell=True,
            executable=_shell(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            check=False,
        )
        tail = _tail(stderr)
        if "stderr" not in streams:
            _pass_on(stderr)
    if done.returncode:
        raise BashExitFailure(name, done.returncode, command, tail)
    return 0


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


def _stdout(stream: Optional[Stream]) -> AbstractContextManager[Optional[IO[Any]]]:
    """Where the command's stdout goes; by default to this process's own."""
    return contextlib.nullcontext() if stream is None else _open(stream)


def _stderr(stream: Optional[Stream]) -> AbstractContextManager[IO[Any]]:
    """Where the command's stderr goes: always a file, whose end is quoted when the command fails."""
    return tempfile.TemporaryFile() if stream is None else _open(stream)


def _open(stream: Stream) -> IO[Any]:
    path, mode = stream if isinstance(stream, tuple) else (stream, "a+")
    file = Path(path).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    # The tail is read back for the error message, so a file opened for writing only is opened for reading too.
    return file.open(mode if "+" in mode else f"{mode}+")


def _tail(stream: IO[Any]) -> str:
    size = os.fstat(stream.fileno()).st_size
    text = os.pread(stream.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


def _pass_on(stream: IO[Any]) -> None:
    """Copy what the command wrote to its stderr to the worker's own."""
    stream.seek(0)
    sys.stderr.write(stream.read().decode(errors="replace"))
    sys.stderr.flush()
