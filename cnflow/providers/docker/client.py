"""The connection to a Docker engine, with errors in cnflow's words. The only importer of the SDK.

::

    Engine(settings) ── connected ──> images, networks, containers      answers, or raises:
        │                                   BlockError            the engine does not answer
        │                                   BlockRejectedError    it refuses; holds its own words
        ├── attach(container) ──> Attached: output while it runs, exit code once it is removed
        └── events() ───────────> Events: one item for each container that ends
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
import docker.errors
import docker.models.containers as sdk
import requests
import requests.exceptions
import urllib3.exceptions
from docker.types import CancellableStream

from cnflow.addresses import is_loopback
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from cnflow.config import DockerProvider


_KNOWN = frozenset(
    {*sdk.RUN_CREATE_KWARGS, *sdk.RUN_HOST_CONFIG_KWARGS, "network", "networking_config", "ports", "volumes"},
)
_CONFLICT = 409

# Raised by the SDK's layers when a connection that is read from breaks, or is closed.
_BROKEN = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

# https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach (Stream format)
_FRAME = struct.Struct(">BxxxL")


class Engine:
    """A connected Docker engine.

    Args:
        settings: name the engine; its options are quoted in errors.

    Raises:
        BlockError: the engine does not answer.
    """

    def __init__(self, settings: DockerProvider) -> None:
        self.settings = settings
        with _answering(settings):
            self._sdk = docker.from_env() if settings.host is None else docker.DockerClient(base_url=settings.host)

    # The engine itself

    @property
    def is_local(self) -> bool | None:
        """True if the engine runs here; None if its address is a loopback port, behind which any machine may be."""
        where = str(self._sdk.api.base_url)
        if where.startswith("http+docker://"):  # the SDK's word for a socket file, a named pipe, or ssh
            return not where.endswith("//ssh")
        return None if is_loopback(urlsplit(where).hostname or "") else False

    def version(self) -> str:
        """Return the engine's version."""
        with self._rejecting("report its version"):
            return str(self._sdk.version()["Version"])

    def info(self) -> Mapping[str, Any]:
        """Return the engine's description of itself."""
        with self._rejecting("describe itself"):
            info: Mapping[str, Any] = self._sdk.info()
            return info

    def network_names(self) -> list[str]:
        """Return the names of its networks."""
        with self._rejecting("list its networks"):
            return sorted(str(one["Name"]) for one in self._sdk.api.networks())

    def inspect_network(self, name: str) -> Mapping[str, Any] | None:
        """Return the description of a network; None if there is none of this name."""
        with self._rejecting("describe its network"):
            try:
                found: Mapping[str, Any] = self._sdk.api.inspect_network(name)
            except docker.errors.NotFound:
                return None
            return found

    def close(self) -> None:
        """Close the connection."""
        self._sdk.close()

    # Images

    def image_id(self, image: str) -> str:
        """Return the id of a local image; empty if there is none of this name."""
        with self._rejecting(f"look for image {image!r}"):
            try:
                return str(self._sdk.images.get(image).id)
            except docker.errors.NotFound:
                return ""

    def image_config(self, image_id: str) -> Mapping[str, Any]:
        """Return the configuration of a local image: user, variables, working directory."""
        with self._rejecting(f"describe image {image_id!r}"):
            config: Mapping[str, Any] = self._sdk.images.get(image_id).attrs.get("Config") or {}
            return config

    def image_names(self) -> list[str]:
        """Return the names of all local images."""
        with self._rejecting("list its images"):
            return sorted(name for image in self._sdk.api.images() for name in image.get("RepoTags") or [])

    def pull(self, image: str, platform: str | None, credentials: Mapping[str, str] | None = None) -> str:
        """Pull an image; return the engine's words if that failed, else an empty string.

        Without *credentials* those of the user's Docker configuration are used.
        """
        login = None if credentials is None else dict(credentials)
        with _answering(self.settings):
            try:
                events = self._sdk.api.pull(image, stream=True, decode=True, platform=platform, auth_config=login)
                return next((str(event["error"]) for event in events if "error" in event), "")
            except docker.errors.APIError as error:
                return _words(error)

    # Containers

    def create(self, arguments: Mapping[str, Any]) -> str:
        """Create a container without starting it, and return its id.

        Raises:
            BlockRejectedError: the engine or its SDK refuses; nothing was created.
        """
        try:
            with self._rejecting("create a container"):
                return str(self._sdk.containers.create(**arguments).id)
        except TypeError as error:  # raised by the SDK for an option that it does not know
            unknown = sorted(arguments.keys() - _KNOWN)
            if not unknown:
                raise BlockRejectedError(f"The Docker SDK refuses an option: {error}") from error
            near = did_you_mean(unknown[0], _KNOWN)
            raise BlockRejectedError(
                f"DockerProvider: create: containers.create has no option {unknown[0]!r}.{near}"
            ) from error
        except (docker.errors.InvalidArgument, docker.errors.InvalidVersion, ValueError) as error:
            raise BlockRejectedError(f"The Docker SDK refuses an option: {error}") from error

    def unpack(self, container: str, folder: str, tar: bytes | IO[bytes]) -> None:
        """Unpack *tar* in *folder* of a container."""
        with self._rejecting("take files into a container"):
            self._sdk.api.put_archive(container, folder, tar)

    def start(self, container: str) -> None:
        """Start a container that was created."""
        with self._rejecting("start a container"):
            self._sdk.api.start(container)

    def containers(self, **filters: str | list[str]) -> list[Mapping[str, Any]]:
        """Return the listed containers, in any state, that *filters* fit, such as ``label=[...]``."""
        with self._rejecting("list its containers"):
            listed: list[Mapping[str, Any]] = self._sdk.api.containers(all=True, filters=filters)
            return listed

    def last_lines(self, container: str, lines: int) -> bytes:
        """Return the last lines that a container printed; empty if it is gone."""
        with self._rejecting("read a container's output"):
            try:
                return bytes(self._sdk.api.logs(container, tail=lines))
            except docker.errors.NotFound:
                return b""

    def terminate(self, container: str) -> None:
        """Send SIGTERM to a container; one that does not run is left as it is."""
        with _answering(self.settings), contextlib.suppress(docker.errors.APIError):
            self._sdk.api.kill(container, "SIGTERM")

    def remove(self, container: str) -> None:
        """Remove a container in any state; one that is gone already, or being removed, is no error."""
        with self._rejecting("remove a container"):
            self._remove(container)

    @contextlib.contextmanager
    def remove_on_failure(self, container: str) -> Iterator[None]:
        """Remove *container* when what is done to it fails, or is interrupted."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
                self._remove(container)
            raise

    def await_removal(self, container: str, seconds: float) -> bool:
        """Return True once a container is gone; False if that takes longer than *seconds*."""
        if seconds <= 0:
            return False
        with self._rejecting("report the end of a container"):
            try:
                self._sdk.api.wait(container, timeout=math.ceil(seconds), condition="removed")
            except docker.errors.NotFound:
                return True
            except (requests.exceptions.Timeout, requests.exceptions.ConnectionError):
                return False  # urllib3 raises either for a timeout while reading
        return True

    def attach(self, container: str, *, has_terminal: bool = False) -> Attached:
        """Attach to a container that was created and not started, so that nothing is missed."""
        with self._rejecting("attach to a container"):
            return Attached(self._sdk, container, has_terminal=has_terminal)

    def events(self, label: str) -> Events:
        """Subscribe to the ends of containers with *label*."""
        with self._rejecting("send its events"):
            filters = {"type": "container", "event": ["die", "destroy"], "label": label}
            return Events(self._sdk.events(decode=True, filters=filters))

    def _remove(self, container: str) -> None:
        try:
            self._sdk.api.remove_container(container, force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != _CONFLICT:  # "removal of container ... is already in progress"
                raise

    @contextlib.contextmanager
    def _rejecting(self, what: str) -> Iterator[None]:
        """Turn an engine's refusal to do *what* into a BlockRejectedError with its own words."""
        try:
            with _answering(self.settings):
                yield
        except docker.errors.APIError as error:
            raise BlockRejectedError(f"The Docker engine refused to {what}: {_words(error)}") from error


