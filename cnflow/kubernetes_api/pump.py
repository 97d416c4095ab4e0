"""Copies between this process's stdin, stdout, stderr and the channels of a stream. Standard library only.

::

    stdin ── frames ──> waiting ──> stream          stdin is not read while much waits
    stdout, stderr <── outputs, by channel <── stream          blocks while nobody takes stdout
    ends: a message on the channel `end`, the other end closes, stdin ends

A connection that carries nothing is asked by pings, which also keep a proxy from closing it.
"""

from __future__ import annotations

import os
import select
import ssl
import sys
import time
from typing import TYPE_CHECKING

from cnflow.kubernetes_api.frames import Opcode, encode
from cnflow.kubernetes_api.websocket import CLOSE, STDIN, WebSocket

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 256 * 1024
_MOST_WAITING = 4 * _CHUNK
"""Bytes for the server that are held before stdin is not read any more."""

_PING_PERIOD = 10.0
_LONGEST_SILENCE = 35.0
"""Seconds without a byte of the server, three pings among them, after which the connection is given up."""

FAILED = 255
"""Exit code of a process whose connection was not made, or broke; as ssh's."""


class Pump:
    """Copies until either end closes.

    Args:
        stream: its channel 0 gets what stdin brings.
        outputs: descriptors of this process, by channel.
        end: channel whose first data ends the stream.
        skipped: bytes at the begin of each channel that are no data.
    """

    def __init__(self, stream: WebSocket, *, outputs: Mapping[int, int], end: int, skipped: int = 0) -> None:
        self._stream = stream
        self._outputs = outputs
        self._end_channel = end
        self._skipped = dict.fromkeys([*outputs, end], skipped)
        self._waiting = bytearray()
        self._end = b""
        self._is_stdin_open = True
        self._poller = select.poll()
        stream.reply = self._waiting.extend
        stream.raw.setblocking(False)
        self._heard = self._pinged = time.monotonic()

    def run(self) -> bytes:
        """Copy; return the data of the channel that ends the stream, or nothing if an end was closed.

        Raises:
            OSError: the connection broke, or nobody reads stdout.
        """
        near, far = sys.stdin.fileno(), self._stream.raw.fileno()
        self._receive()  # what came in one TLS record with the server's answer is not polled
        while not self._end and not self._stream.is_closed:
            reads_stdin = self._is_stdin_open and len(self._waiting) < _MOST_WAITING
            if self._is_stdin_open:
                self._poller.register(near, select.POLLIN if reads_stdin else 0)
            self._poller.register(far, select.POLLIN | (select.POLLOUT if self._waiting else 0))
            ready = dict(self._poller.poll(_PING_PERIOD * 1000 / 2))
            if near in ready and self._is_stdin_open:
                self._read_stdin(near)
            if ready.get(far, 0) & ~select.POLLOUT:
                self._receive()
            self._keep_alive()
            self._send()
        return self._end

    def _read_stdin(self, near: int) -> None:
        data = os.read(near, _CHUNK)
        if data:
            self._waiting += self._stream.frame(STDIN, data)
            return
        self._is_stdin_open = False
        self._poller.unregister(near)
        if self._stream.can_close_channels:
            self._waiting += self._stream.frame(CLOSE, bytes((STDIN,)))
        else:  # the other end sees the end of the whole connection
            self._stream.raw.settimeout(_PING_PERIOD)
            self._stream.raw.sendall(self._waiting)
            self._stream.is_closed = True

    def _receive(self) -> None:
        try:
            while not self._stream.is_closed:
                for channel, data in self._stream.receive():
                    self._on_data(channel, data)
                self._heard = time.monotonic()
        except (ssl.SSLWantReadError, BlockingIOError):
            pass

    def _on_data(self, channel: int, data: bytes) -> None:
        if skipped := min(self._skipped.get(channel, 0), len(data)):
            self._skipped[channel] -= skipped
            data = data[skipped:]
        if channel == self._end_channel:
            self._end += data
        elif channel in self._outputs:
            while data:  # blocks while the driver takes nothing: there is nothing else to do then
                data = data[os.write(self._outputs[channel], data) :]

    def _send(self) -> None:
        try:
            while self._waiting and not self._stream.is_closed:
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
