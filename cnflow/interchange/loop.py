"""Moves bytes between the driver, the managers and the state of the interchange.

One thread, which waits for all of these at once and for the next moment that is due::

    managers: ManagerLink ─────────────────┐                            ┌──> managers: ManagerLink
    driver: DriverLink ────────────────────┼─> poll ─> state ─> actions ┼──> driver: DriverLink
    clock ─────────────────────────────────┘                            └──> log

One turn: keys, messages of managers, messages of the driver, `dispatch`, acknowledgements to managers, `on_tick`.
Results of all managers in one turn leave in one message. The loop ends when the driver sends `Stop`, or has ended
(`driver_link`), and with SIGTERM.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any, Optional, Union

from cnflow.ids import BlockId, ManagerId
from cnflow.interchange import actions as on
from cnflow.interchange.bulk_link import BulkLink
from cnflow.interchange.driver_link import DriverLink
from cnflow.interchange.event_relay import EventRelay
from cnflow.interchange.manager_link import ManagerLink
from cnflow.interchange.manager_numbers import ManagerNumbers
from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
from cnflow.interchange.sample_relay import SampleRelay
from cnflow.interchange.sending import send_results, send_to_manager
from cnflow.interchange.state import Interchange
from cnflow.model.manager_settings import PROTOCOL
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.bulk import Chunk, Gone, Release, Unreleased, Want
from cnflow.wire.dial_messages import Dial
from cnflow.wire.function_messages import Prepare, Prepared
from cnflow.wire.item_checks import check_items
from cnflow.wire.lateness import Lateness
from cnflow.wire.manager_messages import (
    Events,
    Hold,
    Holding,
    ManagerHolds,
    NoWorkers,
    Samples,
    StatusQuery,
    TaskQuery,
    TaskReport,
)
from cnflow.wire.parcels import attach_frames

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from cnflow.clock import Clock
    from cnflow.interchange.dial_link import DialLink
    from cnflow.model.interchange_settings import InterchangeSettings

logger = logging.getLogger(__name__)


class Loop:
    """Process loop of the interchange; the module has a picture.

    Args:
        settings: from the driver.
        end: socket to the driver, or one that listens for it; see `driver_link`.
        wake: descriptor that becomes readable when the loop is to end; -1 for none.
        clock: moments of all events.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, settings: InterchangeSettings, end: socket.socket, wake: int, clock: Clock) -> None:
        self._clock = clock
        self._folder = settings.folder
        self._period = Seconds(settings.heartbeat_period)
        self._state = _new_state(settings, self._clock.now())
        self._is_adoptable, self._is_adoption, self._is_orphaned = settings.is_adoptable, settings.is_adoption, False
        self._has_socket_file = settings.manager_endpoint.startswith("ipc://")
        self._managers = ManagerLink(settings)
        self._managers.is_gone = self._state.is_gone
        self._poller = sockets.Poller()
        self._wake = wake
        for source in [*self._managers.sources, *([wake] if wake >= 0 else [])]:
            self._poller.register(source, sockets.READABLE)
        self._driver = DriverLink(settings, end, self._poller, self._clock.now())
        self._bulk = BulkLink(settings, self._managers, self._driver)
        self._managers.handle_bulk = self._bulk.on_manager_message
        self._driver.send(msg.Bound(self._managers.port))
        self._settings = settings
        self._dials: Optional[DialLink] = None
        """Connections to managers that listen; None before the first one."""

        self._events = EventRelay()
        self._samples = SampleRelay()
        self._numbers = ManagerNumbers(settings.restarts)

    def run(self) -> None:
        """Run until the driver sends `Stop` or is gone; then stop the managers."""
        now = self._clock.now()
        next_tick, lateness = Seconds(now + self._state.tick_period), Lateness(now, self._period)
        next_driver_tick = now + self._period / 2
        is_running = True
        while is_running:
            placed = self._state.data.next_deadline if not self._driver.is_full else next_tick
            due = self._bulk.due(min(next_tick, placed), now)
            wait = int((due - self._clock.now()) * 1000) + 1 if due > now else 0
            ready = dict(self._poller.poll(max(0, wait)))
            now = self._clock.now()
            if late := lateness.on_turn(now, due):
                self._state.on_late(late)
            self._perform(_with_results_merged(self._managers.receive(ready, self._handle_message, now)))
            if self._dials is not None:
                self._dials.receive(ready, now)
            if not self._state.is_putting_off and self._managers.on_forwarded(self._driver.last_sent):
                self._driver.request_acknowledgement()
            is_running = self._read_driver(ready, now) and self._wake not in ready
            self._send_held_results()
            if not self._driver.is_full:
                self._perform(self._state.dispatch(now))
            self._pass_reports_on()
            self._managers.on_delivered(self._driver.last_delivered)
            if now >= next_tick:
                self._on_tick(now)
                next_tick = Seconds(now + self._state.tick_period)
            if now >= next_driver_tick:
                self._driver.on_tick(now)
                next_driver_tick = now + self._period / 2
            self._bulk.flush(now)
        self._shut_down()

    def _on_tick(self, now: Seconds) -> None:
        self._perform(self._state.on_tick(now, has_heard_all=self._managers.is_all_read))
        if self._dials is not None:
            self._dials.on_tick(now, self._state.status_report)

    def _shut_down(self) -> None:
        if not self._is_orphaned:
            self._perform(self._state.on_stop())
        self._bulk.close()
        if self._dials is not None:
            self._dials.close()
        self._managers.close()
        self._driver.close()
        if self._is_orphaned and self._has_socket_file:
            return  # managers wait for an interchange at the same socket file
        shutil.rmtree(self._folder, ignore_errors=True)  # the driver, which removes it otherwise, may have been killed

    def _read_driver(self, ready: dict[Any, int], now: Seconds) -> bool:
        """Handle all messages of the driver; return whether the run goes on."""
        for message, attached in self._driver.receive(ready, now):
            if isinstance(message, msg.Work):
                tasks = attach_frames(message.tasks, attached)
                self._bulk.on_tasks(tasks)
                if message.forgets:
                    self._state.forget_functions()
                actions = self._state.on_submitted(message.functions, tasks, may_have_needs=message.may_have_needs)
                self._perform(actions)
            elif isinstance(message, msg.Resubmit):
                assert isinstance(self._state, RecoveringInterchange)  # the driver sends this after a restart only
                tasks = attach_frames(message.tasks, attached)
                self._bulk.on_tasks(tasks)
                if message.forgets:
                    self._state.forget_functions()
                self._perform(self._state.on_resubmitted(message.functions, tasks, is_last=message.is_last))
            elif isinstance(message, msg.Stop):
                self._driver.acknowledge()
                return False
            elif isinstance(message, (Want, Chunk, Gone)):
                self._bulk.on_driver_message(message, attached, now)
            else:
                self._handle_order(message, now)
        if self._driver.is_over(now):
            self._is_orphaned = self._is_adoptable
            fate = "left to another driver" if self._is_orphaned else "stopped"
            logger.info("the driver has ended; %d managers are %s", len(self._state.managers()), fate)
            return False
        return True

    def _handle_order(self, order: msg.Order, now: Seconds) -> None:
        if isinstance(order, msg.Cancel):
            self._perform(self._state.on_cancelled(order.tasks, now))
        elif isinstance(order, msg.BlockGone):
            self._managers.revoke(order.block)
            if self._dials is not None:
                self._dials.on_block_gone(order.block)
            self._perform(self._state.on_block_gone(order.block, order.reason, now))
        elif isinstance(order, msg.Drain):
            self._perform(self._state.on_drain_requested(order.block, now))
        elif isinstance(order, msg.Admit):
            self._state.on_admitted(order.block)
            self._managers.admit(order.block, order.key)
        elif isinstance(order, Release):
            self._bulk.on_released(order, self._state.places.release(order.blobs))
        elif isinstance(order, Dial):
            self._dial(order, now)
        elif isinstance(order, Hold):
            self._state.on_hold_requested(order.manager)
        else:
            self._handle_other_order(order, now)

    def _dial(self, order: Dial, now: Seconds) -> None:
        if self._dials is None:
            from cnflow.interchange.dial_link import DialLink  # noqa: PLC0415 - most interchanges never dial

            self._dials = DialLink(self._settings, self._managers, self._poller, self._driver.send)
        self._dials.on_dial(order, now)

    def _handle_other_order(
        self, order: Union[msg.IdleTimesQuery, StatusQuery, TaskQuery, Prepare, NoWorkers], now: Seconds
    ) -> None:
        if isinstance(order, msg.IdleTimesQuery):
            self._driver.send(msg.IdleTimes(self._state.idle_times(now)))
        elif isinstance(order, StatusQuery):
            self._driver.send(self._state.status_report(order.number, order.task, now))
        elif isinstance(order, TaskQuery):
            self._perform(self._state.on_task_query(order, now))
        elif isinstance(order, Prepare):
            self._perform(self._state.on_prepare(order.functions))
        else:
            logger.warning("the driver of an interchange of its own sends no NoWorkers")

    def _handle_message(
        self, manager: ManagerId, message: msg.FromManager, attached: Sequence[Any], now: Seconds
    ) -> list[on.Action]:
        if isinstance(message, msg.Done):
            self._numbers.write(manager, message.results)
            check_items(manager, message.results)
            results = attach_frames(message.results, attached)
            actions = self._state.on_results(manager, message.window, results, now, message.calls)
            unsent = on.blobs_not_sent(results, actions)
            return [*actions, *self._in_order(on.ReportUnreleased(manager, unsent))] if unsent else actions
        if isinstance(message, Holding) and self._is_adoption:
            self._driver.send(ManagerHolds(manager, message.tasks))  # at once: before the results of these tasks
        if isinstance(message, msg.Register):
            return self._state.on_registered(manager, message.info, now, message.held, message.stopping)
        if isinstance(message, msg.Draining):
            return self._state.on_draining(manager, now)
        if isinstance(message, msg.Leaving):
            return self._state.on_manager_left(manager, message.reason)
        if isinstance(message, (Unreleased, Prepared)):
            return [*self._state.on_heartbeat(manager, now), *self._in_order(_report_of(manager, message))]
        if isinstance(message, TaskReport):
            self._driver.send(message)
        if isinstance(message, Events):
            self._events.on_events(message)
        if isinstance(message, Samples):
            self._samples.on_samples(message)
        return self._state.on_heartbeat(manager, now)

    def _in_order(self, report: on.Report) -> list[on.Action]:
        """Send *report* to the driver after the results, and the registration, that the manager sent before."""
        return self._state.in_order(report) if isinstance(self._state, RecoveringInterchange) else [report]

    def _pass_reports_on(self) -> None:
        """Send the driver what waits for its line to be idle: events first."""
        for relay in (self._events, self._samples):
            if relay and self._driver.is_idle:
                for message in relay.take():
                    self._driver.send(message)

    def _perform(self, actions: list[on.Action]) -> None:
        for action in actions:
            if isinstance(action, on.SendResults):
                self._send_results(self._bulk.results.hold(action.results) if self._driver.is_away else action.results)
            elif isinstance(action, on.REPORTS):
                self._report(action)
            else:
                send_to_manager(self._managers, action)

    def _send_results(self, results: list[msg.ResultParcel]) -> None:
        send_results(self._driver, results)

    def _send_held_results(self) -> None:
        """Send the results whose large parts are here, or are the driver's own concern again."""
        held = self._bulk.results
        if held.is_holding and not self._driver.is_away:
            held.on_driver_back()
        if ready := held.take_ready():
            self._send_results(ready)

    def _report(self, report: on.Report) -> None:
        if isinstance(report, on.ReportDrained):
            self._driver.send(msg.Drained(report.block))
        elif isinstance(report, on.ReportBlockEmpty):
            self._driver.send(msg.BlockEmpty(report.block))
        elif isinstance(report, on.ReportUnreleased):
            self._driver.send(Unreleased(report.manager, report.blobs))
        elif isinstance(report, on.ReportPrepared):
            report.message.manager = self._numbers.of(report.manager)
            self._driver.send(report.message)
        elif isinstance(report, on.ReportManagerUp):
            logger.info("manager %s up: %s", report.manager.hex(), report.info)
            self._managers.on_manager_up(report.manager)
            self._driver.send(msg.ManagerUp(report.manager, report.info, self._numbers.of(report.manager)))
        else:
            manager, reason, lost = report
            logger.warning("manager %s down (%s) with %d tasks", manager.hex(), reason, len(lost))
            self._managers.on_manager_gone(manager)
            self._bulk.on_manager_gone(manager)
            self._send_held_results()  # before the news of the loss
            if self._dials is not None:
                self._dials.on_manager_gone(manager)
            self._driver.send(msg.ManagerDown(manager, reason, lost))


