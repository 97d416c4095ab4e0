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
    from cnflow.config.machines import MachineSettings
    from cnflow.interfaces.channel import Channel

_ALIAS = "cnflow-interchange"
"""Name of the machine in the file of known hosts, whatever its address."""


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
        options = {
            "UserKnownHostsFile": str(self._known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": _ALIAS,
            "HostKeyAlgorithms": "ssh-ed25519",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "PasswordAuthentication": "no",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return SSHBackend(
            SSHChannel(
                host=address,
                user=self._settings.ssh_user or USER,
                key_file=str(self._key),
                options=[*words, *self._settings.ssh_options],
                connect_timeout=connect_timeout,
            )
        )

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
