"""Settings of an interchange that serves several clients, and the first line of a client's bridge to it.

Separate from the loop of such an interchange, so that whoever starts one imports no ZeroMQ for them.
"""

from __future__ import annotations

from typing import Optional

import msgspec

from cnflow.model.interchange_settings import InterchangeSettings

KEY_SUFFIX = ".key"
"""End of the name of a client's file in `PoolInterchangeSettings.client_keys`; before it is the client's name."""


class PoolInterchangeSettings(InterchangeSettings, frozen=True, kw_only=True):
    """Settings that the owner of a pool writes to ``python -m cnflow.interchange --pool`` as one line of JSON.

    The owner has the part of a driver without tasks: it admits blocks, drains them, and gets a `PoolReport`.
    """

    clients_endpoint: str
    """``tcp://ADDRESS`` without a port, or ``ipc://PATH``."""

    clients_ports: Optional[tuple[int, int]] = None
    """First and last TCP port to try for clients; None takes any free port."""

    clients_secret_key: str
    """CURVE key of the clients' port, Z85."""

    client_keys: str
    """Folder with a file ``NAME.key`` for each client: its public key (Z85), and its weight if that is not 1. Read
    again when it changes; a client whose file is gone is disconnected and forgotten."""

    managers_key: str = ""
    """Public key with which managers of any block may register, whether the owner has admitted the block or not: for
    pods that a Deployment starts, not the owner. Empty for none."""

    clients_grace: float = 300.0
    """Seconds without a connection after which a client is forgotten, and its tasks with it."""

    most_queued: int = 100_000
    """Queued tasks of one client above which nothing more is read from it."""

    report_period: float = 0.2
    """Seconds between two `PoolReport` while something changes."""


PIPE_MAY_STAND_SOON = 75
"""Exit code of a `ClientRequest.pipe` whose far end is not there now, as while a server is replaced (EX_TEMPFAIL,
sysexits(3head))."""


class ClientRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """First line that a driver writes to ``python -m cnflow.interchange.client_bridge``, as JSON.

    Contains keys, and therefore never travels in argv or in the environment.
    """

    session: str
    """Identity of the driver's session with the pool, as hexadecimal digits."""

    is_new: bool = False
    """Begin this session; False goes on with one that the pool has. The bridge's greeting is ``started``, ``attached``,
    or ``gone`` where the pool does not have it."""

    replaces: str = ""
    """Session that the pool forgets first, with its tasks."""

    endpoint: str
    """``tcp://HOST:PORT`` or ``ipc://PATH`` of the port for clients; for messages only where there is a `pipe`."""

    server_key: str
    """Public key of that port, Z85."""

    client_public: str
    client_secret: str
    """Keys of the client, Z85."""

    pipe: tuple[str, ...] = ()
    """Command whose stdin and stdout lead to that port byte by byte, such as ``ssh -W HOST:PORT LOGIN``; empty connects
    to `endpoint`."""

    timeout: float = 20.0
    """Seconds from the start to an answer of the pool."""
