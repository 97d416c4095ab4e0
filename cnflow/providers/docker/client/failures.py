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
        start = _STARTS[address.engine or "docker"]
        variable = "CONTAINER_HOST" if address.engine == "podman" else "DOCKER_HOST"
        may_use = "its socket belongs to the user who started it" if address.engine == "podman" else "group docker"
        raise BlockError(
            f"The {noun or address.noun} at {address.url} ({address.source}) does not answer: {words_of(error)}\n"
            f"Start it (e.g. {start}), see that this user may use it ({may_use}), or name another in {variable} or "
            f"DockerProvider(host).{_other_engine(address)}",
        ) from error


def _other_engine(address: EngineAddress) -> str:
    other = find_other(address)
    return f" There is a {other.noun} at {other.url}: DockerProvider(engine={other.engine!r})." if other else ""


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
