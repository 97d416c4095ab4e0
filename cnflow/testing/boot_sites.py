"""A boot site for machines that see this machine's files: user data that starts the manager, or a command, by itself.

No server, no token: for tests of everything but the boot.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from cnflow.capsule import driver_root
from cnflow.providers._shared.machines.boot import EXIT_CODE, OUTPUT
from cnflow.providers._shared.manager_command import manager_command

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.config.machines import MachineSettings
    from cnflow.model.block import BlockRequest
    from cnflow.providers._shared.machines.boot import BootPlace

_SCRIPT = """#!/bin/sh
umask 077
{files}
{exports}
echo '{output}'
{command}
echo "{exit_code}"
shutdown -h now
"""


class DirectBootSite:
    """See `cnflow.providers._shared.machines.boot.BootSite`.

    Args:
        settings: of the provider.
        place: unused: nothing is served.

    Attributes:
        admitted: names and ranks, in order.
        forgotten: names, in order.
    """

    def __init__(self, settings: MachineSettings, place: BootPlace) -> None:
        self._settings = settings
        self.place = place
        self.admitted: list[tuple[str, int]] = []
        self.forgotten: list[str] = []
        self.reports: dict[tuple[str, int], str] = {}
        self.is_closed = False

    def admit(self, request: BlockRequest, rank: int) -> str:
        """Return a script that writes the files of the command, and runs it."""
        self.admitted.append((request.name, rank))
        command = request.command or manager_command(
            request.manager,
            python=sys.executable,
            root=str(driver_root()),
            settings_file="./settings.json",
            is_isolated=False,
        )
        files = "\n".join(_writing(path, content) for path, content in command.files.items())
        variables = {**self._settings.environment, **command.environment}
        if request.command is None:
            variables["PYTHONPATH"] = ":".join(sys.path)
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
        return _SCRIPT.format(
            files=files,
            exports=exports,
            output=OUTPUT,
            command=shlex.join(command.argv),
            exit_code=EXIT_CODE.format("$?"),
        )

    def report_of(self, name: str, rank: int) -> str:
        """Return the report that a test has put into `reports`."""
        return self.reports.get((name, rank), "")

    def forget(self, names: Collection[str]) -> None:
        """Record it."""
        self.forgotten.extend(names)

    def close(self) -> None:
        """Record it."""
        self.is_closed = True


def _writing(path: str, content: bytes) -> str:
    digits = "".join(f"\\{byte:03o}" for byte in content)
    return f"printf '{digits}' > {shlex.quote(path)}"