def _new_state(settings: InterchangeSettings, now: Seconds) -> Interchange:
    period, threshold = Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold)
    if not settings.is_restart:
        blocks = map(BlockId, settings.blocks)
        return Interchange(PROTOCOL, period, threshold, blocks, sure_after=settings.sure_after)
    awaited, departed = (
        {ManagerId(bytes.fromhex(digits)): BlockId(block) for digits, block in managers.items()}
        for managers in (settings.awaited, settings.departed)
    )
    predecessor = Predecessor(
        map(BlockId, settings.blocks), awaited, departed, settings.keeps_unknown, settings.is_adoption
    )
    return RecoveringInterchange(PROTOCOL, period, threshold, predecessor, now, sure_after=settings.sure_after)


def _report_of(manager: ManagerId, message: Union[Unreleased, Prepared]) -> on.Report:
    if isinstance(message, Prepared):
        return on.ReportPrepared(manager, message)
    return on.ReportUnreleased(manager, message.blobs)  # the driver judges whether it needs them


def _with_results_merged(actions: list[on.Action]) -> list[on.Action]:
    """Return *actions* with the results of all managers in one action."""
    if len(actions) < 2:  # noqa: PLR2004 - nothing to merge, as in most turns
        return actions
    results: list[msg.ResultParcel] = [
        parcel for action in actions if isinstance(action, on.SendResults) for parcel in action.results
    ]
    rest: list[on.Action] = [action for action in actions if not isinstance(action, on.SendResults)]
    return [on.SendResults(results), *rest] if results else rest
