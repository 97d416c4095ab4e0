"""What the commands ask of a Docker engine, through its provider; the only place in `cnflow.cli` that knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.config.providers import DockerProvider
from cnflow.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

_EXTRA = DockerProvider.extra


class Engine(NamedTuple):
    """An engine that answers."""

    version: str
    hosts: list[str]
    """Addresses of this machine that its containers could reach, likeliest first."""


def default_engine() -> Engine:
    """The engine that a DockerProvider without options uses.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: no engine answers; holds its own words.
    """
    try:
        from cnflow.providers.docker import client, networking  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        raise _missing(error, "The provider 'docker'") from error
    settings = DockerProvider()
    connected = client.connect(settings)
    try:
        with client.rejecting("tell its version", settings):
            version = str(connected.version()["Version"])
        return Engine(version, networking.endpoint_hosts(connected, settings))
    finally:
        connected.close()


def unpack_capsule(image: str, directory: Path) -> None:
    """Write the capsule for *image* into *directory*.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: the image is not there or cannot hold a worker.
        CapsuleError: its packages could not be got.
    """
    try:
        from cnflow.providers.docker import unpack_capsule as unpack  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        raise _missing(error, "A capsule for an image") from error
    unpack(image, directory, DockerProvider())


def _missing(error: ModuleNotFoundError, what: str) -> Exception:
    """*error* itself where it is a module of ours that is missing."""
    return error if str(error.name).startswith("cnflow") else MissingExtraError(what, _EXTRA)
