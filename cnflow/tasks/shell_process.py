"""Starts a command line in a shell, however long it is.

::

    command ──short──> SHELL -c COMMAND
       │                   └── the environment leaves no room for it ──┐
       └──128 KiB and more────────────────────────────────────────────┴──> SHELL reads it from an unnamed file

The system passes no argument of 128 KiB (MAX_ARG_STRLEN), and a limited sum of arguments and environment (ARG_MAX):
https://man7.org/linux/man-pages/man2/execve.2.html, "Limits on size of arguments and environment". A command that a
shell evaluates itself has no such limit; the programs that it starts have.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError, MissingShellError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAGES_OF_AN_ARGUMENT = 32

# The file is the shell's standard input until it was read; the command itself has the usual one. Bash reads it without
# another program, others by the `cat` of the system, whatever the command's PATH. Both evaluate a command as -c does.
_READ_BY_BASH = 'eval "$(</dev/stdin)" </dev/null'
_READ_BY_OTHERS = 'eval "$(command -p cat)" </dev/null'


@functools.lru_cache(maxsize=None)
def shell() -> str:
    """Path of bash, for which apps are written, if the image has it; ``/bin/sh`` otherwise."""
    return shutil.which("bash") or "/bin/sh"


@functools.lru_cache(maxsize=None)
def longest_argument() -> int:
    """Bytes that one argument or variable may have, without the zero at its end."""
    return _PAGES_OF_AN_ARGUMENT * os.sysconf("SC_PAGE_SIZE") - 1


def start_in_shell(
    name: str,
    command: str,
    environment: Mapping[str, str],
    *,
    pipefail: bool,
    **common: Any,  # noqa: ANN401 - Popen's
) -> subprocess.Popen[bytes]:
    """Start *command* in a shell.

    Args:
        name: of the app, for messages.
        command: a command line of any length.
        environment: all variables of the command.
        pipefail: let a pipeline fail when any of its commands fails, not only the last.
        **common: further arguments of `subprocess.Popen`.

    Raises:
        ConfigurationError: the environment is larger than the system passes on; names the largest variable.
        MissingShellError: no shell can be started, as in an image without one.
    """
    argv = [shell(), *(["-o", "pipefail"] if pipefail else []), "-c"]
    if len(os.fsencode(command)) <= longest_argument():
        try:
            return subprocess.Popen([*argv, command], env=environment, **common)
        except OSError as error:
            _refuse_missing_shell(error, name, command)
            if error.errno != errno.E2BIG:
                raise
    reads = _READ_BY_BASH if os.path.basename(argv[0]) == "bash" else _READ_BY_OTHERS
    with _unnamed_file() as file:
        file.write(os.fsencode(command))
        file.seek(0)
        try:
            return subprocess.Popen([*argv, reads], env=environment, **{**common, "stdin": file})
        except OSError as error:
            _refuse_missing_shell(error, name, command)
            if error.errno != errno.E2BIG:
                raise
            raise ConfigurationError(_too_large(name, environment)) from error


def _refuse_missing_shell(error: OSError, name: str, command: str) -> None:
    """Raise the error of a missing shell if *error*, of a start, is about the shell; not if about the folder."""
    if error.filename == shell() and error.errno in {errno.ENOENT, errno.EACCES, errno.ENOEXEC}:
        raise MissingShellError(name, shell(), command) from error


def _unnamed_file() -> IO[bytes]:
    """Return a file in memory, or, where the system has none, in the folder for temporary files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("cnflow-command"), "w+b")
    return tempfile.TemporaryFile()


def _too_large(name: str, environment: Mapping[str, str]) -> str:
    sizes = {variable: len(os.fsencode(f"{variable}={value}")) for variable, value in environment.items()}
    largest = max(sizes, key=lambda variable: sizes[variable])
    return (
        f"The command of bash_app {name} cannot be started: the system passes no environment of "
        f"{sum(sizes.values()):,} bytes, of which variable {largest!r} has {sizes[largest]:,}; one variable may have "
        f"{longest_argument():,}. Pass long values in a file."
    )
