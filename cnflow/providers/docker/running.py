"""A container that is followed: what it prints as it prints it, and its exit code once it is removed."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions
from docker.types import CancellableStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the SDK's layers raise when a connection that is read from breaks or is closed.
_BROKEN = (docker.errors.DockerException, requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)


class Running:
    """The two connections that tell of one container; made before it starts, so that nothing is missed.

    An engine that removes a container by itself tells its exit code only to who waited for it from before.
    """

    def __init__(self, client: docker.DockerClient, container: str) -> None:
        api = client.api
        # `api.wait` would read the answer, which comes at the end; the engine registers the wait with the first bytes.
        url = f"{api.base_url}/v{api.api_version}/containers/{container}/wait"
        self._waiting = api.post(url, params={"condition": "removed"}, stream=True, timeout=None)
        try:
            self._waiting.raise_for_status()
            self._output: CancellableStream[bytes] = api.attach(container, stream=True)
        except BaseException:
            self._waiting.close()
            raise

    def output(self) -> Iterator[bytes]:
        """What it prints, until it ends or the connection does."""
        with contextlib.suppress(*_BROKEN):
            yield from self._output

    def exit_code(self) -> int | None:
        """Its exit code, once it is removed; None when the connection ends before."""
        try:
            return int(json.loads(self._waiting.content)["StatusCode"])
        except (*_BROKEN, ValueError, KeyError):
            return None

    def close(self) -> None:
        """End both connections, also while another thread reads from them; the container runs on."""
        for stream in (self._output, CancellableStream(iter(()), self._waiting)):
            with contextlib.suppress(*_BROKEN, AttributeError):  # AttributeError: it was read to its end
                stream.close()


class Follower:
    """Appends what a container prints to a file, from a thread of its own, and keeps its exit code."""

    def __init__(self, running: Running, log_file: Path) -> None:
        self.log_file = log_file
        self.exit_code: int | None = None
        self._running = running
        self._thread = threading.Thread(target=self._follow, name=f"follow {log_file.name}", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Whether all that there is to know came within *timeout* seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop following."""
        self._running.close()
        self.wait(1.0)

    def _follow(self) -> None:
        with self.log_file.open("ab", buffering=0) as log:
            for chunk in self._running.output():
                log.write(chunk)
        self.exit_code = self._running.exit_code()
