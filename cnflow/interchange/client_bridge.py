"""Bridge between a driver and a pool's interchange elsewhere: the driver's stream over an encrypted ZeroMQ connection.

The driver starts it as it starts the command that reaches a relay (`cnflow.interchange.relay`), and with the same
greeting::

    driver                             bridge                                        pool's interchange
      ├── line: ClientRequest ─────────> │ ── CURVE, OPEN ─────────────────────────────> │
      │ <── "started", "attached",       │ <── GREETING ───────────────────────────────  │
      │     "gone" ───────────────────── │     key refused: "gone", too                  │
      │ <═══ stream, stdin and stdout ═> │ <═══ MessagePipe ═══════════════════════════> │
      x closes: the bridge ends          │     x closes, or the connection breaks: the bridge ends; the driver starts
                                                 another one, and its session goes on

With a `pipe`, the connection leads through the stdin and stdout of that command, such as ``ssh -W``: it gets the far
end of a socket to which ZeroMQ connects here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import msgspec

import cnflow
from cnflow.ids import ManagerId
from cnflow.interchange.first_line import read_first_line
from cnflow.model.interchange_settings import GONE, GREETING
from cnflow.model.manager_settings import PROTOCOL
from cnflow.model.pool_settings import PIPE_MAY_STAND_SOON, ClientRequest
from cnflow.wire import message_pipe as pipes
from cnflow.wire import sockets
from cnflow.wire.message_pipe import MessagePipe, head_of
from cnflow.wire.pool_opening import Opening

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 2**18
_LINGER = 1.0
"""Seconds for the last message to leave."""

_NEW_KEY, _PAUSE = 4.0, 0.5
"""Seconds for which a key that is refused is tried again, and between two tries: it may have been issued just now."""


class BridgeError(Exception):
    """The pool cannot be reached, or refuses this client; the message goes to stderr."""


class KeyRefusedError(BridgeError):
    """The pool does not know the key of this client."""


class NotThereError(BridgeError):
    """The server of the pool is not there now, as while it is replaced; it may be soon."""


class Tunnel:
    """A command whose stdin and stdout lead to the pool, behind a socket file that ZeroMQ connects to.

    Args:
        argv: the command.

    Attributes:
        endpoint: for ZeroMQ.

    Raises:
        OSError: no folder for the socket can be made.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._folder = tempfile.mkdtemp(prefix="cnflow-")
        self._listener = socket.socket(socket.AF_UNIX)
        path = str(Path(self._folder, "pool"))
        self._listener.bind(path)
        self._listener.listen(1)
        self._listener.setblocking(False)
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.endpoint = f"ipc://{path}"

    def fileno(self) -> int:
        """Descriptor that is readable when ZeroMQ has connected."""
        return self._listener.fileno()

    def start(self) -> None:
        """Start the command for the connection of ZeroMQ; a second one is refused, since its first bytes would be lost.

        Raises:
            BridgeError: the command cannot be started.
        """
        near, _ = self._listener.accept()
        with near:
            if self._process is not None:
                return
            near.setblocking(True)
            far = near.fileno()
            try:
                self._process = subprocess.Popen(self._argv, stdin=far, stdout=far, start_new_session=True)
            except OSError as error:
                raise BridgeError(f"{self._argv[0]!r}, the way to the pool, cannot be run: {error.strerror}") from error

    @property
    def may_stand_soon(self) -> bool:
        """True if the command has ended because nothing was at its far end."""
        return self._process is not None and self._process.poll() == PIPE_MAY_STAND_SOON

    def how_ended(self) -> str:
        """End of the command, for an error; empty while it runs."""
        code = None if self._process is None else self._process.poll()
        return "" if code is None else f"; {self._argv[0]!r}, the way to the pool, ended with code {code}"

    def close(self) -> None:
        """End the command."""
        self._listener.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_LINGER)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Bridge:
    """One connection; the module has a picture.

    Args:
        request: of the driver.
        tunnel: on the way to the pool; None for none.
    """

    def __init__(self, request: ClientRequest, tunnel: Optional[Tunnel]) -> None:
        self._request = request
        self._tunnel = tunnel
        self._deadline = time.monotonic() + request.timeout
        self._context = sockets.new_context()
        curve = request.server_key, request.client_public, request.client_secret
        endpoint = request.endpoint if tunnel is None else tunnel.endpoint
        self._dealer, self._monitor = sockets.connect_monitored_dealer(
            self._context, endpoint, ManagerId(os.urandom(16).hex().encode()), curve
        )
        self._pipe = MessagePipe(self._send)
        self._is_connected = False
        self._greeting = ""
        self._reason = ""

    def run(self) -> None:
        """Serve until either side closes.

        Raises:
            BridgeError: the pool is not reached, or the connection to it has broken.
        """
        near = sys.stdin.fileno()
        opening = Opening(
            session=self._request.session,
            is_new=self._request.is_new,
            replaces=self._request.replaces,
            protocol=PROTOCOL,
            cnflow=cnflow.__version__,
        )
        self._send(head_of(pipes.OPEN), msgspec.json.encode(opening))
        while not self._greeting:
            self._wait_for_greeting()
        os.write(sys.stdout.fileno(), GREETING + self._greeting.encode() + b"\n")
        if self._greeting != GONE:
            self._copy(near)

    def close(self) -> None:
        """Tell the pool that the connection ends, and close."""
        with contextlib.suppress(BridgeError):
            self._pipe.close()
        self._monitor.close()
        self._dealer.close(_LINGER)
        self._context.term()

    def _wait_for_greeting(self) -> None:
        wait = self._deadline - time.monotonic()
        if wait <= 0:
            raise BridgeError(self._why_no_answer())
        poller = sockets.Poller()
        for source in (self._dealer.raw, self._monitor.raw, *([self._tunnel.fileno()] if self._tunnel else [])):
            poller.register(source, sockets.READABLE)
        poller.register(sys.stdin.fileno(), sockets.BROKEN)  # its end, not its bytes: they are for the pool
        ready = dict(poller.poll(int(wait * 1000) + 1))
        if self._tunnel is not None and self._tunnel.fileno() in ready:
            self._tunnel.start()
        if sys.stdin.fileno() in ready:
            raise BridgeError("the driver has left")
        self._read_monitor()
        self._receive()

    def _why_no_answer(self) -> str:
        where = "through " + " ".join(self._request.pipe) if self._request.pipe else f"at {self._request.endpoint}"
        if self._is_connected:
            return f"the pool {where} did not answer within {self._request.timeout:.0f} s"
        advice = "check that it runs there, and that the key is one of this pool"
        how = "" if self._tunnel is None else self._tunnel.how_ended()
        return f"no pool was reached {where} within {self._request.timeout:.0f} s{how}: {advice}"

    def _read_monitor(self) -> None:
        """Follow the connection.

        Raises:
            BridgeError: it is lost, or the pool refuses the key.
        """
        for is_ready in self._monitor.read():
            if self._is_connected and not is_ready:
                raise BridgeError("the connection with the pool has broken")
            self._is_connected = self._is_connected or is_ready
        if self._monitor.is_refused:
            raise KeyRefusedError(
                "the pool refuses the key of this client: it was never issued there, or was withdrawn"
            )
        if self._tunnel is not None and (how := self._tunnel.how_ended()):
            is_early = self._tunnel.may_stand_soon and not self._greeting
            raise (NotThereError if is_early else BridgeError)(f"the connection with the pool has broken{how}")

    def _receive(self) -> None:
        """Handle the messages of the pool.

        Raises:
            BridgeError: the pool closes the connection.
        """
        for head, *content in self._dealer.receive():
            kind, number = pipes.parse_head(head)
            data = bytes(content[0].bytes if hasattr(content[0], "bytes") else content[0])
            if kind == pipes.GREETING:
                self._greeting = data.decode(errors="replace")
            else:
                self._pipe.on_message(kind, number, data)
                if kind == pipes.CLOSE and data:
                    raise BridgeError(data.decode(errors="replace"))

    def _copy(self, near: int) -> None:
        """Copy between stdin, stdout and the pool until either side closes.

        Stdout may block: while the driver takes nothing, there is nothing else to do.
        """
        poller = sockets.Poller()
        poller.register(self._dealer.raw, sockets.READABLE)
        poller.register(self._monitor.raw, sockets.READABLE)
        while True:
            poller.register(near, sockets.READABLE if self._pipe.room > 0 else sockets.BROKEN)
            ready = dict(poller.poll())
            self._read_monitor()
            self._receive()
            if not self._write():
                return
            if near in ready and not self._read(near):
                return

    def _read(self, near: int) -> bool:
        """Send what the driver has written, as far as there is room; False at its end."""
        room = min(self._pipe.room, _CHUNK)
        if room <= 0:  # then the driver has left
            return False
        data = os.read(near, room)
        if data:
            self._pipe.send(data)
        return bool(data)

    def _write(self) -> bool:
        """Write what has arrived to the driver; False at the end."""
        while self._pipe.is_readable:
            data = self._pipe.recv(_CHUNK)
            if not data:
                return False
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]
        return True

    def _send(self, head: bytes, content: bytes) -> None:
        try:
            self._dealer.send([head, content])
        except sockets.SendError as error:  # ZeroMQ has given the connection up
            raise BridgeError("the connection with the pool has broken") from error


