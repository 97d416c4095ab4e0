"""The differences between Docker and Podman behind the same API, each named once. No I/O.

::

    GET /version ── dialect_of ──> Dialect ──> client: which wait has the exit code, which mounts to look at first
                                      └── adapt ──> arguments of ``create`` in the engine's own words, or a refusal
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import BlockRejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.engines import EngineName


class Dialect(NamedTuple):
    """What an engine does in its own way."""

    engine: EngineName
    noun: str
    """Name for messages."""

    version: tuple[int, ...]

    exit_condition: str
    """The ``condition`` of a ``wait`` that answers with the exit code of a container which removes itself."""

    makes_mount_sources: bool
    """A mount of a path that does not exist makes an empty folder there, as root; the other engine refuses it."""

    @property
    def gives_gpus_by_cdi(self) -> bool:
        """GPUs are devices of the Container Device Interface, with names such as ``nvidia.com/gpu=0``."""
        return self.engine == "podman"


_FIRST_WITH_CDI = (5, 4)
"""Podman that honours ``DeviceRequests``; earlier ones ignore them: https://github.com/containers/podman/pull/25171."""


def dialect_of(version: Mapping[str, Any]) -> Dialect:
    """Return the dialect of an engine that answers *version* to ``GET /version``."""
    names = {str(part.get("Name", "")) for part in version.get("Components") or ()}
    numbers = tuple(int(number) for number in re.findall(r"\d+", str(version.get("Version", "")))[:3])
    if "Podman Engine" in names:
        # Podman 4.3: a wait for ``removed`` answers with 0 whatever the exit code was, one for ``next-exit`` with the
        # code and before the container is removed.
        return Dialect("podman", "Podman engine", numbers, exit_condition="next-exit", makes_mount_sources=True)
    # https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerWait
    return Dialect("docker", "Docker engine", numbers, exit_condition="removed", makes_mount_sources=False)


def adapt(arguments: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Return *arguments* of ``docker.DockerClient.containers.create`` as the engine of *dialect* understands them.

    Raises:
        BlockRejectedError: the engine would ignore what they ask for.
    """
    requests = arguments.get("device_requests")
    if not requests or not dialect.gives_gpus_by_cdi:
        return dict(arguments)
    if dialect.version < _FIRST_WITH_CDI:
        version = ".".join(map(str, dialect.version))
        raise BlockRejectedError(
            f"gpus= needs Podman {'.'.join(map(str, _FIRST_WITH_CDI))} or newer: Podman {version} gives no GPU to "
            "containers that are created by its socket. Use a newer one, or Docker; or give device files: "
            "create={'devices': ['/dev/nvidia0', '/dev/nvidiactl', '/dev/nvidia-uvm']}."
        )
    return {**arguments, "device_requests": [_as_cdi(request) for request in requests]}


def bind_sources(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the path on the engine's machine, and the one in the container, of each bind mount of *arguments*."""
    mounts = arguments.get("mounts") or ()
    return [(str(each["Source"]), str(each["Target"])) for each in mounts if each.get("Type") == "bind"]


def short_name(image: str) -> str:
    """Return *image* without the registry that Podman puts before a name that has none."""
    return image.removeprefix("localhost/").removeprefix("docker.io/library/")


def _as_cdi(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request for GPUs by number or id as one for devices of NVIDIA's own CDI specification."""
    if request.get("driver"):
        return dict(request)
    count = int(request.get("count") or 0)
    names = ["all"] if count < 0 else [str(number) for number in range(count)]
    wanted = [str(name) for name in request.get("device_ids") or names]
    return {"driver": "cdi", "device_ids": [f"nvidia.com/gpu={name}" for name in wanted]}
