"""Files of a standing pool of workers: the list of its pools, and the key of a client. JSON, written by its server.

::

    server ──> pool.json (`PoolDirectory`: ports, images, public keys; no secret) ──────────────┐
    cnflow pool key NAME ──> NAME.json (`ClientKey`: the client's own pair, the server's key) ──┴──> driver
                       └───> clients/NAME.key: the public key alone, for the interchange
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from typing_extensions import Self

VERSION = 1
"""Of the files' format."""

DIRECTORY_FILE = "pool.json"
"""Name of the list of pools, in the folder of a server and in the ConfigMap of a release."""


class PoolAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One pool, as a driver reaches it."""

    name: str
    image: str = ""
    """Reference of its image as it was configured; empty on bare nodes."""

    host: str = "127.0.0.1"
    """Address for drivers, as the server sees it: loopback, or the name of a Service."""

    clients_port: int
    server_key: str
    """Public CURVE key of its interchange for clients (Z85)."""


class JsonFile(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a file; a subclass adds its fields."""

    version: int = VERSION

    def to_json(self) -> bytes:
        """Content of the file."""
        return msgspec.json.format(msgspec.json.encode(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Parse the content of the file.

        Raises:
            msgspec.MsgspecError: *data* is no such file.
        """
        return msgspec.json.decode(data, type=cls)


class PoolDirectory(JsonFile, frozen=True, kw_only=True):
    """Content of ``pool.json``."""

    pools: tuple[PoolAddress, ...] = ()


class ClientKey(JsonFile, frozen=True, kw_only=True):
    """Key of one client. Holds a secret: the file has mode 0600."""

    name: str
    public: str
    secret: str
    server_key: str
    """Public key of the server that issued it."""

    pools: tuple[PoolAddress, ...] = ()
    """Pools of the server when the key was issued, for a client that is given an address alone."""