class Attached:
    """Two connections to one container, made before it starts: its output, and its exit code.

    An engine that removes a container by itself reports the exit code only to a connection that waited for it from
    before. The SDK's own `wait` and `attach` return when all is over, or leave their socket open; so this class asks
    for both by itself.

    Args:
        client: of the engine.
        container: created, not started.
        has_terminal: the container was created with a terminal, which changes the format of its output.
    """

    def __init__(self, client: docker.DockerClient, container: str, *, has_terminal: bool) -> None:
        self._has_terminal = has_terminal
        self._waiting = _post(client, container, "wait", {"condition": "removed"})
        try:
            self._output = _post(client, container, "attach", {"stdout": 1, "stderr": 1, "stream": 1})
        except BaseException:
            self._waiting.close()
            raise

    def output(self) -> Iterator[bytes]:
        """Yield what the container prints, until it or the connection ends."""
        with contextlib.suppress(*_BROKEN, ValueError):  # ValueError: closed by another thread
            if self._has_terminal:
                yield from self._output.raw.stream(1)
                return
            while len(head := self._output.raw.read(_FRAME.size)) == _FRAME.size:
                yield self._output.raw.read(_FRAME.unpack(head)[1])

    def exit_code(self) -> int | None:
        """Wait until the container is removed and return its exit code; None if the connection ends before."""
        try:
            return int(json.loads(self._waiting.content)["StatusCode"])
        except (*_BROKEN, ValueError, KeyError):
            return None

    def interrupt(self) -> None:
        """End another thread's reading at once; the container runs on."""
        for response in (self._output, self._waiting):
            with contextlib.suppress(*_BROKEN, AttributeError):  # AttributeError: it was read to its end
                CancellableStream(iter(()), response).close()

    def close(self) -> None:
        """Close both connections; for the thread that reads them."""
        self._output.close()
        self._waiting.close()


