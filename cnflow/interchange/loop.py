"""Moves bytes between the driver, the managers and the state machine of the interchange."""

from __future__ import annotations

import logging
import math
import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Any

from cnflow.clock import SystemClock
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
    from cnflow.model.interchange_settings import InterchangeSettings

logger = logging.getLogger(__name__)

_GOODBYE = Seconds(1.0)
"""Time that last messages get to leave."""

_NOD, _RARE_NOD = Seconds(0.05), Seconds(1.0)
"""Between two requests to the managers of an interchange that was killed, before and after tasks are given out."""


class Loop:
    """Waits for bytes and time, and does what the state machine says.

    The driver's life is watched through stdin: its end closes with the driver, however that ends.
    """

    def __init__(self, settings: InterchangeSettings) -> None:
        self._clock = SystemClock()
        self._folder = settings.folder
        self._period = Seconds(settings.heartbeat_period)
        self._state = _state_for(settings, self._clock.now())
        self._session = os.urandom(8)
        self._next_nod = Seconds(0.0 if isinstance(self._state, RecoveringInterchange) else math.inf)
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
        self._tell([msg.Bound(port)])

    def run(self) -> None:
        """Until the driver says stop or is gone."""
        next_tick = self._clock.now() + self._period / 2
        going = True
        while going:
            wait = max(0.0, min(next_tick, self._next_nod) - self._clock.now())
            ready = dict(self._poller.poll(int(wait * 1000) + 1))
            now = self._clock.now()
            if self._authenticator and self._authenticator.raw in ready:
                self._answer_at(self._authenticator, now)
            if self._managers.raw in ready:
                self._from_managers(now)
            if self._driver.raw.fileno() in ready:
                going = self._from_driver(now)
            self._do(self._state.dispatch(now))
            if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
                self._remove_folder()
                logger.info("the driver has ended; stopping %d managers", len(self._state.managers()))
                going = False
            if now >= self._next_nod:
                self._introduce(now)
            if now >= next_tick:
                self._do(self._state.ticked(now))
                next_tick = now + self._period / 2
        if self._driver.is_closed:
            self._remove_folder()
        self._do(self._state.stopped())
        self._sum_up()
        self._managers.close(_GOODBYE)
        self._driver.close()
        if self._authenticator:
            self._authenticator.close()
        self._context.term()

    def _introduce(self, now: Seconds) -> None:
        """After a restart, ask the managers to come back."""
        assert isinstance(self._state, RecoveringInterchange)
        introductions = self._state.introductions()
        self._do(introductions)
        pause = _RARE_NOD if self._state.is_settled(now) else _NOD
        self._next_nod = Seconds(now + pause if introductions else math.inf)

    def _answer_at(self, door: sockets.Authenticator, now: Seconds) -> None:
        stranger = door.handle_request()
        if stranger is not None and self._rejected.on_malformed(stranger, now):
            logger.warning("turned away %s: its key is not of this run", stranger)

    def _sum_up(self) -> None:
        if self._malformed.total or self._rejected.total:
            counts = self._malformed.total, self._rejected.total
            logger.warning("malformed messages in all: %d; connections turned away: %d", *counts)

    def _remove_folder(self) -> None:
        """Of the socket files: its driver, which made it, may have been killed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _from_driver(self, now: Seconds) -> bool:
        if self._driver_is_slow:
            self._driver.flush()
            self._watch_driver()
        for head, *attached in self._driver.receive():
            message = msg.decode_to_interchange(head)
            if isinstance(message, msg.Work):
                tasks = msg.attach_frames(message.tasks, attached)
                self._do(self._state.submitted(message.functions, tasks, may_have_needs=message.may_have_needs))
            elif isinstance(message, msg.Resubmit):
                assert isinstance(self._state, RecoveringInterchange)  # nobody else is sent that
                self._do(self._state.again(message.functions, msg.attach_frames(message.tasks, attached)))
            elif isinstance(message, msg.Stop):
                return False
            else:
                self._obey(message, now)
        return not self._driver.is_closed

    def _obey(self, order: msg.Order, now: Seconds) -> None:
        match order:
            case msg.Cancel(tasks):
                self._do(self._state.cancelled(tasks, now))
            case msg.BlockGone(block, reason):
                self._admit(block)
                self._do(self._state.block_gone(block, reason))
            case msg.Drain(block):
                self._do(self._state.drain(block, now))
            case msg.IdleTimesQuery():
                self._tell([msg.IdleTimes(self._state.idle_times(now))])
            case msg.Admit(block, key):
                self._admit(block, key)
            case StatusQuery(number, task):
                self._tell([self._state.standing(number, task, now)])
            case TaskQuery():
                self._do(self._state.asked(order, now))
            case Hold(manager):
                self._state.hold(manager)

    def _admit(self, block: BlockId, key: str = "") -> None:
        """With *key*; without one, no more."""
        if self._authenticator and key:
            self._authenticator.admit(block, key)
        elif self._authenticator:
            self._authenticator.revoke(block)

    def _from_managers(self, now: Seconds) -> None:
        actions: list[on.Action] = []
        for sender, *frames in self._managers.receive():
            manager = ManagerId(sender)
            if not self._malformed.on_message(manager, now):
                continue
            try:
                head, *attached = frames
                message = msg.decode_from_manager(head)
                actions += self._handle(manager, message, attached, now)
            except msg.MALFORMED as error:
                if self._malformed.on_malformed(manager, now):
                    logger.warning("dropped a malformed message of manager %s: %s", manager.hex(), error)
                if self._malformed.is_ignored(manager, now):
                    reason = "it sends malformed messages"
                    actions += [*self._state.left(manager, reason), on.Refuse(manager, reason)]
        self._do(_results_in_one(actions))

    def _handle(
        self, manager: ManagerId, message: msg.FromManager, attached: list[Any], now: Seconds
    ) -> list[on.Action]:
        if isinstance(message, msg.Done):
            return self._state.done(manager, message.window, msg.attach_frames(message.results, attached), now)
        if isinstance(message, msg.Register):
            return self._state.registered(manager, message.info, now, message.held)
        if isinstance(message, msg.Draining):
            return self._state.drains_itself(manager, now)
        if isinstance(message, msg.Leaving):
            return self._state.left(manager, message.reason)
        if isinstance(message, TaskReport):
            self._tell([message])
        return self._state.heard(manager, now)

    def _do(self, actions: list[on.Action]) -> None:
        for action in actions:
            match action:
                case on.SendWork(manager, functions, tasks):
                    heads, attached = msg.detach_frames(tasks)
                    self._managers.send([manager, msg.encode(msg.Work(functions, heads)), *attached])
                case on.SendResults(results):
                    heads, attached = msg.detach_frames(results)
                    self._tell([msg.Results(heads), *attached])
                case on.SendCancel() | on.SendDrain() | on.SendQuestion() | on.SendHeartbeat() | on.SendStop():
                    self._managers.send([action.manager, msg.encode(_order_in(action))])
                case on.SendRegisterAgain(manager):
                    self._managers.send([manager, msg.encode(msg.RegisterAgain(self._session))])
                case on.TellDrained(block):
                    self._admit(block)
                    self._tell([msg.Drained(block)])
                case on.Refuse(manager, reason):
                    logger.warning("refused manager %s: %s", manager.hex(), reason)
                    self._managers.send([manager, msg.encode(msg.Refused(reason))])
                case on.TellUp(manager, info):
                    logger.info("manager %s up: %s", manager.hex(), info)
                    self._tell([msg.ManagerUp(manager, info)])
                case on.TellDown(manager, reason, lost):
                    logger.warning("manager %s down (%s) with %d tasks", manager.hex(), reason, len(lost))
                    self._tell([msg.ManagerDown(manager, reason, list(lost))])

    def _tell(self, message: list[Any]) -> None:
        head, *attached = message
        self._driver.send([msg.encode(head), *attached])
        self._watch_driver()

    def _watch_driver(self) -> None:
        """Hear when it takes more, while it does not take all."""
        if self._driver.has_unsent != self._driver_is_slow:
            self._driver_is_slow = self._driver.has_unsent
            events = sockets.READABLE | sockets.WRITABLE if self._driver_is_slow else sockets.READABLE
            self._poller.modify(self._driver.raw.fileno(), events)


def _state_for(settings: InterchangeSettings, now: Seconds) -> Interchange:
    period, threshold = Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold)
    if not settings.is_restart:
        return Interchange(PROTOCOL, period, threshold)
    awaited = {ManagerId(bytes.fromhex(digits)): BlockId(block) for digits, block in settings.awaited.items()}
    departed = [ManagerId(bytes.fromhex(digits)) for digits in settings.departed]
    return RecoveringInterchange(PROTOCOL, period, threshold, awaited=awaited, departed=departed, now=now)


def _order_in(
    action: on.SendCancel | on.SendDrain | on.SendQuestion | on.SendHeartbeat | on.SendStop,
) -> msg.ToManager:
    match action:
        case on.SendQuestion(_, question):
            return question
        case on.SendCancel(_, tasks):
            return msg.Cancel(tasks)
        case on.SendDrain(_, block):
            return msg.Drain(block)
        case on.SendHeartbeat():
            return msg.Heartbeat()
        case on.SendStop():
            return msg.Stop()


def _results_in_one(actions: list[on.Action]) -> list[on.Action]:
    """The same, with one message to the driver for the results of all managers."""
    results: list[msg.ResultParcel] = [
        parcel for action in actions if isinstance(action, on.SendResults) for parcel in action.results
    ]
    rest: list[on.Action] = [action for action in actions if not isinstance(action, on.SendResults)]
    return [on.SendResults(results), *rest] if results else rest
