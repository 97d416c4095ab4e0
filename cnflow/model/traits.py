"""Traits of a provider, known from its settings alone: no SDK is imported and no system is asked for them.

The driver needs them before the first block exists::

    settings ──traits()──> Traits ──> assemble         does an executor need an image? (runs_images, runs_bare)
                                 ├──> block requests   how many workers has a node? (cores)
                                 └──> block controller how often to ask, how fast to submit (poll_period, ...)
"""

from __future__ import annotations

import enum
from typing import NamedTuple, Optional

from cnflow.units import Seconds


class Delivery(enum.Enum):
    """Way of the manager's settings, which hold keys, to a node."""

    PUT_FILE = "put file"
    """Written into the block before it starts."""

    SHARED_FILE = "shared file"
    """A file of mode 0600 on a file system that driver and node share."""

    STDIN = "stdin"
    SECRET = "secret"  # noqa: S105 - a kind of object in Kubernetes
    USER_DATA = "user data"
    """Text that a cloud hands to its virtual machine; readable by every process on it."""


class CapsuleVia(enum.Enum):
    """Way of cnflow's own code to a node."""

    MOUNT = "mount"
    PUT = "put"
    """Written into the block before it starts."""

    SHARED_DIR = "shared dir"
    """A folder on a file system that driver and node share."""

    CONFIG_MAP = "config map"
    IMAGE = "image"
    """Part of the image already."""

    FETCH = "fetch"
    """Downloaded by the node."""

    SSH_COPY = "ssh copy"


class LogsVia(enum.Enum):
    """Way of a block's output to the driver."""

    FOLLOWED = "followed"
    """The provider copies it to the block's log file while the block runs."""

    SHARED_FILE = "shared file"
    """The block itself writes to its log file."""

    ON_REQUEST = "on request"
    """Read by `Provider.logs` alone."""

    NONE = "none"


class NodesVia(enum.Enum):
    """Way to a manager on each node of a block."""

    ONE = "one"
    """A block is one node; `Provider.submit` refuses a request of several."""

    LAUNCHER = "launcher"
    """A launcher in the block starts a manager on each node."""

    PODS = "pods"
    """Each node is a pod of the block, which starts its own manager."""


class Traits(NamedTuple):
    """Traits of all blocks of one provider, as its settings decide them."""

    runs_images: bool = False
    """Blocks are containers, or can be; False for processes on the bare node alone. What blocks cannot be is refused by
    `Provider.submit`."""

    runs_bare: bool = False
    """Without an image blocks are the bare node, though `runs_images` is true: as jobs of a batch system."""

    delivery: Delivery = Delivery.SHARED_FILE
    """Way of the keys; tells readers how the provider works, the driver does not read it."""

    capsule: CapsuleVia = CapsuleVia.SHARED_DIR
    """Way of cnflow's code; not read by the driver either."""

    logs: LogsVia = LogsVia.ON_REQUEST
    """Way of the output of blocks; read by the provider contract, not by the driver."""

    nodes: NodesVia = NodesVia.ONE
    """Number of nodes and their managers; read by the provider contract, not by the driver."""

    poll_period: Seconds = Seconds(1.0)
    """Between two calls of `Provider.status` while blocks live; no more often than its system should be asked.

    After `Provider.watch` reported a change, the next call comes sooner: 1 second after the last one, or at once.
    """

    status_lag: Seconds = Seconds(0.0)
    """Longest time from the acceptance of a block until its system lists it; ``GONE`` before that is no end."""

    submit_at_once: int = 20
    """Blocks that may be submitted in one moment."""

    submits_per_second: float = 2.0
    """Blocks that may be submitted beyond `submit_at_once`, in the long run."""

    cores: Optional[float] = None
    """CPU cores of a node; None where only a connected manager can report them."""
