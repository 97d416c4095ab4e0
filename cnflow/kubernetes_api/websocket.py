"""WebSocket to an API server, for `exec` and `portforward`. Standard library only: a process of its own starts fast.

::

    StreamAddress, path ──connect──> TCP, TLS ── GET, Upgrade ──> 101: WebSocket ── send ──> server
                                                      │                         <── receive ──
                                                      └──> else UpgradeRefusedError: the server's status and words

Each message begins with the number of its channel: 0 stdin, 1 stdout, 2 stderr, 3 the end of the command. In version 5
of the protocol, channel 255 closes another one, so that a command sees the end of its stdin
(https://kubernetes.io/docs/concepts/cluster-administration/kubelet-streaming, KEP-4006).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import socket
import ssl
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cnflow.kubernetes_api.frames import FrameReader, Opcode, ProtocolError, WebSocketMessage, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from urllib.parse import SplitResult

STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
EXEC_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""Version 5 is of Kubernetes 1.30; before, a command's stdin ends with the whole connection."""

SUCCESS = b'{"status": "Success"}'
"""Status of a command that ended with exit code 0."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK = 256 * 1024
_SWITCHING = 101
_OK = 200
_LONGEST_HEAD = _LONGEST_BODY = 65536


@dataclass(frozen=True)
class StreamAddress:
    """Address of an API server, with the user's credentials. Passed on by a pipe, never in an argument vector."""

    server: str
    """``https://host:port``, perhaps with the path of a proxy."""

    headers: dict[str, str] = field(default_factory=dict)
    """Such as ``Authorization``."""

    ca_file: str | None = None
    """Certificates to trust; None are the system's."""

    cert_file: str | None = None
    key_file: str | None = None
    is_verified: bool = True
    """False trusts any server."""

    server_name: str | None = None
    """Name in the server's certificate, where it is another than in `server`."""

    proxy: str | None = None
    """``http://host:port`` of a proxy for HTTP's CONNECT."""

    def to_json(self) -> str:
        """Text for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StreamAddress:
        """Parse the text of `to_json`."""
        return cls(**json.loads(text))


class UpgradeRefusedError(Exception):
    """The server answered, and opened no stream.

    Attributes:
        status: HTTP status.
        body: of the answer: a ``Status`` object as JSON, or whatever a proxy sends.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP status {status}: {_message_of(body)}")
        self.status = status
        self.body = body


def connect(address: StreamAddress, path: str, protocols: Sequence[str], timeout: float) -> WebSocket:
    """Open a stream.

    Args:
        address: of the API server.
        path: with the query, relative to the server's.
        protocols: that the client speaks, by preference.
        timeout: seconds for each step.

    Raises:
        UpgradeRefusedError: the server refused.
        OSError: it was not reached, or is not the one that its certificate should name.
    """
    parts = urlsplit(address.server)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    raw = _dial(host, port, address.proxy, timeout)
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            raw = _tls(address).wrap_socket(raw, server_hostname=address.server_name or host)
        return _upgrade(raw, f"{host}:{port}", parts.path.rstrip("/") + path, address.headers, protocols)
    except BaseException:
        raw.close()
        raise


class WebSocket:
    """An open stream. Not thread-safe.

    Args:
        raw: the socket, after the server's answer.
        protocol: that the server chose.

    Attributes:
        is_closed: the other end has closed.
        reply: takes the frames that answer pings; by default they are sent at once.
    """

    def __init__(self, raw: socket.socket, protocol: str) -> None:
        self.raw = raw
        self.protocol = protocol
        self.is_closed = False
        self.reply: Callable[[bytes], object] = raw.sendall
        self._reader = FrameReader()

    @property
    def can_close_channels(self) -> bool:
        """The server knows version 5 of the protocol."""
        return self.protocol == EXEC_PROTOCOLS[0]

    def frame(self, channel: int, data: bytes) -> bytes:
        """Frame of *data* for *channel*."""
        return encode(Opcode.BINARY, bytes((channel,)) + data)

    def send(self, channel: int, data: bytes) -> None:
        """Send *data* on *channel*; blocks until the socket has taken it.

        Raises:
            OSError: the connection is broken.
        """
        self.raw.sendall(self.frame(channel, data))

    def receive(self) -> list[tuple[int, bytes]]:
        """Wait for bytes, and return the data of each channel; an empty list if no message is complete.

        Pings are answered. The end of the stream sets `is_closed`.

        Raises:
            OSError: the connection is broken; a non-blocking one has nothing to read.
        """
        data = self.raw.recv(_CHUNK)
        if not data:
            self.is_closed = True
            return []
        try:
            messages = self._reader.feed(data)
        except ProtocolError as error:
            raise ConnectionError(str(error)) from error
        return [found for message in messages if (found := self._on_message(message)) is not None]

    def _on_message(self, message: WebSocketMessage) -> tuple[int, bytes] | None:
        opcode, payload = message
        if opcode == Opcode.PING:
            self.reply(encode(Opcode.PONG, payload))
        elif opcode == Opcode.CLOSE:
            self.is_closed = True
        elif opcode in {Opcode.BINARY, Opcode.TEXT} and payload and payload[0] != CLOSE:
            return payload[0], payload[1:]
        return None

    def close(self) -> None:
        """Close the stream, with the farewell of the protocol; can be called twice."""
        if self.raw.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.raw.settimeout(1.0)
                self.raw.sendall(encode(Opcode.CLOSE, b"\x03\xe8"))
            self.raw.close()
        self.is_closed = True


