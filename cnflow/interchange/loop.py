"""Moves bytes between the driver, the managers and the state of the interchange.

One thread, which waits for all of these at once and for the next moment that is due::

    stdin (open while the driver lives) ───┐                            ┌──> driver: Stream
    authenticator: is this key admitted? ──┤                            │
    managers: ROUTER ──────────────────────┼─> poll ─> state ─> actions ┼──> managers: ROUTER
    driver: Stream (a socket pair) ────────┤                            │
    clock ─────────────────────────────────┘                            └──> log

One turn: keys, messages of managers, messages of the driver, `dispatch`, end of stdin, registration requests after a
restart, `on_tick`. Results of all managers in one turn leave in one message. The loop ends when the driver sends
`Stop`, closes its stream, or dies: stdin closes with it, however it dies.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Any

from cnflow.ids import BlockId, ManagerId
from cnflow.interchange import actions as on
from cnflow.interchange.recovery import RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.model.manager_settings import PROTOCOL
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.manager_messages import Hold, StatusQuery, TaskQuery, TaskReport
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.stream import Stream

if TYPE_CHECKING:
    from cnflow.clock import Clock
    from cnflow.model.interchange_settings import InterchangeSettings

logger = logging.getLogger(__name__)

_LINGER = Seconds(1.0)
"""Time for the last messages to managers to be sent."""

_REQUEST_PERIOD, _SLOW_REQUEST_PERIOD = Seconds(0.05), Seconds(1.0)
"""Periods of the registration requests after a restart: before dispatch begins, and then."""


class Loop:
    """Process loop of the interchange; the module has a picture.

    Args:
        settings: from the driver.
        clock: moments of all events.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, settings: InterchangeSettings, clock: Clock) -> None:
        self._clock = clock
        self._folder = settings.folder
        self._period = Seconds(settings.heartbeat_period)
        self._state = _new_state(settings, self._clock.now())
        self._session = os.urandom(8)
        self._next_request = Seconds(0.0 if isinstance(self._state, RecoveringInterchange) else math.inf)
        self._malformed, self._rejected = MalformedMessageLimit(), MalformedMessageLimit()
        self._context = sockets.new_context()
        self._authenticator = sockets.Authenticator(self._context, settings.block_keys) if settings.secret_key else None
        self._managers, port = sockets.bind_router(
            self._context, settings.manager_endpoint, settings.ports, settings.secret_key, settings.largest_message
        )
        self._driver = Stream(socket.socket(fileno=settings.driver))
        self._driver_is_slow = False
        self._poller = sockets.Poller()
        readable = [settings.driver, self._managers.raw, sys.stdin.fileno()]
        for source in [*readable, *([self._authenticator.raw] if self._authenticator else [])]:
            self._poller.register(source, sockets.READABLE)
        self._send_to_driver([msg.Bound(port)])

    def run(self) -> None:
        """Run until the driver sends `Stop` or is gone; then stop the managers."""
        next_tick = self._clock.now() + self._period / 2
        is_running = True
        while is_running:
            wait = max(0.0, min(next_tick, self._next_request) - self._clock.now())
            ready = dict(self._poller.poll(int(wait * 1000) + 1))
            now = self._clock.now()
            if self._authenticator and self._authenticator.raw in ready:
                self._authenticate(self._authenticator, now)
            if self._managers.raw in ready:
                self._read_managers(now)
            if self._driver.raw.fileno() in ready:
                is_running = self._read_driver(now)
            self._perform(self._state.dispatch(now))
            if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
                self._remove_folder()
                logger.info("the driver has ended; stopping %d managers", len(self._state.managers()))
                is_running = False
            if now >= self._next_request:
                self._request_registrations(now)
            if now >= next_tick:
                self._perform(self._state.on_tick(now))
                next_tick = now + self._period / 2
        self._shut_down()

    def _shut_down(self) -> None:
        if self._driver.is_closed:
            self._remove_folder()
        self._perform(self._state.on_stop())
        if self._malformed.total or self._rejected.total:
            counts = self._malformed.total, self._rejected.total
            logger.warning("malformed messages in all: %d; connections rejected: %d", *counts)
        self._managers.close(_LINGER)
        self._driver.close()
        if self._authenticator:
            self._authenticator.close()
        self._context.term()

    def _remove_folder(self) -> None:
        """Remove the folder of the socket files: the driver, which made it, may have been killed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _request_registrations(self, now: Seconds) -> None:
        assert isinstance(self._state, RecoveringInterchange)
        requests = self._state.registration_requests()
        self._perform(requests)
        pause = _SLOW_REQUEST_PERIOD if self._state.is_dispatching(now) else _REQUEST_PERIOD
        self._next_request = Seconds(now + pause if requests else math.inf)

    def _authenticate(self, authenticator: sockets.Authenticator, now: Seconds) -> None:
        rejected = authenticator.handle_request()
        if rejected is not None and self._rejected.on_malformed(rejected, now):
            logger.warning("rejected a connection from %s: its key is not of this run", rejected)

    def _read_driver(self, now: Seconds) -> bool:
        """Handle all messages of the driver; return whether the run goes on."""
        if self._driver_is_slow:
            self._driver.flush()
            self._watch_driver()
        for head, *attached in self._driver.receive():
            message = msg.decode_to_interchange(head)
            if isinstance(message, msg.Work):
                tasks = msg.attach_frames(message.tasks, attached)
                actions = self._state.on_submitted(message.functions, tasks, may_have_needs=message.may_have_needs)
                self._perform(actions)
            elif isinstance(message, msg.Resubmit):
                assert isinstance(self._state, RecoveringInterchange)  # the driver sends this after a restart only
                tasks = msg.attach_frames(message.tasks, attached)
                self._perform(self._state.on_resubmitted(message.functions, tasks))
            elif isinstance(message, msg.Stop):
                return False
            else:
                self._handle_order(message, now)
        return not self._driver.is_closed

    def _handle_order(self, order: msg.Order, now: Seconds) -> None:
        match order:
            case msg.Cancel(tasks):
                self._perform(self._state.on_cancelled(tasks, now))
            case msg.BlockGone(block, reason):
                self._revoke_key(block)
                self._perform(self._state.on_block_gone(block, reason))
            case msg.Drain(block):
                self._perform(self._state.on_drain_requested(block, now))
            case msg.IdleTimesQuery():
                self._send_to_driver([msg.IdleTimes(self._state.idle_times(now))])
            case msg.Admit(block, key):
                if self._authenticator and key:
                    self._authenticator.admit(block, key)
            case StatusQuery(number, task):
                self._send_to_driver([self._state.status_report(number, task, now)])
            case TaskQuery():
                self._perform(self._state.on_task_query(order, now))
            case Hold(manager):
                self._state.on_hold_requested(manager)

    def _revoke_key(self, block: BlockId) -> None:
        if self._authenticator:
            self._authenticator.revoke(block)

    def _read_managers(self, now: Seconds) -> None:
        actions: list[on.Action] = []
        for sender, *frames in self._managers.receive():
            manager = ManagerId(sender)
            if not self._malformed.on_message(manager, now):
                continue
            try:
                head, *attached = frames
                message = msg.decode_from_manager(head)
                actions += self._handle_message(manager, message, attached, now)
            except msg.MALFORMED as error:
                if self._malformed.on_malformed(manager, now):
                    logger.warning("dropped a malformed message of manager %s: %s", manager.hex(), error)
                if self._malformed.is_ignored(manager, now):
                    reason = "it sends malformed messages"
                    actions += [*self._state.on_manager_left(manager, reason), on.SendRefused(manager, reason)]
        self._perform(_with_results_merged(actions))

    def _handle_message(
        self, manager: ManagerId, message: msg.FromManager, attached: list[Any], now: Seconds
    ) -> list[on.Action]:
        if isinstance(message, msg.Done):
            results = msg.attach_frames(message.results, attached)
            return self._state.on_results(manager, message.window, results, now)
        if isinstance(message, msg.Register):
            return self._state.on_registered(manager, message.info, now, message.held)
        if isinstance(message, msg.Draining):
            return self._state.on_draining(manager, now)
        if isinstance(message, msg.Leaving):
            return self._state.on_manager_left(manager, message.reason)
        if isinstance(message, TaskReport):
            self._send_to_driver([message])
        return self._state.on_heartbeat(manager, now)

    def _perform(self, actions: list[on.Action]) -> None:
        for action in actions:
            match action:
                case on.SendWork(manager, functions, tasks):
                    heads, attached = msg.detach_frames(tasks)
                    self._managers.send([manager, msg.encode(msg.Work(functions, heads)), *attached])
                case on.SendResults(results):
                    heads, attached = msg.detach_frames(results)
                    self._send_to_driver([msg.Results(heads), *attached])
                case on.SendCancel() | on.SendDrain() | on.SendTaskQuery() | on.SendHeartbeat() | on.SendStop():
                    self._managers.send([action.manager, msg.encode(_message_for(action))])
                case on.SendRegisterAgain(manager):
                    self._managers.send([manager, msg.encode(msg.RegisterAgain(self._session))])
                case on.ReportDrained(block):
                    self._revoke_key(block)
                    self._send_to_driver([msg.Drained(block)])
                case on.SendRefused(manager, reason):
                    logger.warning("refused manager %s: %s", manager.hex(), reason)
                    self._managers.send([manager, msg.encode(msg.Refused(reason))])
                case on.ReportManagerUp(manager, info):
                    logger.info("manager %s up: %s", manager.hex(), info)
                    self._send_to_driver([msg.ManagerUp(manager, info)])
                case on.ReportManagerDown(manager, reason, lost):
                    logger.warning("manager %s down (%s) with %d tasks", manager.hex(), reason, len(lost))
                    self._send_to_driver([msg.ManagerDown(manager, reason, list(lost))])

    def _send_to_driver(self, message: list[Any]) -> None:
        head, *attached = message
        self._driver.send([msg.encode(head), *attached])
        self._watch_driver()

    def _watch_driver(self) -> None:
        """Poll for a writable stream while the driver is slower than its messages."""
        if self._driver.has_unsent != self._driver_is_slow:
            self._driver_is_slow = self._driver.has_unsent
            events = sockets.READABLE | sockets.WRITABLE if self._driver_is_slow else sockets.READABLE
            self._poller.modify(self._driver.raw.fileno(), events)


def _new_state(settings: InterchangeSettings, now: Seconds) -> Interchange:
    period, threshold = Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold)
    if not settings.is_restart:
        return Interchange(PROTOCOL, period, threshold)
    awaited = {ManagerId(bytes.fromhex(digits)): BlockId(block) for digits, block in settings.awaited.items()}
    departed = [ManagerId(bytes.fromhex(digits)) for digits in settings.departed]
    return RecoveringInterchange(PROTOCOL, period, threshold, awaited=awaited, departed=departed, now=now)


def _message_for(
    action: on.SendCancel | on.SendDrain | on.SendTaskQuery | on.SendHeartbeat | on.SendStop,
) -> msg.ToManager:
    match action:
        case on.SendTaskQuery(_, query):
            return query
        case on.SendCancel(_, tasks):
            return msg.Cancel(tasks)
        case on.SendDrain(_, block):
            return msg.Drain(block)
        case on.SendHeartbeat():
            return msg.Heartbeat()
        case on.SendStop():
            return msg.Stop()


def _with_results_merged(actions: list[on.Action]) -> list[on.Action]:
    """Return *actions* with the results of all managers in one action."""
    results: list[msg.ResultParcel] = [
        parcel for action in actions if isinstance(action, on.SendResults) for parcel in action.results
    ]
    rest: list[on.Action] = [action for action in actions if not isinstance(action, on.SendResults)]
    return [on.SendResults(results), *rest] if results else rest
