"""The provider: one container per block, followed while it runs, removed by the engine itself when it ends."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import requests.exceptions

from cnflow.capsule import MARKED_ROOT, Kind, capsule_tar
from cnflow.ids import NativeId
from cnflow.model.block import BlockRequest, BlockState, BlockStatus
from cnflow.providers._shared.exit_status import ending
from cnflow.providers.docker import networking
from cnflow.providers.docker.client import connect, create, discard, rejecting, removed_on_failure
from cnflow.providers.docker.container import Follower, Running
from cnflow.providers.docker.images import Found, find
from cnflow.providers.docker.requests import DELIVERED_ROOT, RUN_LABEL, create_arguments, refuse, settings_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from cnflow.config import DockerProvider

logger = logging.getLogger(__name__)

_GRACE = 2.0
_REMOVAL = 10.0
_KILLED = 137
_ABANDONED = 300.0

# https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList
_STATES: Mapping[str, BlockState] = {
    "created": BlockState.PENDING,
    "running": BlockState.RUNNING,
    "paused": BlockState.RUNNING,
    "restarting": BlockState.RUNNING,
    "removing": BlockState.ENDED,
    "exited": BlockState.ENDED,
    "dead": BlockState.FAILED,
}


class DockerBackend:
    """Starts managers in containers. A native id is the container's. Connects to the engine when it is first asked.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules and probes are kept; None decides by `cnflow.capsule.default_cache_dir`.
        capsule: makes the tar that is unpacked in a container, or takes it from the cache.
    """

    runs_images = True
    poll_period = 1.0

    def __init__(
        self,
        settings: DockerProvider,
        *,
        cache_dir: Path | None = None,
        capsule: Callable[[Kind, Path | None], Path] = capsule_tar,
    ) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._capsule = capsule
        self._connected: docker.DockerClient | None = None
        self._found: dict[str, Found] = {}
        self._followers: dict[NativeId, Follower] = {}

    def endpoint_hosts(self) -> Collection[str]:
        """The gateway of the containers' network where the engine runs here, else all addresses of this machine."""
        return networking.endpoint_hosts(self._client(), self._settings)

    def prepare(self, image: str) -> str:
        """Find, pull by the policy, and probe *image*, and have its capsule ready; returns the image's id."""
        refuse(image, self._settings)
        remove_abandoned(self._client(), self._settings)
        found = find(self._client(), image, self._settings, self._cache_dir)
        if not found.holds_capsule:
            self._capsule(found.kind, self._cache_dir)
        self._found[image] = found
        return found.id

    def submit(self, request: BlockRequest) -> NativeId:
        """Create a container, deliver capsule and settings into it, follow it, and start it.

        Raises:
            BlockRejectedError: in the engine's own words; no container is left.
        """
        if request.image not in self._found:
            self.prepare(request.image)
        found = self._found[request.image]
        client = self._client()
        root = MARKED_ROOT if found.holds_capsule else DELIVERED_ROOT
        arguments = create_arguments(request, self._settings, found.probe, image_id=found.id, root=root)
        container = create(client, arguments, self._settings)
        with removed_on_failure(client, container):
            self._deliver(container, request, found)
            native = NativeId(container)
            self._followers[native] = self._start(container, request)
            return native

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """What followed containers ended with, and one query for the others."""
        with rejecting("list its containers", self._settings):
            listed = self._client().api.containers(all=True, filters={"label": RUN_LABEL})
        there = {NativeId(str(one["Id"])): one for one in listed}
        return {block: self._status(block, there.get(block)) for block in blocks}

    def cancel(self, blocks: Collection[NativeId]) -> None:
        """Ask all containers to end, kill those that live 2 s later, and see that each is removed.

        Starts no thread, since it may be called while the interpreter shuts down.
        """
        with rejecting("remove a container", self._settings):
            for block in blocks:
                with contextlib.suppress(docker.errors.APIError):  # it ended, or never started
                    self._client().api.kill(block, "SIGTERM")
            deadline = time.monotonic() + _GRACE
            for block in blocks:
                self._await_removal(block, deadline - time.monotonic())
            for block in blocks:
                discard(self._client(), block)
            for block in blocks:
                if not self._await_removal(block, _REMOVAL):
                    logger.warning("container %s is still being removed after %.0f s", block[:12], _REMOVAL)
        for block in blocks:
            follower = self._followers.pop(block, None)
            if follower is not None and not follower.wait(1.0):
                follower.close()

    def close(self) -> None:
        """Stop following containers, which run on, and end the connection."""
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _client(self) -> docker.DockerClient:
        if self._connected is None:
            self._connected = connect(self._settings)
        return self._connected

    def _deliver(self, container: str, request: BlockRequest, found: Found) -> None:
        api = self._client().api
        with rejecting("take files into a container", self._settings):
            api.put_archive(container, "/", settings_archive(request.manager.to_json(), found.probe))
            if not found.holds_capsule:
                with self._capsule(found.kind, self._cache_dir).open("rb") as tar:
                    api.put_archive(container, DELIVERED_ROOT, tar)

    def _start(self, container: str, request: BlockRequest) -> Follower:
        with rejecting("start a container", self._settings):
            running = Running(self._client(), container, terminal=bool(self._settings.create.get("tty")))
            try:
                self._client().api.start(container)
            except BaseException:
                running.close()
                raise
        return Follower(running, request.log_file)

    def _status(self, block: NativeId, listed: Mapping[str, Any] | None) -> BlockStatus:
        follower = self._followers.get(block)
        if listed is not None and (follower is None or _STATES.get(listed["State"]) is not BlockState.ENDED):
            return listed_status(str(listed["State"]), str(listed["Status"]))
        if follower is None:
            return BlockStatus(BlockState.GONE)
        if not follower.wait(_REMOVAL) or follower.exit_code is None:
            return BlockStatus(BlockState.GONE, "The connection that told of its end was lost.")
        return ending(follower.exit_code, follower.log_file, self._hint(follower.exit_code))

    def _hint(self, exit_code: int) -> str:
        if exit_code != _KILLED:
            return ""
        limit = f"memory={self._settings.memory!r}" if self._settings.memory else "the machine's memory"
        return f"by hand, or by the kernel for using more than {limit}"

    def _await_removal(self, block: NativeId, seconds: float) -> bool:
        """Whether *block* is gone within *seconds*."""
        if seconds <= 0:
            return False
        try:
            self._client().api.wait(block, timeout=math.ceil(seconds), condition="removed")
        except docker.errors.NotFound:
            return True
        except (requests.exceptions.Timeout, requests.exceptions.ConnectionError):
            return False  # urllib3 tells of a timeout while reading in either way
        return True


