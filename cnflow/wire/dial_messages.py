"""Messages about managers that listen, and to which the interchange connects; `messages` has the table of all."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cnflow.ids import BlockId, ManagerId
from cnflow.wire.base import Message

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Dial(Message):
    """Connect to this manager, which listens, until it or its block is gone."""

    manager: ManagerId
    block: BlockId
    hosts: tuple[str, ...]
    """IPv4 addresses of its node, likeliest first; one that accepts a connection is enough."""

    ports: tuple[Port, Port]
    """For control messages, and for blobs."""


class DialFailed(Message):
    """None of the addresses of a manager that listens accepts a connection; they are tried again."""

    manager: ManagerId
    block: BlockId
    reason: str
