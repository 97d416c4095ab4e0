"""The connection to a Docker engine, and its errors in our words. Only this package imports the SDK."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
import docker.errors
import docker.models.containers as sdk
import requests.exceptions

from cnflow.addresses import is_loopback
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.config import DockerProvider


_KNOWN = frozenset(
    {*sdk.RUN_CREATE_KWARGS, *sdk.RUN_HOST_CONFIG_KWARGS, "network", "networking_config", "ports", "volumes"},
)
_CONFLICT = 409


def connect(settings: DockerProvider) -> docker.DockerClient:
    """A client of the engine that *settings* name, which has answered.

    Raises:
        BlockError: it does not answer.
    """
    with answering(settings):
        if settings.host is None:
            return docker.from_env()
        return docker.DockerClient(base_url=settings.host)


@contextlib.contextmanager
def answering(settings: DockerProvider) -> Iterator[None]:
    """Turn what the SDK raises when no engine answers into a BlockError; what an engine answers passes through."""
    try:
        yield
    except docker.errors.APIError:
        raise
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        _let_go(error)
        which = f" at {settings.host}" if settings.host else ""
        raise BlockError(
            f"The Docker engine{which} does not answer: {words(error)}\nStart it (e.g. sudo systemctl start docker), "
            f"see that this user may use it (group docker), or name another in DOCKER_HOST or DockerProvider(host).",
        ) from error


@contextlib.contextmanager
def rejecting(what: str, settings: DockerProvider) -> Iterator[None]:
    """Turn an engine's refusal into a BlockRejectedError with its own words; *what* names what it was asked to do."""
    try:
        with answering(settings):
            yield
    except docker.errors.APIError as error:
        raise BlockRejectedError(f"The Docker engine refused to {what}: {words(error)}") from error


def create(client: docker.DockerClient, arguments: dict[str, Any], settings: DockerProvider) -> str:
    """The id of a new container, made as *arguments* say and not started.

    Raises:
        BlockRejectedError: the engine or its SDK refuses; nothing was made.
    """
    try:
        with rejecting("create a container", settings):
            return str(client.containers.create(**arguments).id)
    except TypeError as error:  # the SDK's word for an option that it does not know
        unknown = sorted(arguments.keys() - _KNOWN)
        if not unknown:
            raise BlockRejectedError(f"The Docker SDK refuses an option: {error}") from error
        near = did_you_mean(unknown[0], _KNOWN)
        raise BlockRejectedError(
            f"DockerProvider: create: containers.create has no option {unknown[0]!r}.{near}"
        ) from error
    except (docker.errors.InvalidArgument, docker.errors.InvalidVersion, ValueError) as error:
        raise BlockRejectedError(f"The Docker SDK refuses an option: {error}") from error


def discard(client: docker.DockerClient, container: str) -> None:
    """Remove *container*, whatever state it is in; that it is gone, or going, is no error."""
    try:
        client.api.remove_container(container, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != _CONFLICT:  # "removal of container ... is already in progress"
            raise


@contextlib.contextmanager
def removed_on_failure(client: docker.DockerClient, container: str) -> Iterator[None]:
    """Leave no container behind when what is done to it fails, or is interrupted."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
            discard(client, container)
        raise


def words(error: BaseException) -> str:
    """An engine's own words, without the SDK's HTTP around them."""
    said = error.explanation if isinstance(error, docker.errors.APIError) else None
    return str(said or error)


def _let_go(error: BaseException | None) -> None:
    """Close the socket that the SDK leaves open when no engine answers: only its dead frames still hold it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def is_local(client: docker.DockerClient) -> bool | None:
    """Whether the engine runs here; None when its address is a loopback port, behind which any machine may be."""
    where = str(client.api.base_url)
    if where.startswith("http+docker://"):  # the SDK's word for a socket file, a named pipe, or ssh
        return not where.endswith("//ssh")
    return None if is_loopback(urlsplit(where).hostname or "") else False