class Events:
    """Subscription to the ends of containers.

    Args:
        stream: of the SDK.
    """

    def __init__(self, stream: CancellableStream[Any]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[None]:
        """Yield once for each event, until the connection ends or `close` is called by another thread."""
        with contextlib.suppress(*_BROKEN, ValueError, AttributeError):
            for _ in self._stream:
                yield

    def close(self) -> None:
        """End the subscription."""
        with contextlib.suppress(*_BROKEN, AttributeError):  # AttributeError: it was read to its end
            self._stream.close()


@contextlib.contextmanager
def _answering(settings: DockerProvider) -> Iterator[None]:
    """Turn the SDK's errors for an engine that does not answer into a BlockError; refusals pass through."""
    try:
        yield
    except docker.errors.APIError:
        raise
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        _close_sockets_of(error)
        which = f" at {settings.host}" if settings.host else ""
        raise BlockError(
            f"The Docker engine{which} does not answer: {_words(error)}\nStart it (e.g. sudo systemctl start docker), "
            f"see that this user may use it (group docker), or name another in DOCKER_HOST or DockerProvider(host).",
        ) from error


def _words(error: BaseException) -> str:
    """Return an engine's own words, without the SDK's HTTP around them."""
    explanation = error.explanation if isinstance(error, docker.errors.APIError) else None
    return str(explanation or error)


def _close_sockets_of(error: BaseException | None) -> None:
    """Close the socket that the SDK leaves open when no engine answers: only its dead frames still hold it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _post(client: docker.DockerClient, container: str, what: str, options: dict[str, str | int]) -> requests.Response:
    """Return the engine's response with its body unread: once the head is here, the engine has registered the wish."""
    url = f"{client.api.base_url}/v{client.api.api_version}/containers/{container}/{what}"
    response = client.api.post(url, params=options, stream=True, timeout=None)
    try:
        response.raise_for_status()
    except requests.HTTPError:
        response.close()
        raise
    return response
