"""Process that runs a command in a pod, with its own stdin, stdout and stderr as those of the command.

::

    driver ── pipe: ExecRequest ──────────> exec_process ══ WebSocket, TLS ══> API server ──> kubelet ──> command
       └───── stdin ──────────────────────────> │ 0 ─────────────────────────────────────────────────────> stdin
              stdout <───────────────────────── │ 1 <───────────────────────────────────────────────────── stdout
              stderr <───────────────────────── │ 2 <───────────────────────────────────────────────────── stderr
                                     ends <──── │ 3 <── exit code

Started by its path, ``python -I ROOT/cnflow/kubernetes_api/exec_process.py DESCRIPTOR``, since only the standard
library is needed: it is there in 60 ms. The request comes through a pipe, since it holds credentials, and perhaps
later, once there is a pod. A connection that carries nothing is asked by pings, which also keep a proxy from closing
it.
"""

from __future__ import annotations

import json
import os
import select
import ssl
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:
    sys.path[:] = [str(Path(__file__).resolve().parent.parent.parent), *sys.path[1:]]

from cnflow.kubernetes_api.frames import Opcode, encode
from cnflow.kubernetes_api.websocket import (
    CLOSE,
    EXEC_PROTOCOLS,
    STATUS,
    STDERR,
    STDIN,
    STDOUT,
    StreamAddress,
    UpgradeRefusedError,
    WebSocket,
    connect,
    exit_code_of,
)

_CHUNK = 256 * 1024
_MOST_WAITING = 4 * _CHUNK
"""Bytes for the server that are held before stdin is not read any more."""

_CONNECT_TIMEOUT = 20.0
_PING_PERIOD = 10.0
_LONGEST_SILENCE = 35.0
"""Seconds without a byte of the server, three pings among them, after which the connection is given up."""

_FAILED = 255
"""Exit code where the command did not run, or the connection broke; as ssh's."""


@dataclass(frozen=True)
class ExecRequest:
    """Content of the pipe."""

    address: str = ""
    """`StreamAddress` as JSON."""

    path: str = ""
    """Of the command in the API, with the query."""

    output: str = ""
    """Written to stdout in place of running a command."""

    error: str = ""
    """Written to stderr in place of running a command."""

    def to_json(self) -> bytes:
        """Content of the pipe."""
        return json.dumps(asdict(self)).encode()


class Pump:
    """Copies between this process's own streams and those of the command, until either end closes.

    Args:
        stream: to the command.
    """

    def __init__(self, stream: WebSocket) -> None:
        self._stream = stream
        self._waiting = bytearray()
        self._status: bytes | None = None
        self._is_stdin_open = True
        self._poller = select.poll()
        stream.reply = self._waiting.extend
        stream.raw.setblocking(False)
        self._heard = self._pinged = time.monotonic()

    def run(self) -> int:
        """Copy; return the exit code of the command.

        Raises:
            OSError: the connection broke, or nobody reads stdout.
        """
        near, far = sys.stdin.fileno(), self._stream.raw.fileno()
        while self._status is None and not self._stream.is_closed:
            reads_stdin = self._is_stdin_open and len(self._waiting) < _MOST_WAITING
            self._poller.register(near, select.POLLIN if reads_stdin else 0)
            self._poller.register(far, select.POLLIN | (select.POLLOUT if self._waiting else 0))
            ready = dict(self._poller.poll(_PING_PERIOD * 1000 / 2))
            if ready.get(near) and self._is_stdin_open and (reads_stdin or not ready[near] & select.POLLIN):
                self._read_stdin(near)
            if ready.get(far, 0) & ~select.POLLOUT:
                self._receive()
            self._keep_alive()
            self._send()
        if self._status is None:
            raise ConnectionError("the API server closed the connection")
        code, words = exit_code_of(self._status)
        if code < 0:
            raise ConnectionError(words)
        return code

    def _read_stdin(self, near: int) -> None:
        data = os.read(near, _CHUNK)
        if data:
            self._waiting += self._stream.frame(STDIN, data)
            return
        self._is_stdin_open = False
        self._poller.unregister(near)
        if self._stream.can_close_channels:
            self._waiting += self._stream.frame(CLOSE, bytes((STDIN,)))
        else:  # the command sees the end of the whole connection
            self._stream.is_closed, self._status = True, b'{"status": "Success"}'

    def _receive(self) -> None:
        try:
            while not self._stream.is_closed:
                for channel, data in self._stream.receive():
                    self._on_data(channel, data)
                self._heard = time.monotonic()
        except (ssl.SSLWantReadError, BlockingIOError):
            pass

    def _on_data(self, channel: int, data: bytes) -> None:
        if channel == STATUS:
            self._status = (self._status or b"") + data
        elif channel in {STDOUT, STDERR}:
            out = sys.stdout.fileno() if channel == STDOUT else sys.stderr.fileno()
            while data:  # blocks while the driver takes nothing: there is nothing else to do then
                data = data[os.write(out, data) :]

    def _send(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: self._stream.raw.send(self._waiting)]
        except (ssl.SSLWantWriteError, BlockingIOError):
            pass

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now - self._heard > _LONGEST_SILENCE:
            raise ConnectionError(f"the API server is silent for {now - self._heard:.0f} s")
        if now - max(self._heard, self._pinged) >= _PING_PERIOD:
            self._pinged = now
            self._waiting += encode(Opcode.PING, b"")


def run(request: ExecRequest) -> int:
    """Run the command of *request*; return the exit code of this process."""
    if request.output:
        os.write(sys.stdout.fileno(), request.output.encode())
        return 0
    try:
        if request.error or not request.path:
            raise ConnectionError(request.error or "the driver sent no request")
        stream = connect(StreamAddress.from_json(request.address), request.path, EXEC_PROTOCOLS, _CONNECT_TIMEOUT)
        try:
            return Pump(stream).run()
        finally:
            stream.close()
    except (OSError, UpgradeRefusedError) as error:
        sys.stderr.write(f"cnflow: the connection with the pod: {error}\n")
        return _FAILED


def main() -> None:
    """Read the request from the descriptor that the argument names, and run it."""
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        content = pipe.read()
    sys.exit(run(ExecRequest(**json.loads(content or b"{}"))))


if __name__ == "__main__":
    main()
