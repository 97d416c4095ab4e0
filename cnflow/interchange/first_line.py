"""First line of a connection: the request of the driver. Standard library only."""

from __future__ import annotations

import os


def read_first_line(descriptor: int) -> bytes:
    """Read a line and nothing beyond it, which is for whoever serves the connection then.

    Raises:
        ConnectionError: the driver left before.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            raise ConnectionError("the driver left before it had sent its request")
        line += byte
    return bytes(line)
