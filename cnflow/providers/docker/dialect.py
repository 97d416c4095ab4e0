"""The differences between Docker and Podman behind the same API, each named once. No I/O.

::

    GET /version ── dialect_of ──> Dialect ──> client, requests, networking, refusals
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.engines import EngineName


class Dialect(NamedTuple):
    """What an engine does in its own way."""

    engine: EngineName
    noun: str
    """Name for messages."""

    exit_condition: str
    """The ``condition`` of a ``wait`` that answers with the exit code of a container which removes itself."""


# https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerWait
DOCKER = Dialect("docker", "Docker engine", "removed")

# Podman 4.3: a wait for ``removed`` answers with 0 whatever the exit code was, one for ``next-exit`` with the code and
# before the container is removed.
PODMAN = Dialect("podman", "Podman engine", "next-exit")


def dialect_of(version: Mapping[str, Any]) -> Dialect:
    """Return the dialect of an engine that answers *version* to ``GET /version``."""
    names = {str(part.get("Name", "")) for part in version.get("Components") or ()}
    return PODMAN if "Podman Engine" in names else DOCKER
