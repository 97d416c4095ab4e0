"""Starts processes on this machine; the only module of this package that imports `subprocess`."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from cnflow.capsule import PROBE_OPTIONS, Probe, no_python, parse_probe
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PROBE_TIMEOUT = Seconds(30.0)


class Child:
    """A process that leads a session of its own, and appends its output to a file.

    Args:
        argv: command line.
        environment: all of its variables.
        log_file: is made if it does not exist.
        folder: in which it starts; empty for the current one.

    Raises:
        OSError: nothing was started.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log_file: Path, folder: str = "") -> None:
        self.log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder or None,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id; safe to signal only while `is_reaped` is False."""
        return self._process.pid

    @property
    def is_reaped(self) -> bool:
        """True once the exit code was read, after which another process may have the id."""
        return self._process.returncode is not None

    def poll(self) -> int | None:
        """Return the exit code, which reaps the process; None while it runs."""
        return self._process.poll()

    def wait(self) -> None:
        """Wait for the end, and reap the process."""
        self._process.wait()


def write_private(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600.

    Raises:
        OSError: *path* exists, also as a symbolic link, or cannot be made.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def probe(python: str) -> Probe:
    """Return the version and platform of the interpreter *python*.

    Raises:
        ImageUnusableError: it does not start, or is no Python; holds its own words.
    """
    where = f"the interpreter {python}"
    command = [python, *PROBE_OPTIONS]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        # The message of a timeout would hold the whole probe script.
        words = str(error) if isinstance(error, OSError) else f"no answer within {_PROBE_TIMEOUT:.0f} s"
        raise no_python(where, words) from error
    found = parse_probe(done.stdout)
    if found is None:
        raise no_python(where, (done.stderr or done.stdout).strip() or f"it exited with code {done.returncode}")
    return found
