"""Keys of ssh that are drawn for one run, in a private folder, and channels that use and pin them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.channels.ssh import SSHBackend
from cnflow.config.channels import SSHChannel
from cnflow.errors import BlockRejectedError
from cnflow.providers._shared.machines.ssh_access import USER, SshKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.machines import MachineSettings
    from cnflow.interfaces.channel import Channel

_ALIAS = "cnflow-interchange"
"""Name of the machine in the file of known hosts, whatever its address."""


_PINNED = {
    "GlobalKnownHostsFile": "/dev/null",
    "HostKeyAlias": _ALIAS,
    "HostKeyAlgorithms": "ssh-ed25519",
    "StrictHostKeyChecking": "yes",
    "IdentitiesOnly": "yes",
    "PasswordAuthentication": "no",
}
_FORWARD = {
    "BatchMode": "yes",
    "ControlPath": "none",
    "ExitOnForwardFailure": "yes",
    "ServerAliveInterval": "15",
    "ConnectTimeout": "15",
    "LogLevel": "ERROR",
}


class RunKeys:
    """Keys of one interchange. The folder holds the private ones (0600) until `close`.

    Args:
        settings: of the provider.

    Raises:
        BlockRejectedError: ``ssh-keygen`` is missing.
    """

    def __init__(self, settings: MachineSettings) -> None:
        self._settings = settings
        self._folder = folder = Path(tempfile.mkdtemp(prefix="cnflow-keys-"))
        self._key = folder / "run"
        for name in ("run", "host"):
            _draw(folder / name)
        self.pairs = SshKeys(
            self._key.read_text(),
            (folder / "run.pub").read_text(),
            (folder / "host").read_text(),
            (folder / "host.pub").read_text(),
        )
        self.id = self.pairs.public.split()[1][-32:]
        (folder / "known_hosts").write_text(f"{_ALIAS} {self.pairs.host_public}")
        self._known_hosts = folder / "known_hosts"

    def channel(self, address: str, *, connect_timeout: float) -> Channel:
        """Return a channel to the machine at *address*, which must show the key that was drawn for it."""
        return SSHBackend(
            SSHChannel(
                host=address,
                user=self._settings.ssh_user or USER,
                key_file=str(self._key),
                options=self._options(_PINNED),
                connect_timeout=connect_timeout,
            )
        )

    def forward_argv(self, address: str, port: int) -> list[str]:
        """Return the command line of ssh that leads *port* of this machine's loopback to the same one there."""
        wanted = {**_PINNED, **_FORWARD, "LocalForward": f"127.0.0.1:{port} 127.0.0.1:{port}"}
        user = self._settings.ssh_user or USER
        return ["ssh", *self._options(wanted), "-N", "-T", "-i", str(self._key), f"{user}@{address}"]

    def _options(self, values: Mapping[str, str]) -> list[str]:
        own = {"UserKnownHostsFile": str(self._known_hosts), **values}
        return [
            *(word for name, value in own.items() for word in ("-o", f"{name}={value}")),
            *self._settings.ssh_options,
        ]

    def close(self) -> None:
        """Remove the keys."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _draw(path: Path) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "cnflow", "-f", str(path)]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise BlockRejectedError(
            f"A key of ssh cannot be drawn for the interchange's machine: {error}. Install OpenSSH's client, or set "
            'interchange="driver" if machines reach this one.'
        ) from error
