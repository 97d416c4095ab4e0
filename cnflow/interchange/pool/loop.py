"""Moves bytes between the clients of a pool, its managers, its owner and its state.

One thread, which waits for all of these at once and for the next moment that is due::

    managers: ManagerLink ────────────────┐                                 ┌──> managers: ManagerLink
    clients: ClientPort ─> ClientSession ─┼─> poll ─> PoolInterchange ──────┼──> clients: ClientSession
    owner: DriverLink ────────────────────┘             actions             └──> owner: DriverLink, PoolReport

A turn reads a bounded amount of each client. Messages of managers are acknowledged at once: after a restart of this
process clients submit everything again that they have no result of, and managers stop what they have.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from typing import TYPE_CHECKING, Any, Union

from cnflow.ids import BlockId, ManagerId
from cnflow.interchange import actions as on
from cnflow.interchange.driver_link import DriverLink
from cnflow.interchange.manager_link import ManagerLink
from cnflow.interchange.manager_numbers import ManagerNumbers
from cnflow.interchange.pool.actions import ForClient, ReleaseResults
from cnflow.interchange.pool.functions import SharedFunctions
from cnflow.interchange.pool.sessions import ClientSessions
from cnflow.interchange.pool.standing import StandingInterchange
from cnflow.interchange.pool.state import PoolInterchange
from cnflow.interchange.sending import send_to_manager
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.bulk import Release, Unreleased
from cnflow.wire.function_messages import Prepared
from cnflow.wire.item_checks import check_items
from cnflow.wire.lateness import Lateness
from cnflow.wire.manager_messages import Events, Hold, NoWorkers, StatusQuery, TaskReport
from cnflow.wire.parcels import attach_frames

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from cnflow.clock import Clock
    from cnflow.interchange.pool.actions import PoolAction
    from cnflow.model.pool_settings import PoolInterchangeSettings

logger = logging.getLogger(__name__)

_GUESTS = BlockId("guests")
"""Stands for the blocks of managers that the owner did not admit, where keys are by block."""

_KEYS_PERIOD = 1.0
"""Seconds between two looks at the keys of the clients."""


def first_task() -> int:
    """Id of the first task: above those of all interchanges before, unless one had a million tasks in a millisecond."""
    return int(time.time() * 1000) << 20


class PoolLoop:
    """Process loop of a pool's interchange; the module has a picture.

    Args:
        settings: from the owner.
        end: socket to the owner.
        clock: moments of all events.

    Raises:
        OSError: an address cannot be bound.
    """

    def __init__(self, settings: PoolInterchangeSettings, end: socket.socket, clock: Clock) -> None:
        self._settings, self._is_orphaned = settings, False
        self._clock = clock
        now = clock.now()
        functions = SharedFunctions()
        self._state = PoolInterchange(StandingInterchange(settings, functions.table), functions, first_task())
        self._managers = ManagerLink(settings)
        if settings.managers_key:
            self._managers.admit(_GUESTS, settings.managers_key)
        self._numbers = ManagerNumbers(settings.restarts)
        self._poller = sockets.Poller()
        self._owner = DriverLink(settings, end, self._poller, now)
        self._clients = ClientSessions(settings, self._state, self._managers, self._numbers)
        self._managers.handle_bulk = self._clients.on_bulk_of_manager
        self._managers.is_gone = self._state.scheduler.is_gone
        for source in (*self._managers.sources, *self._clients.port.sources):
            self._poller.register(source, sockets.READABLE)
        self._owner.send(msg.Bound(self._managers.port, self._clients.port.port))
        self._reported = self._state.counts()
        self._next_report = now

    def run(self) -> None:
        """Run until the owner sends `Stop` or is gone; then stop the managers, unless another one adopts them."""
        now = self._clock.now()
        period = Seconds(self._settings.heartbeat_period)
        next_tick, lateness = Seconds(now + self._state.scheduler.tick_period), Lateness(now, period)
        next_links_tick, next_keys = now + period / 2, now + _KEYS_PERIOD
        is_running = True
        while is_running:
            placed = self._state.scheduler.data.next_deadline
            due = min(next_tick, next_keys, placed, self._clients.due(next_tick, now), self._next_report_due())
            wait = int((due - self._clock.now()) * 1000) + 1 if due > now else 0
            ready = dict(self._poller.poll(max(0, wait)))
            now = self._clock.now()
            if late := lateness.on_turn(now, Seconds(due)):
                self._state.scheduler.on_late(late)
            is_running = self._turn(ready, now)
            if now >= next_tick:
                self._perform_of_scheduler(self._state.scheduler.on_tick(now, has_heard_all=self._managers.is_all_read))
                next_tick = Seconds(now + self._state.scheduler.tick_period)
            if now >= next_links_tick:
                self._owner.on_tick(now)
                self._clients.on_tick(now)
                next_links_tick = now + period / 2
            if now >= next_keys:
                self._perform(self._clients.on_keys(now))
                next_keys = now + _KEYS_PERIOD
            self._clients.flush(now)
            self._report(now)
        self._shut_down()

    def _turn(self, ready: dict[Any, int], now: Seconds) -> bool:
        """Read from everybody, and dispatch; return False once the owner has ended."""
        self._perform_of_scheduler(self._managers.receive(ready, self._handle_message, now))
        is_running = self._read_owner(ready, now)
        self._perform(self._clients.receive(ready, now))
        self._perform(self._state.dispatch(now))
        self._managers.on_forwarded(0)
        self._managers.on_delivered(0)
        return is_running

    def _shut_down(self) -> None:
        if not self._is_orphaned:
            self._perform_of_scheduler(self._state.scheduler.on_stop())
        self._clients.close()
        self._managers.close()
        self._owner.close()
        shutil.rmtree(self._settings.folder, ignore_errors=True)

    # Owner

    def _read_owner(self, ready: dict[Any, int], now: Seconds) -> bool:
        for message, _ in self._owner.receive(ready, now):
            if isinstance(message, msg.Stop):
                self._owner.acknowledge()
                return False
            self._handle_order(message, now)
        if self._owner.is_over(now):
            self._is_orphaned = self._settings.is_adoptable
            fate = "left to another interchange" if self._is_orphaned else "stopped"
            logger.info(
                "the owner of the pool has ended; %d managers are %s", len(self._state.scheduler.managers()), fate
            )
            return False
        return True

    def _handle_order(self, order: msg.ToInterchange, now: Seconds) -> None:
        scheduler = self._state.scheduler
        if isinstance(order, msg.BlockGone):
            self._managers.revoke(order.block)
            self._perform_of_scheduler(scheduler.on_block_gone(order.block, order.reason, now))
        elif isinstance(order, msg.Drain):
            self._perform_of_scheduler(scheduler.on_drain_requested(order.block, now))
        elif isinstance(order, msg.Admit):
            scheduler.on_admitted(order.block)
            self._managers.admit(order.block, order.key)
        elif isinstance(order, Hold):
            scheduler.on_hold_requested(order.manager)
        elif isinstance(order, NoWorkers):
            self._perform(self._state.on_no_workers(order.reason, is_final=order.is_final))
        elif isinstance(order, msg.IdleTimesQuery):
            self._owner.send(msg.IdleTimes(scheduler.idle_times(now)))
        elif isinstance(order, StatusQuery):
            self._owner.send(scheduler.status_report(order.number, order.task, now))
        else:
            logger.warning("the owner of a pool sends no %s", type(order).__name__)

    def _report(self, now: Seconds) -> None:
        """Send a report if something has changed, and the last one was not just now."""
        if now >= self._next_report and (counts := self._state.counts()) != self._reported:
            self._reported = counts
            self._next_report = Seconds(now + self._settings.report_period)
            self._owner.send(self._state.report(now))

    def _next_report_due(self) -> float:
        """Moment to wake for a report."""
        return math.inf if self._state.counts() == self._reported else self._next_report

    # Managers

    def _handle_message(
        self, manager: ManagerId, message: msg.FromManager, attached: Sequence[Any], now: Seconds
    ) -> list[on.Action]:
        scheduler = self._state.scheduler
        if isinstance(message, msg.Done):
            self._numbers.write(manager, message.results)
            check_items(manager, message.results)
            results = attach_frames(message.results, attached)
            actions = scheduler.on_results(manager, message.window, results, now, message.calls)
            unsent = on.blobs_not_sent(results, actions)
            return [*actions, on.ReportUnreleased(manager, unsent)] if unsent else actions
        if isinstance(message, msg.Register):
            return scheduler.on_registered(manager, message.info, now, message.held, message.stopping)
        if isinstance(message, msg.Draining):
            return scheduler.on_draining(manager, now)
        if isinstance(message, msg.Leaving):
            return scheduler.on_manager_left(manager, message.reason)
        actions = scheduler.on_heartbeat(manager, now)
        if isinstance(message, Unreleased):
            return [*actions, on.ReportUnreleased(manager, message.blobs)]
        if isinstance(message, Prepared):
            self._clients.on_prepared(manager, message)
        if isinstance(message, TaskReport):
            self._clients.on_task_report(message)
        if isinstance(message, Events):
            self._clients.send_notes(message, self._state.notes_by_client(message.events))
        return actions

    def _perform_of_scheduler(self, actions: Iterable[on.Action]) -> None:
        self._perform(self._state.route(actions))

    def _perform(self, actions: Iterable[PoolAction]) -> None:
        for action in actions:
            if isinstance(action, ForClient):
                self._clients.perform(action)
            elif isinstance(action, ReleaseResults):
                self._managers.send(action.manager, Release(action.source, action.blobs))
            elif isinstance(action, on.ReportUnreleased):
                self._perform(self._clients.on_unreleased(action))
            elif isinstance(action, (on.ReportManagerUp, on.ReportManagerDown, on.ReportDrained, on.ReportBlockEmpty)):
                self._tell_owner(action)
            else:
                assert not isinstance(action, (on.SendResults, on.ReportPrepared))  # those are for clients
                send_to_manager(self._managers, action)

    def _tell_owner(
        self, report: Union[on.ReportManagerUp, on.ReportManagerDown, on.ReportDrained, on.ReportBlockEmpty]
    ) -> None:
        if isinstance(report, on.ReportManagerUp):
            logger.info("manager %s up: %s", report.manager.hex(), report.info)
            self._managers.on_manager_up(report.manager)
            self._owner.send(msg.ManagerUp(report.manager, report.info, self._numbers.of(report.manager)))
        elif isinstance(report, on.ReportManagerDown):
            logger.warning("manager %s down: %s", report.manager.hex(), report.reason)
            self._managers.on_manager_gone(report.manager)
            self._clients.on_manager_gone(report.manager)
            self._owner.send(msg.ManagerDown(report.manager, report.reason, {}))
        else:
            is_drained = isinstance(report, on.ReportDrained)
            self._owner.send(msg.Drained(report.block) if is_drained else msg.BlockEmpty(report.block))