def remove_abandoned(client: docker.DockerClient, settings: DockerProvider) -> None:
    """Remove containers that a driver created and was killed before it could start; all others remove themselves."""
    with rejecting("list its containers", settings):
        created = client.api.containers(all=True, filters={"label": RUN_LABEL, "status": "created"})
        for container in abandoned(created, seconds_of(str(client.info()["SystemTime"]))) if created else ():
            discard(client, container)


def abandoned(created: Collection[Mapping[str, Any]], now: float) -> list[str]:
    """Ids of the containers, of those *created* and not started, that no driver can be about to start any more.

    Args:
        created: as listed by the engine.
        now: the engine's own time, which need not be this machine's; seconds since 1970.
    """
    return [str(one["Id"]) for one in created if now - float(one["Created"]) >= _ABANDONED]


def seconds_of(time: str) -> float:
    """Seconds since 1970 of an engine's time (RFC 3339, which Python reads from 3.11 on), to the second."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", time).replace("Z", "+00:00")).timestamp()


def listed_status(state: str, words: str) -> BlockStatus:
    """Status of a container that the engine still lists; *words* are such as ``Exited (1) 3 seconds ago``."""
    known = _STATES.get(state, BlockState.PENDING)
    code = re.match(r"Exited \((\d+)\)", words)
    if known is BlockState.ENDED and code and code[1] != "0":
        known = BlockState.FAILED
    return BlockStatus(known, words if known is BlockState.FAILED else "")
