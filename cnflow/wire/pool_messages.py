"""Report of an interchange with several clients to its owner; `messages` has the table of all messages."""

from __future__ import annotations

import msgspec

from cnflow.wire.base import Message
from cnflow.wire.manager_messages import Duration, Needs, NonNegativeInt


class ClientStatus(msgspec.Struct, array_like=True, frozen=True):
    """State of one session of a client at one moment."""

    name: str
    """That of the client's key; a client may have several sessions."""

    session: str
    """Its identity, as hexadecimal digits."""

    is_connected: bool
    weight: float
    queued: NonNegativeInt
    """Tasks that no manager has."""

    running: NonNegativeInt
    """Tasks that were sent to a manager."""

    ended: NonNegativeInt
    """Results that were sent to the client, or wait for it."""

    idle: Duration
    """Seconds since its last message."""


class QueuedNeeds(msgspec.Struct, array_like=True, frozen=True):
    """Number of unfinished tasks with the same needs."""

    unfinished: NonNegativeInt
    queued: NonNegativeInt
    """Those of them that no manager has."""

    needs: Needs
    """Their priority does not count here. Tasks without needs have those of one worker."""


class PoolReport(Message):
    """State of the queues: sent when it has changed, at most once in `PoolInterchangeSettings.report_period`."""

    clients: list[ClientStatus]
    needs: list[QueuedNeeds]
    ended: NonNegativeInt
    """Tasks that have ended since the interchange started."""

    managers: NonNegativeInt
    """Registered managers."""
