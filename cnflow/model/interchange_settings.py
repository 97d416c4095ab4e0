"""Settings of an interchange process. Separate from its loop, so that the driver imports no ZeroMQ for them."""

from __future__ import annotations

from typing import Optional

import msgspec

GREETING = b"cnflow-interchange "
"""Begin of the line of a relay after which messages follow; programs of a login may print others before."""

STARTED, ATTACHED, GONE = "started", "attached", "gone"
"""End of that line: whether the relay has started an interchange, has reached one that ran, or has found none."""


class InterchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that the driver writes to the interchange's stdin as one line of JSON.

    Contains keys, and therefore never travels in argv or in the environment.
    """

    session: str
    """Identity of the session with the driver, as hexadecimal digits."""

    folder: str
    """Folder of the socket files, which only the user can enter. The interchange removes it if the driver does not."""

    manager_endpoint: str
    """``tcp://ADDRESS`` without a port, or ``ipc://PATH``; empty where managers listen, not the interchange."""

    ports: Optional[tuple[int, int]] = None
    """First and last TCP port to try; None takes any free port."""

    secret_key: str = ""
    """CURVE key of the interchange; empty for a plain socket."""

    blocks: dict[str, str] = {}
    """Blocks whose managers may register, and the public key of each, as in `Admit`; the driver admits more later."""

    largest_message: int = -1
    """Bytes of one frame over TCP; -1 is no limit."""

    is_restart: bool = False
    """True if this interchange replaces one that was killed, of this driver or of one before."""

    restarts: int = 0
    """Interchanges of this driver before this one."""

    is_adoption: bool = False
    """True if managers of another driver are awaited: they report the content of their tasks, too."""

    keeps_unknown: bool = False
    """True if awaited managers may have tasks of another driver, which this driver does not resubmit."""

    is_adoptable: bool = False
    """True leaves the managers alone when the driver was killed: they wait for another."""

    awaited: dict[str, str] = {}
    """Manager of the killed interchange, as hexadecimal digits -> its block."""

    departed: dict[str, str] = {}
    """Manager that was lost before, as hexadecimal digits -> its block."""

    sure_after: int = 1
    """Number of blocks to see before a task is known to fit none; 1 where all nodes are alike."""

    heartbeat_period: float = 30.0
    """Seconds."""

    heartbeat_threshold: float = 120.0
    """Seconds of silence after which a manager is lost."""

    log_size: int = 0
    """Bytes of its log and the older part of that; 0 is no limit."""

    log_ids: dict[str, str] = {}
    """Fields of each line of its log, which is JSON then; empty for a log of text."""

    spool: str = ""
    """Folder for results that wait for a driver that is away, made and removed by the interchange; empty is one in
    `folder`."""

    most_spooled: int = 0
    """Bytes of results that wait on disk for a driver that is away, before no more tasks are started."""

    grace: float = 0.0
    """Seconds without a connection to the driver after which the interchange ends, where it can be made again; see
    `cnflow.interchange.relay`."""


class RelayRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """First line that the driver writes to a relay, as JSON. The relay parses it with the standard library."""

    session: str
    """Identity of the session of the interchange to attach to, or to start."""

    replaces: str = ""
    """Identity of one that is killed first."""

    settings: Optional[InterchangeSettings] = None
    """None attaches to an interchange that runs."""
