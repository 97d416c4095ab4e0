"""Moves bytes between the driver, the managers and the state machine of the interchange."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from cnflow.clock import SystemClock
from cnflow.ids import ManagerId
from cnflow.interchange import actions as on
from cnflow.interchange.state import Interchange
from cnflow.model.settings import PROTOCOL
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.managers import AskStanding, AskTask, Hold, TaskNow

logger = logging.getLogger(__name__)

_GOODBYE = Seconds(1.0)
"""Time that last messages get to leave."""


class InterchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver tells its interchange, as one line of JSON on stdin. Holds keys: never argv or environment."""

    driver_endpoint: str
    """Socket file in a folder that only the user can enter."""

    manager_endpoint: str
    """``tcp://ADDRESS`` without a port, or ``ipc://PATH``."""

    ports: tuple[int, int] | None = None
    secret_key: str = ""
    """Empty for a plain socket."""

    manager_key: str = ""
    """The only public key that managers may come with."""

    heartbeat_period: float = 30.0
    heartbeat_threshold: float = 120.0


class Loop:
    """Waits for bytes and time, and does what the state machine says.

    The driver's life is watched through stdin: its end closes with the driver, however that ends.
    """

    def __init__(self, settings: InterchangeSettings) -> None:
        self._clock = SystemClock()
        self._driver_endpoint = settings.driver_endpoint
        self._period = Seconds(settings.heartbeat_period)
        self._state = Interchange(PROTOCOL, self._period, Seconds(settings.heartbeat_threshold))
        self._context = sockets.context()
        self._door = sockets.Doorkeeper(self._context, [settings.manager_key]) if settings.secret_key else None
        self._managers, port = sockets.serve(
            self._context, settings.manager_endpoint, settings.ports, settings.secret_key
        )
        self._driver = sockets.connect(self._context, settings.driver_endpoint)
        self._tell([msg.Bound(port)])
        self._poller = sockets.poller()
        readable = [self._driver.raw, self._managers.raw, sys.stdin.fileno()]
        for source in [*readable, *([self._door.raw] if self._door else [])]:
            self._poller.register(source, sockets.READABLE)

    def run(self) -> None:
        """Until the driver says stop or is gone."""
        next_tick = self._clock.now() + self._period / 2
        going = True
        while going:
            wait = max(0.0, next_tick - self._clock.now())
            ready = dict(self._poller.poll(int(wait * 1000) + 1))
            now = self._clock.now()
            if self._door and self._door.raw in ready and (stranger := self._door.answer()):
                logger.warning("turned away %s: its key is not of this run", stranger)
            if self._managers.raw in ready:
                self._from_managers(now)
            if self._driver.raw in ready:
                going = self._from_driver(now)
            self._do(self._state.dispatch(now))
            if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
                self._remove_folder()
                logger.info("the driver has ended; stopping %d managers", len(self._state.managers()))
                going = False
            if now >= next_tick:
                self._do(self._state.ticked(now))
                next_tick = now + self._period / 2
        self._do(self._state.stopped())
        self._managers.close(_GOODBYE)
        self._driver.close(_GOODBYE)
        if self._door:
            self._door.close()
        self._context.term()

    def _remove_folder(self) -> None:
        """Of the socket files: its driver, which made it, may have been killed."""
        shutil.rmtree(Path(self._driver_endpoint.partition("://")[2]).parent, ignore_errors=True)

    def _from_driver(self, now: Seconds) -> bool:
        for head, *attached in self._driver.received():
            message = msg.decode_to_interchange(head)
            if isinstance(message, msg.Stop):
                return False
            if isinstance(message, msg.Cancel):
                self._do(self._state.cancelled(message.tasks, now))
            elif isinstance(message, msg.BlockGone):
                self._do(self._state.block_gone(message.block, message.reason))
            elif isinstance(message, msg.Drain):
                self._do(self._state.drain(message.block, now))
            elif isinstance(message, msg.AskIdle):
                self._tell([msg.IdleTimes(self._state.idle_times(now))])
            elif isinstance(message, AskStanding):
                self._tell([self._state.standing(message.number, message.task, now)])
            elif isinstance(message, AskTask):
                self._do(self._state.asked(message, now))
            elif isinstance(message, Hold):
                self._state.hold(ManagerId(message.manager))
            else:
                tasks = msg.pair(message.tasks, attached)
                self._do(self._state.submitted(message.functions, tasks, may_have_needs=message.may_have_needs))
        return True

    def _from_managers(self, now: Seconds) -> None:
        actions: list[on.Action] = []
        for sender, head, *attached in self._managers.received():
            manager = ManagerId(sender)
            try:
                message = msg.decode_from_manager(head)
                actions += self._handle(manager, message, attached, now)
            except (msgspec.MsgspecError, ValueError) as error:
                logger.warning("dropped a malformed message of manager %s: %s", manager.hex(), error)
        self._do(_results_in_one(actions))

    def _handle(
        self, manager: ManagerId, message: msg.FromManager, attached: list[Any], now: Seconds
    ) -> list[on.Action]:
        if isinstance(message, msg.Done):
            return self._state.done(manager, message.window, msg.pair(message.results, attached), now)
        if isinstance(message, msg.Register):
            return self._state.registered(manager, message.info, now)
        if isinstance(message, msg.Draining):
            return self._state.drains_itself(manager, now)
        if isinstance(message, msg.Leaving):
            return self._state.left(manager, message.reason)
        if isinstance(message, TaskNow):
            self._tell([message])
        return self._state.heard(manager, now)

    def _do(self, actions: list[on.Action]) -> None:
        for action in actions:
            match action:
                case on.SendWork(manager, functions, tasks):
                    heads, attached = msg.flatten(tasks)
                    self._managers.send([manager, msg.encode(msg.Work(functions, heads)), *attached])
                case on.SendResults(results):
                    heads, attached = msg.flatten(results)
                    self._tell([msg.Results(heads), *attached])
                case on.SendCancel() | on.SendDrain() | on.SendQuestion() | on.SendHeartbeat() | on.SendStop():
                    self._managers.send([action.manager, msg.encode(_order_in(action))])
                case on.TellDrained(block):
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
