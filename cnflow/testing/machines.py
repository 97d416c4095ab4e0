"""Virtual machines of a `FakeCloud` that are played by processes of this one: each runs its user data.

::

    ProcessPlayer.start(id, user_data) ──unshare──> PID 1 in a PID namespace of its own ── runs the user data once
        PlayedMachine.console()                          stdout and stderr of all of it
        PlayedMachine.end()         ── SIGKILL ───────> PID 1, and with it every process of the machine
        `shutdown -h now` inside    ──────────────────> the same, from within

Files, users and the network are those of this machine, so that user data must not change what belongs to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIRST_PROCESS = r"""#!/bin/sh
trap 'exit 0' TERM INT
PATH="$1/sbin:$PATH"; export PATH
cd "$1" || exit 1
sh ./user-data &
while :; do sleep 3600 & wait $!; done
"""
_HALT = "#!/bin/sh\nkill -TERM 1\n"
_LARGEST_CONSOLE = 64 * 1024


class PlayedMachine(Protocol):
    """A machine that runs.

    Attributes:
        address: at which the driver and other machines reach it.
    """

    address: str

    def is_alive(self) -> bool:
        """Return whether it has not ended."""

    def console(self) -> bytes:
        """Return the end of what it has printed."""

    def end(self) -> None:
        """End it at once."""


class Player(Protocol):
    """Plays machines."""

    def start(self, name: str, user_data: str) -> PlayedMachine:
        """Start one, which runs *user_data*."""


def can_play() -> bool:
    """Return whether this machine allows the namespaces that `ProcessPlayer` needs."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_unshare(), "true"], capture_output=True, check=False).returncode == 0


class ProcessPlayer:
    """Plays machines by processes.

    Args:
        folder: gets a folder for each machine.
        environment: of the first process of each, on top of the variables of this process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = dict(environment or {})

    def start(self, name: str, user_data: str) -> PlayedMachine:
        """Start a machine."""
        folder = self._folder / name
        (folder / "sbin").mkdir(parents=True)
        for program in ("shutdown", "poweroff", "halt"):
            path = folder / "sbin" / program
            path.write_text(_HALT)
            path.chmod(0o755)
        (folder / "user-data").write_text(user_data)
        (folder / "init").write_text(_FIRST_PROCESS)
        return _ProcessMachine(folder, self._environment)


class _ProcessMachine:
    address = "127.0.0.1"

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._console = folder / "console"
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [*_unshare(), "sh", str(folder / "init"), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def console(self) -> bytes:
        return self._console.read_bytes()[-_LARGEST_CONSOLE:]

    def end(self) -> None:
        if self.is_alive():
            self._process.kill()  # the first process of the namespace goes with it, and all others with that
        self._process.wait()


def _unshare() -> list[str]:
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
