"""Makes the order of one machine from the request for its block; pure, apart from sources of secrets.

::

    BlockRequest, rank ── bare ───> sh: worker_init, then START_SCRIPT: the machine's Python runs the workers, the
                      │             carried one the manager
                      └── image ──> the same in a container, by the script of the runtime, for each engine
    BootOrder ──order_archive──> entry of the boot server
"""

from __future__ import annotations

import io
import re
import shlex
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cnflow.capsule.start import START_SCRIPT, start_argv
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.model.boot_order import BootOrder
from cnflow.model.node_command import NodeCommand
from cnflow.model.site_image import ImageForm, SiteImage
from cnflow.providers._shared.image_command import image_command
from cnflow.providers._shared.machines.boot_script import FOLDER
from cnflow.providers._shared.registry_login import login_file
from cnflow.runtimes import DockerRuntime, PodmanRuntime

if TYPE_CHECKING:
    from cnflow.capsule import Kind
    from cnflow.config.machines import MachineSettings
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image

CODE = f"{FOLDER}/code"
"""Folder of the capsule on a machine."""

_SETTINGS, _START = f"{FOLDER}/manager/settings.json", f"{FOLDER}/manager/start.sh"
_WORK = f"{FOLDER}/work"
_RUNTIMES = {"docker": DockerRuntime(home=False), "podman": PodmanRuntime(home=False)}
_SLACK = 30.0
"""Seconds after a walltime at which the agent ends a manager that should have ended itself."""


class Way(NamedTuple):
    """Way from a machine to the boot server."""

    hosts: tuple[str, ...]
    port: int
    digest: str
    token: str


NO_WAY = Way((), 0, "", "")
"""Of a machine whose boot the driver brings."""


def order_for(request: BlockRequest, rank: int, settings: MachineSettings, kind: Kind, way: Way) -> BootOrder:
    """Return the order of machine *rank* of the block.

    Args:
        request: for the block.
        rank: of the machine.
        settings: of the provider.
        kind: of the capsule, which carries an interpreter.
        way: to the boot server.

    Raises:
        BlockRejectedError: no engine can do what the image asks for.
    """
    image = request.image
    ranked = {**settings.environment, "CNFLOW_NODE_RANK": str(rank)}
    command = request.command or _manager(request, settings, kind)
    command = replace(command, environment={**ranked, **command.environment})
    commands = _in_containers(command, image, settings) if image else {"bare": command}
    slack = _SLACK if request.command is None else 0.0
    return BootOrder(
        commands={name: tuple(each.argv) for name, each in commands.items()},
        drains=request.command is None,
        environment={name: text for each in commands.values() for name, text in each.environment.items()},
        files=_files(command, image),
        owner=image.user if re.fullmatch(r"\d+(:\d+)?", image.user) else "",
        image=image.reference.removeprefix("docker://"),
        pulls=image.pull or "missing",
        registry_login=login_file(image).decode() if image and image.credentials is not None else "",
        engine=settings.runtime,
        installs_engine=settings.install_runtime,
        notices=settings.notices,
        grace_period=request.manager.grace_period,
        working_dir=_WORK,
        hosts=way.hosts,
        port=way.port,
        digest=way.digest,
        token=way.token,
        life=None if request.walltime is None else request.walltime + slack,
    )


def order_archive(order: BootOrder) -> bytes:
    """Return the compressed tar with *order* that a machine unpacks."""
    buffer, content = io.BytesIO(), order.to_json()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("order.json")
        member.size, member.mode = len(content), 0o600
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _manager(request: BlockRequest, settings: MachineSettings, kind: Kind) -> NodeCommand:
    """Return the command of a manager, whose START_SCRIPT looks at the Python that is there."""
    capsules = {kind: CODE}
    if request.image:
        command = image_command(request.manager, settings_file=_SETTINGS, script=_START, capsules=capsules)
        return replace(command, argv=_after(settings.worker_init, command.argv))
    argv = start_argv(_START, _SETTINGS, capsules)
    files = {_SETTINGS: request.manager.to_json(), _START: START_SCRIPT.encode()}
    return NodeCommand(_after(settings.worker_init + _choice(settings.python), argv), files=files)


def _choice(python: str | None) -> str:
    """Return the part of the script that chooses the interpreter of the user's settings."""
    if python is None:
        return ""
    name = shlex.quote(str(python))
    fail = f"cnflow: this machine has no Python {name}, the option python=. Correct it, or take another image."
    return (
        f"\ncommand -v {name} >/dev/null || {{ echo {shlex.quote(fail)} >&2; exit 3; }}\nexport CNFLOW_PYTHON={name}\n"
    )


def _after(script: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that runs *argv* in the shell that has run *script*."""
    return ("/bin/sh", "-c", f'{script}\nexec "$@"', "cnflow", *argv) if script.strip() else argv


def _in_containers(command: NodeCommand, image: Image, settings: MachineSettings) -> dict[str, NodeCommand]:
    """Return the command that runs *command* in a container, for each engine that the settings allow."""
    mounts = dict(command.mounts)
    if not mounts:  # a command in place of the manager: its files alone are seen in the container
        mounts = {place: f"{path}:ro" for path, place in zip(command.files, _places(command), strict=True)}
    named = SiteImage(image.reference, ImageForm.REFERENCE)
    found, problems = {}, []
    for name in _RUNTIMES if settings.runtime == "auto" else (settings.runtime,):
        try:
            found[name] = _RUNTIMES[name].for_image(image).wrap(replace(command, mounts=mounts), named)
        except ConfigurationError as error:
            problems.append(str(error))
    if not found:
        raise BlockRejectedError(" ".join(problems))
    return found


def _places(command: NodeCommand) -> list[str]:
    """Return the paths on the machine of files that are seen in a container."""
    return [f"{FOLDER}/files/{number}" for number, _ in enumerate(command.files)]


def _files(command: NodeCommand, image: Image) -> dict[str, bytes]:
    if image and not command.mounts:
        return dict(zip(_places(command), command.files.values(), strict=True))
    return dict(command.files)
