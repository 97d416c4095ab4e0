"""File in which a manager that listens writes where. Shared by the manager, which writes it, and the driver."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from cnflow.ids import BlockId

SUFFIX = ".address"
"""End of the name of each file; the rest is the manager's id in hexadecimal digits."""

_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class ListeningAddress(msgspec.Struct, frozen=True):
    """Content of one file, as JSON. It holds no secret."""

    manager: str
    """Id, in hexadecimal digits."""

    block: BlockId
    hosts: tuple[str, ...]
    """IPv4 addresses of the node, likeliest first."""

    ports: tuple[_Port, _Port]
    """For control messages, and for blobs."""

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return self.manager + SUFFIX

    def to_json(self) -> bytes:
        """Content of the file."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> ListeningAddress:
        """Parse the content of a file.

        Raises:
            ValueError: *data* is no address of a manager.
        """
        try:
            found = msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:  # a ValueError in newer versions alone
            raise ValueError(str(error)) from error
        bytes.fromhex(found.manager)
        for host in found.hosts:
            ipaddress.IPv4Address(host)
        return found
