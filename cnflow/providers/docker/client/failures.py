"""Turns the SDK's errors into cnflow's, in the engine's own words."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING

import docker.errors
import requests.exceptions

from cnflow.config.engines import find_other
from cnflow.errors import BlockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.config.engines import EngineAddress


_STARTS = {
    "docker": "sudo systemctl start docker",
    "podman": "systemctl --user start podman.socket, or podman system service --time=0 unix://...",
}

_MALFORMED = "Invalid bind address"
"""With these words the SDK refuses an address: https://github.com/docker/docker-py, docker/utils/utils.py."""


@contextlib.contextmanager
def answering(address: EngineAddress, noun: str = "") -> Iterator[None]:
    """Turn the SDK's errors for an engine that does not answer into a BlockError; refusals pass through.

    Args:
        address: of the engine.
        noun: what it is, once that is known.
    """
    try:
        yield
    except docker.errors.APIError:
        raise
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        _close_sockets_of(error)
        raise BlockError(
            f"The {noun or address.noun} at {address.url} ({address.source}) does not answer: {words_of(error)}\n"
            f"{_remedy(address, words_of(error))}{_other_engine(address)}",
        ) from error


def _remedy(address: EngineAddress, words: str) -> str:
    variable = "CONTAINER_HOST" if address.engine == "podman" else "DOCKER_HOST"
    if words.startswith(_MALFORMED):
        place = address.source if address.source == variable else "DockerProvider(host)"
        tunnel = (
            " For a socket behind ssh, forward it: ssh -nNT -L /tmp/engine.sock:/run/podman/podman.sock USER@HOST, and "
            "name unix:///tmp/engine.sock."
        )
        return (
            f"Correct {place}: an address is such as unix:///run/podman/podman.sock, tcp://HOST:2375, or for Docker "
            f"ssh://USER@HOST.{tunnel if address.url.startswith('ssh://') else ''}"
        )
    start = _STARTS[address.engine or "docker"]
    may_use = "its socket belongs to the user who started it" if address.engine == "podman" else "group docker"
    return (
        f"Start it (e.g. {start}), see that this user may use it ({may_use}), or name another in {variable} or "
        "DockerProvider(host)."
    )


def _other_engine(address: EngineAddress) -> str:
    other = find_other(address)
    if other is None:
        return ""  # host= counts before variables, which count before the usual sockets
    return f" There is a {other.noun} at {other.url}: DockerProvider(engine={other.engine!r}, host={other.url!r})."


def words_of(error: BaseException) -> str:
    """Return an engine's own words, without the SDK's HTTP around them."""
    explanation = error.explanation if isinstance(error, docker.errors.APIError) else None
    return str(explanation or error)


def is_gone(error: docker.errors.APIError) -> bool:
    """Return True if there is no such container; Podman has another status for one that goes at that moment."""
    return isinstance(error, docker.errors.NotFound) or "no such container" in words_of(error).lower()


def _close_sockets_of(error: BaseException | None) -> None:
    """Close the socket that the SDK leaves open when no engine answers: only its dead frames still hold it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
