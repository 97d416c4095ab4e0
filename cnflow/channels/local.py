"""Channel to this machine: commands are children of the driver, files are its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import ChannelError
from cnflow.interfaces.channel import Completed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.config.channels import LocalChannel
    from cnflow.units import Seconds


class LocalBackend:
    """See `cnflow.interfaces.Channel`."""

    name = "this machine"
    is_local = True

    def __init__(self, settings: LocalChannel) -> None:
        del settings

    def open(self) -> None:
        """Nothing to do."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: Seconds | None = None) -> Completed:
        """Run a child."""
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise ChannelError(f"{argv[0]} did not end within {timeout:g} s on this machine.") from None
        except OSError as error:
            return Completed(127 if isinstance(error, FileNotFoundError) else 126, "", f"{argv[0]}: {error.strerror}")
        return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command itself."""
        return list(argv)

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a child."""
        try:
            return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise ChannelError(f"{argv[0]} cannot be started on this machine: {error.strerror}.") from error

    def put(self, content: bytes, path: str, mode: int = 0o600) -> None:
        """Write the file under a name of its own, then rename it."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            try:
                with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                    os.fchmod(file.fileno(), mode)
                    file.write(content)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ChannelError(f"{path} cannot be written on this machine: {error.strerror}.") from error

    def get(self, path: str) -> bytes:
        """Read the file."""
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise ChannelError(f"{path} cannot be read on this machine: {error.strerror}.") from error

    def close(self) -> None:
        """Nothing to do."""
