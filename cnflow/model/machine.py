"""A virtual machine of a cloud, as a provider asks for it and as the cloud lists it; values alone.

::

    Placement ──MachineRequest──Cloud.launch──> Machine(PENDING) ──> RUNNING ──> STOPPING ──> ENDED
    a type in a zone,              │                                  tags, addresses          reason, cause
    spot or not                    └── no room there: the next placement
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.block import EndCause


class Rate(NamedTuple):
    """Price and size of something that is paid by time: a machine, a block."""

    usd_per_hour: Optional[float] = None
    """Dollars; None where no price is known."""

    cores: float = 0.0
    gpus: float = 0.0

    def times(self, count: int) -> Rate:
        """Return the rate of *count* such things."""
        usd = None if self.usd_per_hour is None else self.usd_per_hour * count
        return Rate(usd, self.cores * count, self.gpus * count)


class Placement(NamedTuple):
    """One way to have a machine: a type, where, and how it is paid."""

    instance_type: str
    zone: str = ""
    """Availability zone, or a subnet of one; empty leaves it to the cloud."""

    is_spot: bool = False
    rate: Rate = Rate()
    """Estimate from the price table."""

    def __str__(self) -> str:
        where = f" in {self.zone}" if self.zone else ""
        return f"{self.instance_type}{where}{' (spot)' if self.is_spot else ''}"


NO_PLACEMENT = Placement("")


class MachineState(enum.Enum):
    """State of a machine. A stopped one has ended: cnflow starts none again."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True)
class MachineRequest:
    """Request for one machine; all that a cloud learns about it."""

    name: str
    """Lower-case letters, digits and ``-``, at most 63, a letter first; unique for block and rank."""

    token: str
    """The same for a repeated request of the same machine: the cloud starts it once."""

    placement: Placement
    tags: Mapping[str, str]
    """Names and values of lower-case letters, digits, ``-`` and ``_``, at most 63; every resource carries them."""

    user_data: str
    """Script that the machine runs as root at its first start; at most 16 KB."""

    longest_life: Optional[float] = None
    """Seconds after which the cloud itself ends the machine where it can; None sets no end."""

    private_address: str = ""
    """Address in the cloud's network that the machine is to have where that can be chosen, since machines of blocks
    know it of the one that it replaces; empty is any."""

    is_interchange: bool = False
    """The machine of an interchange, which the driver reaches by ssh: it needs a public address and an open port 22."""


@dataclass(frozen=True)
class Machine:
    """A machine as its cloud lists it."""

    id: str
    state: MachineState
    tags: Mapping[str, str] = field(default_factory=dict)
    placement: Placement = NO_PLACEMENT
    reason: str = ""
    """Reason for the state in the cloud's words."""

    cause: Optional[EndCause] = None
    """Cause of the end, where the cloud reports it."""

    public_address: str = ""
    private_address: str = ""
    launched_at: Optional[float] = None
    """Seconds since 1970."""

    is_kept: bool = False
    """It has ended, and the cloud keeps it, with what it costs or counts against a quota, until it is terminated."""
