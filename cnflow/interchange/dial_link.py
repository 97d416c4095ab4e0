"""Carries out what the dialer decides: searches in threads of their own, and connections of the ROUTER.

::

    driver: Dial ──> Dialer ──> Search ──> a thread: which host accepts? ──> source is readable ──> on_found
                       │                                                                               │
                       └── Connect, Disconnect ──> ManagerLink (ROUTER) <──────────────────────────────┘
"""

from __future__ import annotations

import logging
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Optional

from cnflow.addresses import first_reachable, tcp_url
from cnflow.ids import TaskId
from cnflow.interchange.dialer import Connect, Dialer, Disconnect, Search
from cnflow.units import Seconds
from cnflow.wire import sockets
from cnflow.wire.dial_messages import Dial, DialFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cnflow.ids import BlockId, ManagerId
    from cnflow.interchange.dialer import Action
    from cnflow.interchange.manager_link import ManagerLink
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.wire.manager_messages import StatusReport

logger = logging.getLogger(__name__)

_NO_TASK = TaskId(-1)
_SEARCH_TIMEOUT = Seconds(3.0)
"""Time for one address to accept a connection; a packet that is lost is sent again after one."""

_MOST_SEARCHES = 32
"""Searches at the same time. One ends within milliseconds, unless packets to all addresses are dropped."""


class DialLink:
    """Connections that the interchange makes; the module has a picture.

    Args:
        settings: of the interchange.
        managers: connections to all managers.
        poller: the loop's.
        report: sends a message to the driver.
    """

    def __init__(
        self,
        settings: InterchangeSettings,
        managers: ManagerLink,
        poller: sockets.Poller,
        report: Callable[[DialFailed], None],
    ) -> None:
        self._dialer = Dialer(Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold))
        self._managers = managers
        self._report = report
        self._found: deque[tuple[Dial, Optional[str]]] = deque()
        self._threads = ThreadPoolExecutor(_MOST_SEARCHES, "dial")
        self._source, self._signal = os.pipe()
        poller.register(self._source, sockets.READABLE)

    def on_dial(self, dial: Dial, now: Seconds) -> None:
        """Connect to a manager that listens."""
        self._perform(self._dialer.on_dial(dial, now))

    def receive(self, ready: Mapping[Any, int], now: Seconds) -> None:
        """Go on with the searches that have ended."""
        if self._source not in ready:
            return
        os.read(self._source, 4096)
        while self._found:
            dial, host = self._found.popleft()
            self._perform(self._dialer.on_found(dial, host, now))

    def on_tick(self, now: Seconds, report: Callable[[int, TaskId, Seconds], StatusReport]) -> None:
        """See that silent managers are connected with anew; *report* gives the state of all."""
        if self._dialer:
            silences = {manager.id: manager.silent for manager in report(0, _NO_TASK, now).managers}
            self._perform(self._dialer.on_tick(now, silences))

    def on_manager_gone(self, manager: ManagerId) -> None:
        """End the connections to *manager*."""
        self._perform(self._dialer.on_manager_gone(manager))

    def on_block_gone(self, block: BlockId) -> None:
        """End the connections to the managers of *block*."""
        self._perform(self._dialer.on_block_gone(block))

    def close(self) -> None:
        """Begin no search more; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Search):
                self._threads.submit(self._search, action.dial, action.hosts)
            elif isinstance(action, Connect):
                for port in action.ports:
                    self._managers.connect(tcp_url(action.host, port))
            elif isinstance(action, Disconnect):
                for port in action.ports:
                    self._managers.disconnect(tcp_url(action.host, port))
            else:
                self._on_unreachable(action.dial)

    def _on_unreachable(self, dial: Dial) -> None:
        addresses = ", ".join(f"{host}:{dial.ports[0]}" for host in dial.hosts)
        reason = (
            f"its manager listens, and the interchange gets no connection to any of {addresses} within "
            f"{_SEARCH_TIMEOUT:g} s; it goes on trying"
        )
        logger.warning("block %s, manager %s: %s", dial.block, dial.manager.hex(), reason)
        self._report(DialFailed(dial.manager, dial.block, reason))

    def _search(self, dial: Dial, hosts: Sequence[str]) -> None:
        host = None
        try:
            host = first_reachable(hosts, dial.ports[0], _SEARCH_TIMEOUT)
        except Exception:  # the search must end in any case: the next one waits for it
            logger.exception("the search for manager %s failed", dial.manager.hex())
        finally:
            self._found.append((dial, host))
            os.write(self._signal, b"x")
