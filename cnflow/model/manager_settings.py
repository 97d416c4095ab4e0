"""What a manager is told when its block starts: one file, written by the driver, delivered by the provider."""

from __future__ import annotations

from typing import Optional

import msgspec

PROTOCOL = 13
"""Changes with every change to the messages in `cnflow.wire` (a test compares)."""

BLOCK_ENDS_AT = "CNFLOW_BLOCK_ENDS_AT"
"""Environment variable of a block: Unix time in seconds at which the block ends. Managers know no batch system."""


class ManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a manager knows before it connects. Holds keys: the file is mode 0600, never argv or environment."""

    hosts: tuple[str, ...]
    """Addresses of the interchange, likeliest first; all are tried. Empty when `endpoint` is not TCP."""

    endpoint: str
    """ZeroMQ endpoint of the interchange; holds ``{host}`` where one of `hosts` goes."""

    server_key: str = ""
    """The interchange's public CURVE key, Z85; empty for a plain socket."""

    public_key: str = ""
    """This block's public key, Z85."""

    secret_key: str = ""
    """This block's secret key, Z85."""

    executor: str
    block: str
    image: str = ""
    """As the user wrote it; empty on the bare node."""

    max_workers: Optional[int] = None
    """Never more workers than this on one node; None leaves it to cores and memory."""

    cores_per_worker: float = 1.0
    mem_per_worker: Optional[float] = None
    """GiB that each worker may count on; None does not look at memory."""

    available_accelerators: tuple[str, ...] = ()
    """Each worker is shown one of these, by its rank; then there are no more workers than names."""

    cpu_affinity: str = "none"
    """Rule that assigns cores to workers; see `cnflow.manager.node.pinning`."""

    prefetch: Optional[int] = None
    """Tasks that may wait in a manager beyond those that run; None adapts to how short they are."""

    heartbeat_period: float = 30.0
    """Seconds."""

    heartbeat_threshold: float = 120.0
    """Seconds of silence after which the other side is given up; a manager then ends itself."""

    drain_period: Optional[float] = None
    """Seconds from its start after which a manager takes no new task; None never."""

    walltime: Optional[float] = None
    """Seconds after which its block ends; None does not know."""

    grace_period: float = 8.0
    """Seconds that running tasks have once the manager is told to end, or its block is about to."""

    address_probe_timeout: float = 30.0
    """Seconds within which one of `hosts` must answer; never more than `heartbeat_threshold`."""

    largest_result: int = 2**32
    """Bytes; of a part of a result that travels on its own. The interchange would cut off who sends a larger one."""

    working_dir: str = ""
    """Where workers start; empty is where the manager itself was started."""

    def to_json(self) -> bytes:
        """Bytes of the settings file."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> ManagerSettings:
        """The reverse of `to_json`.

        Raises:
            msgspec.ValidationError: *data* is not a settings file of this version.
        """
        return msgspec.json.decode(data, type=cls)
