"""Sends HTTP requests to a server on this machine over connections that stay open, and checks each answer; bounded.

::

    closed loop (rate 0): each connection sends its next request when the last is answered: how much a server can do
    open loop (rate N):   requests are due at a fixed rate, and their latency counts from then: how long callers wait,
                          also while the server stalls (https://www.scylladb.com/2021/04/22/on-coordinated-omission/)

One thread, one selector: 20,000 requests a second and more of one core, whose share each figure tells.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import math
import selectors
import socket
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LONGEST = 600.0
_RECEIVED = 1 << 16


class Target(NamedTuple):
    """What is sent where."""

    url: str
    """``http://127.0.0.1:PORT/PATH``; only loopback is allowed."""

    bodies: Sequence[bytes]
    """Sent in turns; an empty one is a GET."""

    headers: Mapping[str, str] = {}


class Plan(NamedTuple):
    """How much is sent; it ends at the first of both bounds."""

    connections: int = 8
    seconds: float = 5.0
    requests: int = sys.maxsize
    rate: float = 0.0
    """Requests a second of an open loop; 0 for a closed one."""

    timeout: float = 30.0
    """Seconds after which a request that is not answered has failed."""


@dataclass
class Figures:
    """What came back."""

    answered: int = 0
    seconds: float = 0.0
    own_seconds: float = 0.0
    """Processor time of the generator itself."""

    latencies: array[float] = field(default_factory=lambda: array("d"))
    """Seconds of each good answer, in order of arrival."""

    failures: Counter[str] = field(default_factory=Counter)
    """Number of failed requests by what was wrong."""

    @property
    def failed(self) -> int:
        """Number of requests that failed."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Latency in seconds within which *share* (0.99) of the good answers came; NaN if there are none."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan

    def summary(self) -> dict[str, object]:
        """Figures as they are printed and compared."""
        ordered = sorted(self.latencies)
        at = {
            f"p{share:g}_ms": round(1e3 * ordered[int(share / 100 * (len(ordered) - 1))], 3)
            for share in (50, 90, 99, 99.9)
            if ordered
        }
        whole: dict[str, object] = {"answered": self.answered, "failed": self.failed, "per_s": round(self.rate, 1)}
        return {
            **whole,
            **at,
            "max_ms": round(1e3 * ordered[-1], 3) if ordered else None,
            "failures": dict(self.failures),
        }


class _Connection:
    """One connection, with at most one request on its way."""

    def __init__(self, generator: Generator) -> None:
        self._of = generator
        self.socket: socket.socket | None = None
        self.index = -1
        """Index of the body that is on its way; -1 for none."""
        self.due = 0.0
        self.deadline = 0.0
        self._received = bytearray()

    def send(self, index: int, due: float, now: float) -> None:
        """Send a request that was *due*; connects first where that is needed."""
        self.index, self.due, self.deadline = index, due, now + self._of.plan.timeout
        self._received.clear()
        try:
            if self.socket is None:
                self._connect()
            assert self.socket is not None
            self.socket.sendall(self._of.requests[index])
        except OSError as error:
            self._fail(type(error).__name__)

    def on_readable(self, now: float) -> None:
        """Read what has come; finish the request when its answer is whole."""
        assert self.socket is not None
        try:
            data = self.socket.recv(_RECEIVED)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            self._fail(type(error).__name__)
            return
        if not data:
            self._fail("closed before an answer" if not self._received else "closed within an answer")
            return
        self._received += data
        while self.index >= 0 and (parsed := _parse(self._received)) is not None:
            status, body, closes = parsed
            self._finish(status, body, now)
            if closes:
                self.close()
            return

    def on_tick(self, now: float) -> None:
        """Give up a request that is too late."""
        if self.index >= 0 and now > self.deadline:
            self._fail("no answer in time")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.socket is not None:
            self._of.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None

    def _connect(self) -> None:
        opened = socket.create_connection(self._of.address, timeout=self._of.plan.timeout)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._of.tls is not None:
            opened = self._of.tls.wrap_socket(opened, server_hostname=self._of.address[0])
        self.socket = opened
        self._of.selector.register(opened, selectors.EVENT_READ, self)

    def _finish(self, status: int, body: bytes, now: float) -> None:
        index, self.index = self.index, -1
        self._of.on_answer(self, index, status, body, now - self.due)

    def _fail(self, why: str) -> None:
        self.close()
        if self.index >= 0:  # else the server closed an idle connection, as it may
            self.index = -1
            self._of.on_failure(self, why)


class Generator:
    """Sends the requests of one `Plan`; `run` may be called in a thread, and `stop` from another."""

    def __init__(
        self, target: Target, plan: Plan, check: Callable[[int, int, bytes], str] | None = None, ca: str = ""
    ) -> None:
        parts = urlsplit(target.url)
        if parts.hostname is None or not _is_loopback(parts.hostname):
            message = f"Load is sent to this machine alone, not to {parts.hostname}."
            raise ValueError(message)
        self.plan = plan._replace(seconds=min(plan.seconds, _LONGEST))
        self.address = (parts.hostname, parts.port or 80)
        self.tls = ssl.create_default_context(cafile=ca or None) if parts.scheme == "https" else None
        self.requests = [_request(parts.netloc, parts.path, body, target.headers) for body in target.bodies]
        self.selector = selectors.DefaultSelector()
        self.figures = Figures()
        self._check = check or _is_good
        self._idle: deque[_Connection] = deque()
        self._sent = 0
        self._stopped = False

    def stop(self) -> None:
        """Send no more; `run` returns when all that was sent is answered."""
        self._stopped = True

    def run(self) -> Figures:
        """Send all, wait for the last answers, and return the figures."""
        connections = [_Connection(self) for _ in range(self.plan.connections)]
        self._idle.extend(connections)
        began, own = time.monotonic(), time.thread_time()
        ends = began + self.plan.seconds
        ticked = now = began
        while True:
            self._send_due(began, now, ends)
            if len(self._idle) == len(connections) and self._is_over(now, ends):
                break
            for key, _ in self.selector.select(self._pause(began, now)):
                key.data.on_readable(time.monotonic())
            now = time.monotonic()
            if now > ticked + 0.1:
                ticked = now
                for connection in connections:
                    connection.on_tick(now)
        self.figures.seconds = time.monotonic() - began
        self.figures.own_seconds = time.thread_time() - own
        for connection in connections:
            connection.close()
        self.selector.close()
        return self.figures

    def on_answer(self, connection: _Connection, index: int, status: int, body: bytes, seconds: float) -> None:
        """Count an answer; *connection* is idle."""
        self.figures.answered += 1
        if wrong := self._check(index, status, body):
            self.figures.failures[wrong] += 1
        else:
            self.figures.latencies.append(seconds)
        self._idle.append(connection)

    def on_failure(self, connection: _Connection, why: str) -> None:
        """Count a request that got no answer; *connection* is idle."""
        self.figures.failures[why] += 1
        self._idle.append(connection)

    def _send_due(self, began: float, now: float, ends: float) -> None:
        for _ in range(len(self._idle)):
            due = began + self._sent / self.plan.rate if self.plan.rate else now
            if self._is_over(now, ends) or due > now:
                return
            index = self._sent % len(self.requests)
            self._sent += 1
            self._idle.popleft().send(index, due, now)

    def _is_over(self, now: float, ends: float) -> bool:
        return self._stopped or now >= ends or self._sent >= self.plan.requests

    def _pause(self, began: float, now: float) -> float:
        if not self.plan.rate or not self._idle:
            return 0.1
        return min(0.1, max(0.0, began + self._sent / self.plan.rate - now))


def _request(host: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"{'POST' if body else 'GET'} {path or '/'} HTTP/1.1", f"Host: {host}"]
    if body:
        lines += [f"Content-Length: {len(body)}"]
        if "content-type" not in {name.lower() for name in headers}:
            lines += ["Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _parse(received: bytearray) -> tuple[int, bytes, bool] | None:
    """Return status, body and whether the connection ends of a whole answer; None if more must come."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    closes = b"\r\nconnection: close" in head
    status = int(head[9:12])
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        stop = head.find(b"\r\n", at + 2)
        length = int(head[at + 17 : stop if stop >= 0 else None])
        return (
            (status, bytes(received[end + 4 : end + 4 + length]), closes) if len(received) >= end + 4 + length else None
        )
    if b"\r\ntransfer-encoding: chunked" in head:
        return (status, _unchunked(bytes(received[end + 4 :])), closes) if received.endswith(b"0\r\n\r\n") else None
    return status, b"", closes


def _unchunked(data: bytes) -> bytes:
    parts = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        parts.append(data[:length])
        data = data[length + 2 :]
    return b"".join(parts)


def _is_good(index: int, status: int, body: bytes) -> str:
    del index
    return "" if status == 200 else f"{status} {body[:80]!r}"  # noqa: PLR2004 - OK


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> int:
    """``python -m benchmarks.serving.load URL``: send a load and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, help="file with the body of each request")
    parser.add_argument("--connections", type=int, default=Plan().connections)
    parser.add_argument("--seconds", type=float, default=Plan().seconds)
    parser.add_argument("--requests", type=int, default=Plan().requests)
    parser.add_argument("--rate", type=float, default=0.0)
    options = parser.parse_args()
    target = Target(options.url, [options.body.read_bytes() if options.body else b""])
    figures = Generator(target, Plan(options.connections, options.seconds, options.requests, options.rate)).run()
    print(json.dumps({**figures.summary(), "own_share": round(figures.own_seconds / figures.seconds, 2)}))
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main())
