"""Snapshot of a pool, for `cnflow pool status` and for metrics. No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.blocks import Demand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.pool_files import PoolAddress
    from cnflow.model.status import BlockReport
    from cnflow.wire.manager_messages import ClientStatus, ManagerInfo, PoolReport

STATES = ("requested", "pending", "running", "draining")
"""Of blocks, in their order; each has a metric, also while no block has it."""


@dataclass(frozen=True)
class PoolStatus:
    """State of one pool at one moment."""

    name: str
    image: str
    host: str
    clients_port: int
    is_ready: bool
    """Drivers can connect."""

    queued: int
    running: int
    ended: int
    slots_wanted: int
    """Workers that all unfinished tasks take at the same time."""

    managers: int
    workers: int
    restarts: int
    """Times that the server has started the pool again."""

    error: str = ""
    """Why it does not work; empty while it does."""

    clients: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def connected_clients(self) -> int:
        """Number of connected sessions."""
        return sum(client["is_connected"] for client in self.clients)

    @property
    def blocks_by_state(self) -> dict[str, int]:
        """Number of blocks in each state."""
        counts = Counter(block["state"] for block in self.blocks)
        return {**dict.fromkeys(STATES, 0), **counts}

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class PoolSnapshot(NamedTuple):
    """State of the parts of a pool at one moment."""

    report: PoolReport | None
    """The interchange's last one; None before the first."""

    demand: Demand
    managers: Sequence[ManagerInfo]
    blocks: Sequence[BlockReport]
    is_ready: bool
    error: str


NOT_STARTED = PoolSnapshot(None, Demand(0, 0, 0, 0), (), (), is_ready=False, error="")


def pool_status(address: PoolAddress, now: PoolSnapshot, restarts: int = 0) -> PoolStatus:
    """Make the status of the pool at *address*, which was started again so many times."""
    clients: Sequence[ClientStatus] = now.report.clients if now.report is not None else ()
    return PoolStatus(
        name=address.name,
        image=address.image,
        host=address.host,
        clients_port=address.clients_port,
        is_ready=now.is_ready,
        queued=sum(client.queued for client in clients),
        running=sum(client.running for client in clients),
        ended=now.report.ended if now.report is not None else 0,
        slots_wanted=now.demand.slots,
        managers=len(now.managers),
        workers=sum(info.slots for info in now.managers),
        restarts=restarts,
        error=now.error,
        clients=[_client(client) for client in clients],
        blocks=[asdict(block) for block in now.blocks],
    )


def _client(client: ClientStatus) -> dict[str, Any]:
    return {
        "name": client.name,
        "session": client.session,
        "is_connected": client.is_connected,
        "weight": client.weight,
        "queued": client.queued,
        "running": client.running,
        "ended": client.ended,
        "idle": round(client.idle, 1),
    }
