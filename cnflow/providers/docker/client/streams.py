"""Connections to an engine that stay open: to the output and the end of a container, and to the ends of all."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import requests
import urllib3.exceptions
from docker.types import CancellableStream

if TYPE_CHECKING:
    from collections.abc import Iterator

# Raised by the SDK's layers when a connection that is read from breaks, or is closed.
_BROKEN = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

# https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach (Stream format)
_FRAME = struct.Struct(">BxxxL")
END_EVENTS = ("die", "destroy", "died", "remove")
"""Events of a container that ends, by the names that the filters of Docker, and then those of Podman, take."""

REMOVED = "removed"
"""Condition of a ``wait`` that ends once the container is removed."""


class Attached:
    """Two connections to one container, made before it starts: its output, and its exit code.

    An engine that removes a container by itself reports the exit code only to a connection that waited for it from
    before. The SDK's own `wait` and `attach` return when all is over, or leave their socket open; so this class asks
    for both by itself.

    Args:
        client: of the engine.
        container: created, not started.
        condition: what the wait for the exit code waits for; see `Dialect.exit_condition`.
        has_terminal: the container was created with a terminal, which changes the format of its output.
    """

    def __init__(self, client: docker.DockerClient, container: str, condition: str, *, has_terminal: bool) -> None:
        self._client = client
        self._container = container
        self._condition = condition
        self._has_terminal = has_terminal
        self._waiting = _post(client, container, "wait", {"condition": condition})
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
            code = int(json.loads(self._waiting.content)["StatusCode"])
        except (*_BROKEN, ValueError, KeyError):
            return None
        if self._condition != REMOVED:
            self._await_removal()
        return code

    def interrupt(self) -> None:
        """End another thread's reading at once; the container runs on."""
        for response in (self._output, self._waiting):
            with contextlib.suppress(*_BROKEN, AttributeError):  # AttributeError: it was read to its end
                CancellableStream(iter(()), response).close()

    def close(self) -> None:
        """Close both connections; for the thread that reads them."""
        self._output.close()
        self._waiting.close()

    def _await_removal(self) -> None:
        """Wait until the engine has removed a container that ended; returns at once if it has, or does not answer."""
        self._waiting.close()
        with contextlib.suppress(*_BROKEN):
            self._waiting = _post(self._client, self._container, "wait", {"condition": REMOVED})
            self._waiting.content  # noqa: B018 - its end is the container's


class Events:
    """Subscription to the ends of containers.

    Args:
        stream: of the SDK.
        label: name of the label by which containers are chosen; Podman's own filter wants a value, too.
    """

    def __init__(self, stream: CancellableStream[Any], label: str) -> None:
        self._stream = stream
        self._label = label

    def __iter__(self) -> Iterator[None]:
        """Yield once for each event, until the connection ends or `close` is called by another thread."""
        with contextlib.suppress(*_BROKEN, ValueError, AttributeError):
            for event in self._stream:
                if self._label in (event.get("Actor") or {}).get("Attributes", {}):
                    yield

    def close(self) -> None:
        """End the subscription."""
        with contextlib.suppress(*_BROKEN, AttributeError):  # AttributeError: it was read to its end
            self._stream.close()


def _post(client: docker.DockerClient, container: str, what: str, options: dict[str, str | int]) -> requests.Response:
    """Return the engine's response with its body unread: once the head is here, the engine has registered the wish."""
    url = f"{client.api.base_url}/v{client.api.api_version}/containers/{container}/{what}"
    response = client.api.post(url, params=options, stream=True, timeout=None)
    try:
        response.raise_for_status()
    except requests.HTTPError as error:  # Podman prepares a container when it is attached to, and finds what is wrong
        raise docker.errors.create_api_error_from_http_exception(error) from error
    return response
