"""Authenticator of the connections to a CURVE server: which keys may connect, and whose key a message came by.

ZeroMQ asks it before a handshake is over (ZAP, https://rfc.zeromq.org/spec/27); the picture is that of `sockets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from cnflow.wire import sockets

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDPOINT = "inproc://zeromq.zap.01"
"""Where ZeroMQ asks; the name is the protocol's."""


def key_owner(frame: Any) -> str:  # noqa: ANN401 - a frame of pyzmq
    """Owner of the key of the encrypted connection over which *frame* came, as an `Authenticator` knows it."""
    return str(frame.get("User-Id"))


class Authenticator:
    """Decides which public keys may connect to the CURVE servers of a context.

    Needs no thread: its owner polls `raw` and calls `handle_request`.
    """

    def __init__(self, context: sockets.Context[Any], allowed: Mapping[str, str]) -> None:
        """Admit the public keys in *allowed*, by block."""
        self.raw = sockets.bind_reply(context, _ENDPOINT)
        self._keys: dict[str, bytes] = {}
        self._blocks: dict[bytes, set[str]] = {}
        """Blocks of each key: a connection is decided without a look at all keys."""

        for block, key in allowed.items():
            self.admit(block, key)

    def admit(self, block: str, key: str) -> None:
        """Accept connections with *key*, the only one of *block*."""
        self.revoke(block)
        self._keys[block] = sockets.decode_key(key)
        self._blocks.setdefault(self._keys[block], set()).add(block)

    def revoke(self, block: str) -> None:
        """Reject new connections with the key of *block*."""
        key = self._keys.pop(block, None)
        if key is None:
            return
        self._blocks[key].discard(block)
        if not self._blocks[key]:
            del self._blocks[key]

    def handle_request(self) -> Optional[str]:
        """Decide the request that is waiting on `raw`; return the address of the peer if it was rejected."""
        version, sequence, _, address, _, mechanism, *credentials = self.raw.recv_multipart()
        owners = self._blocks.get(credentials[0], set()) if mechanism == b"CURVE" and credentials[:1] else set()
        code, text = (b"200", b"OK") if owners else (b"400", b"key not of this run")
        self.raw.send_multipart([version, sequence, code, text, min(owners, default="").encode(), b""])
        return None if owners else address.decode(errors="replace")

    def close(self) -> None:
        """Close; new connections to the servers of the context are rejected from now on."""
        self.raw.close(0)
