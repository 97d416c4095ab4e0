"""Asks an engine and gives it orders.

::

    Engine(settings) ── connected ──> images, networks, containers      answers, or raises:
        │                                   BlockError            the engine does not answer
        │                                   BlockRejectedError    it refuses; holds its own words
        ├── attach(container) ──> Attached: output while it runs, exit code once it is removed
        └── events() ───────────> Events: one item for each container that ends
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
import docker.errors
import docker.models.containers as sdk
import requests.exceptions

from cnflow.addresses import is_loopback
from cnflow.errors import BlockRejectedError
from cnflow.providers.docker.client.failures import answering, is_gone, words_of
from cnflow.providers.docker.client.mounts import MountSources
from cnflow.providers.docker.client.streams import END_EVENTS, Attached, Events
from cnflow.providers.docker.dialect import adapt, bind_sources, dialect_of, short_name
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from cnflow.config import DockerProvider
    from cnflow.config.engines import EngineAddress


_KNOWN = frozenset(
    {*sdk.RUN_CREATE_KWARGS, *sdk.RUN_HOST_CONFIG_KWARGS, "network", "networking_config", "ports", "volumes"},
)
_CONFLICT = 409
_PAUSES = (0.1, 0.3, 0.0)
"""Seconds before a removal that failed is tried again: Podman's fails where the container ends at that moment."""


