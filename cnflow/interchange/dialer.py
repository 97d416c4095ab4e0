"""Decides when the interchange connects to managers that listen. No I/O: `dial_link` searches and connects.

::

    Dial ──> Search: which address accepts a connection?
               │        └── none: DialFailed to the driver; searched again after `_RETRY_PERIOD`
               v
             Connect ──> the manager registers, as one that has connected itself; if it does not, as where the address
               │         is another machine's, the next search leaves that host out
               │           └── silent for a third of the threshold, as when a gateway has forgotten the connection, the
               │               manager has other addresses, or ZeroMQ has given up: Search, then a new connection
               v
    the manager or its block is gone: Disconnect

ZeroMQ makes a connection again by itself that was reset. A manager whose addresses have changed is dialled anew by the
driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import BlockId, ManagerId
    from cnflow.wire.dial_messages import Dial

_RETRY_PERIOD = Seconds(2.0)
"""Time between two searches for a manager none of whose addresses accepts a connection."""

_SILENCE_SHARE, _PERIODS = 1 / 3, 1.25
"""As in the manager that connects itself: share of the threshold, and never less than so many heartbeat periods."""


class Search(NamedTuple):
    """Find out which of *hosts* of a manager accepts a connection; `on_found` follows."""

    dial: Dial
    hosts: tuple[str, ...]


class Connect(NamedTuple):
    """Connect to both ports of *host*."""

    host: str
    ports: tuple[int, int]


class Disconnect(NamedTuple):
    """End the connections to both ports of *host*, or the attempts to make them."""

    host: str
    ports: tuple[int, int]


class ReportUnreachable(NamedTuple):
    """Report to the driver that no address of a manager accepts a connection."""

    dial: Dial


Action = Union[Search, Connect, Disconnect, ReportUnreachable]


class _Target:
    """A manager to connect to.

    Attributes:
        connection: is there, or is being made again by ZeroMQ.
        strange: hosts that accepted a connection, after which no manager registered.
    """

    __slots__ = ("attempt_at", "connection", "dial", "is_reported", "is_searching", "strange")

    def __init__(self, dial: Dial, now: Seconds) -> None:
        self.dial = dial
        self.attempt_at = now
        self.connection: Optional[Connect] = None
        self.is_searching = self.is_reported = False
        self.strange: set[str] = set()

    def search(self) -> Search:
        self.is_searching = True
        if self.strange.issuperset(self.dial.hosts):
            self.strange.clear()
        return Search(self.dial, tuple(host for host in self.dial.hosts if host not in self.strange))


class Dialer:
    """State of all connections that the interchange makes; the module has a picture.

    Args:
        heartbeat_period: a living manager sends something as often.
        heartbeat_threshold: a manager that is silent for longer is lost.
    """

    def __init__(self, heartbeat_period: Seconds, heartbeat_threshold: Seconds) -> None:
        self._silence_limit = max(heartbeat_threshold * _SILENCE_SHARE, heartbeat_period * _PERIODS)
        self._targets: dict[ManagerId, _Target] = {}

    def __bool__(self) -> bool:
        return bool(self._targets)

    def on_dial(self, dial: Dial, now: Seconds) -> list[Action]:
        """Connect to a manager, or at its new addresses."""
        target = self._targets.get(dial.manager)
        if target is None:
            target = self._targets[dial.manager] = _Target(dial, now)
        elif target.dial == dial:
            return []
        target.dial = dial  # a search for the addresses before ends in vain
        target.strange.clear()
        return [target.search()]

    def on_found(self, dial: Dial, host: Optional[str], now: Seconds) -> list[Action]:
        """Connect to *host*, which accepts a connection; None if none of the manager's does."""
        target = self._targets.get(dial.manager)
        if target is None or target.dial != dial:
            return []
        target.is_searching = False
        target.attempt_at = now
        if host is None:
            target.strange.clear()
            if target.is_reported:
                return []
            target.is_reported = True
            return [ReportUnreachable(dial)]
        target.is_reported = False
        former, target.connection = target.connection, Connect(host, dial.ports)
        return [*([Disconnect(*former)] if former is not None else []), target.connection]

    def on_manager_gone(self, manager: ManagerId) -> list[Action]:
        """End what concerns *manager*."""
        target = self._targets.pop(manager, None)
        return [Disconnect(*target.connection)] if target is not None and target.connection is not None else []

    def on_block_gone(self, block: BlockId) -> list[Action]:
        """End what concerns the managers of *block*."""
        gone = [manager for manager, target in self._targets.items() if target.dial.block == block]
        return [action for manager in gone for action in self.on_manager_gone(manager)]

    def on_tick(self, now: Seconds, silences: Mapping[ManagerId, float]) -> list[Action]:
        """Search for the managers that are silent, and for those that were not reached.

        Args:
            now: the moment.
            silences: seconds since the last message of each manager that has registered.
        """
        actions: list[Action] = []
        for manager, target in self._targets.items():
            if target.is_searching:
                continue
            if target.connection is None or target.is_reported:
                due = target.attempt_at + _RETRY_PERIOD
            else:
                heard_at = now - silences[manager] if manager in silences else target.attempt_at
                due = max(heard_at, target.attempt_at) + self._silence_limit
            if now >= due:
                if manager not in silences and target.connection is not None:
                    target.strange.add(target.connection.host)
                actions.append(target.search())
        return actions
