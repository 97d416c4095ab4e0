"""A line between managers and interchange, on loopback, whose faults a test chooses; like an SSH tunnel or a gateway.

::

    manager ──> near end │ Tunnel │ far end ──> interchange
                         └── cut: reset both ends, or the near one alone
                             stall: forward nothing more, and close nothing; what was held back can follow later
                             is_down: new connections are closed at once
"""

import contextlib
import socket
import struct
import threading


class _Pair:
    """One connection through the tunnel: its two ends, and whether bytes pass."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.flows = threading.Event()
        self.flows.set()

    def copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flows.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Tunnel:
    """Forwards the TCP connections to `port` to another port of this machine.

    Args:
        port: that connections are forwarded to.
        address: of this machine, at which it listens.

    Attributes:
        port: that managers connect to.
        is_down: refuse new connections.
        count: connections so far.
    """

    def __init__(self, port, address="127.0.0.1"):
        self._to = port
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self._pairs, self._given_up = [], []
        self.is_down = False
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, both=True):
        """Reset all connections: at both ends, or at the managers' alone, as when a gateway forgets."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in (pair.near, pair.far) if both else (pair.near,):
                _reset(end)
            if not both:
                self._given_up.append(pair)

    def stall(self):
        """Forward nothing more of the present connections, and let both ends believe that they are there."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.flows.clear()
        self._given_up += pairs

    def release(self):
        """Forward what `stall` has held back."""
        for pair in self._given_up:
            pair.flows.set()

    def close(self):
        """Close everything."""
        self.is_down = True
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        for pair in [*self._pairs, *self._given_up]:
            for end in (pair.near, pair.far):
                _reset(end)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.is_down:
                    near.close()
                    continue
                with contextlib.suppress(ConnectionRefusedError):  # the interchange is being restarted
                    self._forward(near)
                    continue
                near.close()

    def _forward(self, near):
        pair = _Pair(near, socket.create_connection(("127.0.0.1", self._to)))
        self.count += 1
        self._pairs.append(pair)
        for source, sink in ((pair.near, pair.far), (pair.far, pair.near)):
            threading.Thread(target=pair.copy, args=(source, sink), daemon=True).start()


def _reset(end):
    """Close *end* with a reset. A thread may be blocked in it: shutdown wakes it, after which the reset is sent."""
    with contextlib.suppress(OSError):  # the other side was faster
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)
    end.close()
