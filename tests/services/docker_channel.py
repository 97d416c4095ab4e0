"""A channel to a container: commands run in it as one of its users, as on the login node of a site of its own."""

from __future__ import annotations

import posixpath
import shlex
import subprocess
from typing import TYPE_CHECKING, ClassVar, Literal

from cnflow.channels.local import LocalBackend
from cnflow.config.channels import ChannelSettings, LocalChannel
from cnflow.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.interfaces.channel import Completed
    from cnflow.units import Seconds


class ContainerBackend:
    """See `cnflow.interfaces.Channel`."""

    is_local = False

    def __init__(self, settings: ContainerChannel) -> None:
        self.name = settings.container
        self._prefix = ["docker", "exec", "-i", "-u", settings.user, "-w", settings.folder, settings.container]
        self._local = LocalBackend(LocalChannel())

    def open(self) -> None:
        """See that the container runs."""
        if self.run(["true"]).exit_code:
            raise ChannelError(f"The container {self.name} does not run.")

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: Seconds | None = None) -> Completed:
        """Run a command in the container."""
        return self._local.run(self.command(argv), stdin=stdin, timeout=timeout)

    def command(self, argv: Sequence[str]) -> list[str]:
        """``docker exec``, which takes an argument vector."""
        return [*self._prefix, *argv]

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a command in the container."""
        return self._local.start(self.command(argv))

    def put(self, content: bytes, path: str, mode: int = 0o600) -> None:
        """Write a file by a shell."""
        folder, part = shlex.quote(posixpath.dirname(path)), shlex.quote(f"{path}.part")
        script = (
            f"umask 077; mkdir -p {folder} && cat >{part} && chmod {mode:o} {part} && mv {part} {shlex.quote(path)}"
        )
        done = self.run(["sh", "-c", script], stdin=content)
        if done.exit_code:
            raise ChannelError(f"{path} cannot be written in {self.name}: {done.stderr}")

    def get(self, path: str) -> bytes:
        """Read a file."""
        done = subprocess.run(self.command(["cat", path]), capture_output=True, check=False)
        if done.returncode:
            raise ChannelError(f"{path} cannot be read in {self.name}: {done.stderr.decode()}")
        return done.stdout

    def close(self) -> None:
        """Nothing to do."""


class ContainerChannel(ChannelSettings):
    """Runs commands in a container of the Docker engine."""

    backend: ClassVar[type] = ContainerBackend
    kind: Literal["container"] = "container"
    container: str
    user: str
    folder: str
