"""Builds the user data of a machine: a script that cloud-init, or what stands for it, runs once as root. Pure.

::

    BootPlan ──user_data──> text of less than 16 KB; holds a token that works once, and no key
                            or, where the driver brings the boot by ssh, keys of ssh for this machine
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.addresses import in_url
from cnflow.config.machines import LONGEST_USER_DATA
from cnflow.errors import BlockRejectedError
from cnflow.providers._shared.machines import boot_script

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Pin:
    """Certificate of a boot server, in the forms in which programs compare it."""

    certificate: str
    """PEM."""

    digest: str
    """SHA-256 of the certificate, in hexadecimal digits."""

    key: str
    """SHA-256 of its public key, in base64, as curl takes it."""


@dataclass(frozen=True)
class BootAddress:
    """Way of a machine to its boot server."""

    hosts: Sequence[str]
    """Addresses, likeliest first."""

    port: int
    pin: Pin
    token: str


@dataclass(frozen=True)
class BootPlan:
    """All that the user data of one machine says."""

    block: str
    """Name of the block."""

    rank: int
    machine: str
    """Architecture that the code is for, as the kernel names it."""

    startup_timeout: float
    """Seconds after which the machine ends itself unless its manager was started."""

    server: BootAddress | None = None
    """Server from which the machine fetches its boot; None where the driver brings it."""

    access: str = ""
    """Part that lets the driver in by ssh, as of `ssh_access`."""

    longest_life: float | None = None
    """Seconds after which the machine ends itself; None sets no end."""

    commands: str = ""
    """The user's, as in `MachineSettings.user_data`."""

    ending: str = ""
    """Commands before the shutdown, where that alone does not end the machine and its costs."""


def user_data(plan: BootPlan) -> str:
    """Return the script with which the machine of *plan* boots.

    Raises:
        BlockRejectedError: it is longer than clouds take.
    """
    server = plan.server
    values = {
        "OBTAIN": boot_script.PUSH if server is None else boot_script.FETCH,
        "ACCESS": boot_script.ACCESS if server is None else "",
        "SSH": plan.access,
        "INBOX": boot_script.INBOX,
        "RANK": str(plan.rank),
        "BLOCK": plan.block,
        "FOLDER": boot_script.FOLDER,
        "MACHINE": plan.machine,
        "TIMEOUT": f"{plan.startup_timeout:.0f}",
        "LIFE": "" if plan.longest_life is None else f"{plan.longest_life:.0f}",
        "ENDING": f"{plan.ending.rstrip()}\n" if plan.ending.strip() else "",
        "HOSTS": "" if server is None else " ".join(map(in_url, server.hosts)),
        **({} if server is None else _of_server(server)),
        "USER": _user_part(plan.commands),
    }
    text = boot_script.SCRIPT
    for name, value in values.items():  # USER is last: whatever it has stays as it is
        text = text.replace(f"@{name}@", value)
    return checked(text)


def _of_server(server: BootAddress) -> dict[str, str]:
    return {
        "PORT": str(server.port),
        "PIN": server.pin.digest,
        "KEY": server.pin.key,
        "TOKEN": server.token,
        "TALK": boot_script.TALK,
        "CERTIFICATE": server.pin.certificate,
    }


def checked(text: str) -> str:
    """Return the user data *text*.

    Raises:
        BlockRejectedError: it is longer than clouds take.
    """
    size = len(text.encode())
    if size > LONGEST_USER_DATA:
        raise BlockRejectedError(
            f"The script that boots a machine has {size} bytes, and clouds take {LONGEST_USER_DATA}. Shorten "
            "the option user_data: let it fetch what is long, or build an image of a machine."
        )
    return text


def _user_part(commands: str) -> str:
    if not commands.strip():
        return ""
    end = f"END_{hashlib.sha256(commands.encode()).hexdigest()[:16]}"
    return boot_script.USER.replace("@END@", end).replace("@COMMANDS@", commands)
