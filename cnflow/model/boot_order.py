"""Order of one virtual machine: what its agent starts, and what it watches meanwhile. Holds keys."""

from __future__ import annotations

from typing import Optional

import msgspec

OUTPUT = "=== cnflow: output ==="
"""Line of a machine's console before the output of the manager, or of the command in its place."""

EXIT_CODE = "=== cnflow: exit code {} ==="
"""Line after it, with the exit code as a shell has it."""

PREEMPTED = "=== cnflow: preempted: {} ==="
"""Line when the cloud has announced that it takes the machine back, with its words."""

BOOT_FAILED = "=== cnflow: boot failed: {} ==="
"""Line when no manager was started, with the reason."""


class BootOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Written by the driver, fetched by the machine over TLS, read by `cnflow.vm_agent`."""

    commands: dict[str, tuple[str, ...]]
    """Command of the manager on the bare machine under ``bare``, else by each engine that may run its container:
    ``docker``, ``podman``."""

    drains: bool = True
    """The command is a manager, for which SIGUSR1 is the notice of its block's end."""

    environment: dict[str, str] = {}
    """Variables of the command."""

    files: dict[str, bytes] = {}
    """Path -> content of files that the agent writes for its user alone."""

    owner: str = ""
    """``uid`` or ``uid:gid`` that the files belong to, where a container runs as that; empty is root."""

    image: str = ""
    """Image that the agent pulls before; empty on the bare machine."""

    pulls: str = "missing"
    """``missing``, ``always`` or ``never``."""

    registry_login: str = ""
    """Content of the engine's file of registries and passwords; empty without."""

    engine: str = "auto"
    """``auto``, ``docker`` or ``podman``."""

    installs_engine: bool = False
    notices: str = ""
    """Metadata service that announces the machine's end: ``ec2``, ``google``, ``azure``; empty asks none."""

    grace_period: float = 8.0
    """Seconds that the manager gives running tasks once it is ordered to end."""

    working_dir: str = ""
    """Folder in which the command starts; made if need be."""

    hosts: tuple[str, ...] = ()
    """Addresses of the boot server, to report to."""

    port: int = 0
    digest: str = ""
    """SHA-256 of its certificate, in hexadecimal digits."""

    token: str = ""
    life: Optional[float] = None
    """Seconds after which the command is ordered to end; None sets no end."""

    def to_json(self) -> bytes:
        """Content of the order's file."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> BootOrder:
        """Parse the content of an order's file.

        Raises:
            msgspec.ValidationError: *data* is not one of this version.
        """
        return msgspec.json.decode(data, type=cls)