def main() -> int:
    """Serve one connection of the driver: stdin and stdout; return the exit code of the process."""
    try:
        request = msgspec.json.decode(read_first_line(sys.stdin.fileno()), type=ClientRequest)
        began = time.monotonic()
        while True:
            try:
                _serve(request)
            except NotThereError:
                if time.monotonic() > began + request.timeout:
                    raise
                time.sleep(_PAUSE)
            except KeyRefusedError:  # ZeroMQ gives up a connection whose key is refused
                if time.monotonic() > began + _NEW_KEY:  # the pool has forgotten the client of a key that was withdrawn
                    os.write(sys.stdout.fileno(), GREETING + GONE.encode() + b"\n")
                    raise
                time.sleep(_PAUSE)
            else:
                return 0
    except (BridgeError, OSError, ValueError) as error:
        sys.stderr.write(f"cnflow: {error}\n")
        return 1


def _serve(request: ClientRequest) -> None:
    """Connect with the pool, and serve the driver until either side closes.

    Raises:
        BridgeError: the pool is not reached, refuses the key, or the connection to it has broken.
    """
    tunnel = Tunnel(request.pipe) if request.pipe else None
    try:
        bridge = Bridge(request, tunnel)
        try:
            bridge.run()
        finally:
            bridge.close()
    finally:
        if tunnel is not None:
            tunnel.close()


if __name__ == "__main__":
    sys.exit(main())