def exit_code_of(status: bytes) -> tuple[int, str]:
    """Return the exit code of a command and words, from the message of channel 3; -1 if the command did not run."""
    try:
        answer = json.loads(status)
        if answer["status"] == "Success":
            return 0, ""
        if answer.get("reason") == "NonZeroExitCode":
            causes = answer["details"]["causes"]
            return next(int(cause["message"]) for cause in causes if cause["reason"] == "ExitCode"), answer["message"]
        return -1, str(answer["message"])
    except (ValueError, KeyError, TypeError, StopIteration):
        return -1, status.decode(errors="replace")


def _dial(host: str, port: int, proxy: str | None, timeout: float) -> socket.socket:
    """Connect with the server, or with a proxy that leads to it."""
    if proxy is None:
        return socket.create_connection((host, port), timeout)
    parts = urlsplit(proxy)
    raw = socket.create_connection((parts.hostname or "", parts.port or 3128), timeout)
    try:
        _pass_proxy(raw, f"{host}:{port}", parts)
    except BaseException:
        raw.close()
        raise
    return raw


def _pass_proxy(raw: socket.socket, target: str, proxy: SplitResult) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username:
        name = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(name.encode()).decode()}")
    status, _, body = _ask(raw, lines)
    if status != _OK:
        raise ConnectionError(f"the proxy {proxy.hostname} refuses with HTTP status {status}: {_message_of(body)}")


def _tls(address: StreamAddress) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=address.ca_file)
    if not address.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if address.cert_file:
        context.load_cert_chain(address.cert_file, address.key_file)
    return context


def _upgrade(raw: socket.socket, host: str, path: str, headers: dict[str, str], protocols: Sequence[str]) -> WebSocket:
    key = base64.b64encode(secrets.token_bytes(16))
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key.decode()}",
        f"Sec-WebSocket-Protocol: {', '.join(protocols)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    status, answered, body = _ask(raw, lines)
    if status != _SWITCHING:
        raise UpgradeRefusedError(status, body)
    accepted = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()  # noqa: S324 - as RFC 6455 has it
    if answered.get("sec-websocket-accept") != accepted:
        raise ConnectionError("the server's answer is no WebSocket's: a proxy in between may not let one through")
    return WebSocket(raw, answered.get("sec-websocket-protocol", ""))


def _ask(raw: socket.socket, lines: Sequence[str]) -> tuple[int, dict[str, str], bytes]:
    """Send a request, and read the head of its answer and nothing beyond; the body is read of refusals alone."""
    if any("\n" in line or "\r" in line for line in lines):
        raise ConnectionError("a header of the request, such as the token, has a line break")
    raw.sendall("\r\n".join([*lines, "", ""]).encode())
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = raw.recv(1)  # a larger read would swallow the first frames
        if not byte or len(head) > _LONGEST_HEAD:
            raise ConnectionError("the server closed the connection before it had answered")
        head += byte
    first, *rest = head.decode("latin-1").rstrip().split("\r\n")
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/") or not words[1:] or not words[1].isdigit():
        raise ConnectionError(f"the server's answer is not HTTP: {first[:200]!r}")
    pairs = (line.partition(":") for line in rest)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = b"" if int(words[1]) in {_SWITCHING, _OK} else _read_body(raw, headers.get("content-length", ""))
    return int(words[1]), headers, body


def _read_body(raw: socket.socket, length: str) -> bytes:
    """Read the body of a refusal, as far as it comes and is not longer than anybody would read."""
    most = min(int(length), _LONGEST_BODY) if length.isdigit() else _LONGEST_BODY
    body = bytearray()
    with contextlib.suppress(OSError):
        while len(body) < most and (data := raw.recv(most - len(body))):
            body += data
    return bytes(body)


def _message_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500].decode(errors="replace").strip() or "(no words)"
