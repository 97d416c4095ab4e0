"""A container that is followed: what it prints as it prints it, and its exit code once it is removed."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from typing import TYPE_CHECKING

import docker
import docker.errors
import requests
import urllib3.exceptions
from docker.types import CancellableStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the SDK's layers raise when a connection that is read from breaks or is closed.
_BROKEN = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

# https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach (Stream format)
_FRAME = struct.Struct(">BxxxL")


class Running:
    """The two connections that tell of one container; made before it starts, so that nothing is missed.

    An engine that removes a container by itself tells its exit code only to who waited for it from before. The SDK's
    own `wait` and `attach` return when all is over, or leave their socket open; so both are asked for here.

    Args:
        client: the engine's.
        container: created, not started.
        terminal: whether it was created with a terminal, which changes the format of its output.
    """

    def __init__(self, client: docker.DockerClient, container: str, *, terminal: bool = False) -> None:
        self._terminal = terminal
        self._waiting = _ask(client, container, "wait", {"condition": "removed"})
        try:
            self._output = _ask(client, container, "attach", {"stdout": 1, "stderr": 1, "stream": 1})
        except BaseException:
            self._waiting.close()
            raise

    def output(self) -> Iterator[bytes]:
        """What it prints, until it ends or the connection does."""
        with contextlib.suppress(*_BROKEN, ValueError):  # ValueError: closed by another thread
            if self._terminal:
                yield from self._output.raw.stream(1)
                return
            while len(head := self._output.raw.read(_FRAME.size)) == _FRAME.size:
                yield self._output.raw.read(_FRAME.unpack(head)[1])

    def exit_code(self) -> int | None:
        """Its exit code, once it is removed; None when the connection ends before."""
        try:
            return int(json.loads(self._waiting.content)["StatusCode"])
        except (*_BROKEN, ValueError, KeyError):
            return None

    def interrupt(self) -> None:
        """Make another thread's reading end at once; the container runs on."""
        for response in (self._output, self._waiting):
            with contextlib.suppress(*_BROKEN, AttributeError):  # AttributeError: it was read to its end
                CancellableStream(iter(()), response).close()

    def close(self) -> None:
        """Let go of both connections; for the thread that reads them."""
        self._output.close()
        self._waiting.close()


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
        if self._thread.is_alive():
            self._running.interrupt()
            self.wait(1.0)

    def _follow(self) -> None:
        try:
            with self.log_file.open("ab", buffering=0) as log:
                for chunk in self._running.output():
                    with contextlib.suppress(OSError):  # a full disk takes the log, not what is known of its end
                        log.write(chunk)
            self.exit_code = self._running.exit_code()
        finally:
            self._running.close()


def _ask(client: docker.DockerClient, container: str, what: str, options: dict[str, str | int]) -> requests.Response:
    """The engine's answer, of which only the head is read yet: with it, the engine has registered what was asked."""
    url = f"{client.api.base_url}/v{client.api.api_version}/containers/{container}/{what}"
    response = client.api.post(url, params=options, stream=True, timeout=None)
    try:
        response.raise_for_status()
    except requests.HTTPError:
        response.close()
        raise
    return response
