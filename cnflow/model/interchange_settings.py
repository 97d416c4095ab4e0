"""Settings of an interchange process. Separate from its loop, so that the driver imports no ZeroMQ for them."""

from __future__ import annotations

import msgspec


class InterchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that the driver writes to the interchange's stdin as one line of JSON.

    Contains keys, and therefore never travels in argv or in the environment.
    """

    driver: int = -1
    """Descriptor of the socket to the driver, which the interchange inherits."""

    folder: str
    """Folder of the socket files, which only the user can enter. The interchange removes it if the driver does not."""

    manager_endpoint: str
    """``tcp://ADDRESS`` without a port, or ``ipc://PATH``."""

    ports: tuple[int, int] | None = None
    """First and last TCP port to try; None takes any free port."""

    secret_key: str = ""
    """CURVE key of the interchange; empty for a plain socket."""

    block_keys: dict[str, str] = {}
    """Public keys of the managers that may connect, by block; the driver admits more during the run."""

    largest_message: int = -1
    """Bytes of one frame over TCP; -1 is no limit."""

    is_restart: bool = False
    """True if this interchange replaces one that was killed."""

    awaited: dict[str, str] = {}
    """Manager of the killed interchange, as hexadecimal digits -> its block."""

    departed: tuple[str, ...] = ()
    """Managers that were lost before, as hexadecimal digits."""

    heartbeat_period: float = 30.0
    """Seconds."""

    heartbeat_threshold: float = 120.0
    """Seconds of silence after which a manager is lost."""