class Engine:
    """A connected engine.

    Args:
        settings: name the engine; its options are quoted in errors.

    Raises:
        BlockError: the engine does not answer.
        BlockRejectedError: it is another one than the settings ask for.
    """

    def __init__(self, settings: DockerProvider) -> None:
        self.settings = settings
        self.address = settings.engine_address()
        with answering(self.address):
            self.sdk = _connect(self.address)
            try:
                version = self.sdk.version()
            except BaseException:
                self.sdk.close()
                raise
        self.version = str(version.get("Version", ""))
        """The engine's version."""

        self.dialect = dialect_of(version)
        self._sources = MountSources(self.sdk)
        if self.address.engine not in {None, self.dialect.engine}:
            self.sdk.close()
            otherwise = f"leave out engine={settings.engine!r}" if settings.engine else f"unset {self.address.source}"
            raise BlockRejectedError(
                f"The engine at {self.address.url} ({self.address.source}) is a {self.dialect.noun}, and a "
                f"{self.address.noun} was asked for. Name that one's address in DockerProvider(host), or {otherwise}."
            )

    # The engine itself

    @property
    def is_local(self) -> bool | None:
        """True if the engine runs here; None if its address is a loopback port, behind which any machine may be."""
        where = str(self.sdk.api.base_url)
        if where.startswith("http+docker://"):  # the SDK's word for a socket file, a named pipe, or ssh
            return not where.endswith("//ssh")
        return None if is_loopback(urlsplit(where).hostname or "") else False

    def info(self) -> Mapping[str, Any]:
        """Return the engine's description of itself."""
        with self.rejecting("describe itself"):
            info: Mapping[str, Any] = self.sdk.info()
            return info

    def network_names(self) -> list[str]:
        """Return the names of its networks."""
        with self.rejecting("list its networks"):
            return sorted(str(one["Name"]) for one in self.sdk.api.networks())

    def inspect_network(self, name: str) -> Mapping[str, Any] | None:
        """Return the description of a network; None if there is none of this name."""
        with self.rejecting("describe its network"):
            try:
                found: Mapping[str, Any] = self.sdk.api.inspect_network(name)
            except docker.errors.NotFound:
                return None
            return found

    def close(self) -> None:
        """Close the connection."""
        self.sdk.close()

    # Images

    def image_id(self, image: str) -> str:
        """Return the id of a local image; empty if there is none of this name."""
        with self.rejecting(f"look for image {image!r}"):
            try:
                return str(self.sdk.images.get(image).id)
            except docker.errors.NotFound:
                return ""

    def inspect_image(self, image_id: str) -> Mapping[str, Any]:
        """Return the description of a local image."""
        with self.rejecting(f"describe image {image_id!r}"):
            attributes: Mapping[str, Any] = self.sdk.images.get(image_id).attrs
            return attributes

    def image_config(self, image_id: str) -> Mapping[str, Any]:
        """Return the configuration of a local image: user, variables, working directory."""
        config: Mapping[str, Any] = self.inspect_image(image_id).get("Config") or {}
        return config

    def image_machine(self, image_id: str) -> str:
        """Return the architecture of a local image, as a kernel names it."""
        with self.rejecting(f"describe image {image_id!r}"):
            architecture = str(self.sdk.images.get(image_id).attrs.get("Architecture", ""))
            return {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)

    def image_names(self) -> list[str]:
        """Return the names of all local images, as they may be written."""
        with self.rejecting("list its images"):
            tags = [str(name) for image in self.sdk.api.images() for name in image.get("RepoTags") or []]
        return sorted(map(short_name, tags))

    def pull(self, image: str, platform: str | None, credentials: Mapping[str, str] | None = None) -> str:
        """Pull an image; return the engine's words if that failed, else an empty string.

        Without *credentials* those of the user's Docker configuration are used.
        """
        login = None if credentials is None else dict(credentials)
        with answering(self.address, self.dialect.noun):
            try:
                events = self.sdk.api.pull(image, stream=True, decode=True, platform=platform, auth_config=login)
                return next((str(event["error"]) for event in events if "error" in event), "")
            except docker.errors.APIError as error:
                return words_of(error)

    # Containers

    def create(self, arguments: Mapping[str, Any]) -> str:
        """Create a container without starting it, and return its id.

        Raises:
            BlockRejectedError: the engine or its SDK refuses; nothing was created.
        """
        mounts = bind_sources(arguments) if self.dialect.makes_mount_sources and self.is_local else []
        self._sources.refuse_missing(mounts)
        container = self._create(adapt(arguments, self.dialect))
        with self.remove_on_failure(container), self.rejecting("describe a folder of a container"):
            self._sources.refuse_others(container, mounts)
        return container

    def unpack(self, container: str, folder: str, tar: bytes | IO[bytes]) -> None:
        """Unpack *tar* in *folder* of a container."""
        with self.rejecting("take files into a container"):
            self.sdk.api.put_archive(container, folder, tar)

    def start(self, container: str) -> None:
        """Start a container that was created."""
        with self.rejecting("start a container"):
            self.sdk.api.start(container)

    def containers(self, **filters: str | list[str]) -> list[Mapping[str, Any]]:
        """Return the listed containers, in any state, that *filters* fit, such as ``label=[...]``."""
        with self.rejecting("list its containers"):
            listed: list[Mapping[str, Any]] = self.sdk.api.containers(all=True, filters=filters)
            return listed

    def last_lines(self, container: str, lines: int) -> bytes:
        """Return the last lines that a container printed; empty if it is gone."""
        with self.rejecting("read a container's output"):
            try:
                return bytes(self.sdk.api.logs(container, tail=lines))
            except docker.errors.APIError as error:
                if not is_gone(error):
                    raise
                return b""

    def terminate(self, container: str) -> None:
        """Send SIGTERM to a container; one that does not run is left as it is."""
        with answering(self.address, self.dialect.noun), contextlib.suppress(docker.errors.APIError):
            self.sdk.api.kill(container, "SIGTERM")

    def remove(self, container: str) -> None:
        """Remove a container in any state; one that is gone already, or being removed, is no error."""
        with self.rejecting("remove a container"):
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
        with self.rejecting("report the end of a container"):
            try:
                self.sdk.api.wait(container, timeout=math.ceil(seconds), condition="removed")
            except docker.errors.APIError as error:
                if not is_gone(error):
                    raise
            except (requests.exceptions.Timeout, requests.exceptions.ConnectionError):
                return False  # urllib3 raises either for a timeout while reading
        return True

    def attach(self, container: str, *, has_terminal: bool = False) -> Attached:
        """Attach to a container that was created and not started, so that nothing is missed."""
        with self.rejecting("attach to a container"):
            return Attached(self.sdk, container, self.dialect.exit_condition, has_terminal=has_terminal)

    def events(self, label: str) -> Events:
        """Subscribe to the ends of containers with *label*."""
        with self.rejecting("send its events"):
            filters = {"type": "container", "event": list(END_EVENTS)}
            return Events(self.sdk.events(decode=True, filters=filters), label)

    def _create(self, arguments: Mapping[str, Any]) -> str:
        try:
            with self.rejecting("create a container"):
                return str(self.sdk.containers.create(**arguments).id)
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

    def _remove(self, container: str) -> None:
        for pause in _PAUSES:
            try:
                self.sdk.api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                if (
                    is_gone(error) or error.status_code == _CONFLICT
                ):  # "removal of container ... is already in progress"
                    return
                if not pause:
                    raise
                time.sleep(pause)
            else:
                return

    @contextlib.contextmanager
    def rejecting(self, what: str) -> Iterator[None]:
        """Turn an engine's refusal to do *what* into a BlockRejectedError with its own words."""
        try:
            with answering(self.address, self.dialect.noun):
                yield
        except docker.errors.APIError as error:
            raise BlockRejectedError(f"The {self.dialect.noun} refused to {what}: {words_of(error)}") from error


def _connect(address: EngineAddress) -> docker.DockerClient:
    """Connect to *address*; with what DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, if it is DOCKER_HOST's."""
    return docker.from_env() if address.source == "DOCKER_HOST" else docker.DockerClient(base_url=address.url)
