"""What an interchange is told when it starts. Apart from its loop: the driver imports no ZeroMQ for it."""

from __future__ import annotations

import msgspec


class InterchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver tells its interchange, as one line of JSON on stdin. Holds keys: never argv or environment."""

    driver: int = -1
    """Descriptor of the socket to the driver, which the interchange inherits."""

    folder: str
    """For socket files; only the user can enter it. The interchange removes it if its driver does not."""

    manager_endpoint: str
    """``tcp://ADDRESS`` without a port, or ``ipc://PATH``."""

    ports: tuple[int, int] | None = None
    secret_key: str = ""
    """Empty for a plain socket."""

    block_keys: dict[str, str] = {}
    """Public keys that managers may come with, by block; the driver admits more."""

    largest_message: int = -1
    """Bytes of a part of a message that comes over TCP; -1 is any."""

    is_restart: bool = False
    """It takes the place of one that was killed."""

    awaited: dict[str, str] = {}
    """Managers that this one had, in hexadecimal digits, and the block of each."""

    departed: tuple[str, ...] = ()
    """Managers that were lost before."""

    heartbeat_period: float = 30.0
    heartbeat_threshold: float = 120.0
