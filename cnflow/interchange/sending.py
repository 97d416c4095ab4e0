"""Carries out actions of the state by messages, for the loops of both kinds of interchange."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Union

from cnflow.interchange import actions as on
from cnflow.wire import messages as msg
from cnflow.wire.blob_frames import in_batches
from cnflow.wire.function_messages import Prepare
from cnflow.wire.parcels import detach_frames
from cnflow.wire.sent_functions import functions_in_batches

if TYPE_CHECKING:
    from cnflow.interchange.driver_link import DriverLink
    from cnflow.interchange.manager_link import ManagerLink

    ManagerOrder = Union[on.SendCancel, on.SendDrain, on.SendTaskQuery, on.SendPrepare, on.SendHeartbeat, on.SendStop]
    ManagerAction = Union[on.SendWork, on.SendRegisterAgain, on.SendRefused, ManagerOrder]

logger = logging.getLogger(__name__)


def _send_work(managers: ManagerLink, work: on.SendWork) -> None:
    """Send tasks and functions in messages that none of the others waits for long behind."""
    *before, functions = functions_in_batches(work.functions)
    forgets = work.forgets
    for some in before:
        managers.send(work.manager, msg.Work(some, [], forgets=forgets))
        forgets = False
    for batch in in_batches(work.tasks):
        heads, attached = detach_frames(batch)
        managers.send(work.manager, msg.Work(functions, heads, forgets=forgets), attached)
        functions, forgets = [], False


def send_results(driver: DriverLink, results: list[msg.ResultParcel]) -> None:
    """Send *results* to the driver that has submitted their tasks."""
    for batch in in_batches(results):
        heads, attached = detach_frames(batch)
        driver.send(msg.Results(heads), attached)


def send_to_manager(managers: ManagerLink, action: ManagerAction) -> None:
    """Carry out an *action* of the state that concerns one manager alone."""
    if isinstance(action, on.SendWork):
        _send_work(managers, action)
    elif isinstance(action, on.SendRegisterAgain):
        managers.request_registration(action.manager)
    elif isinstance(action, on.SendRefused):
        logger.warning("refused manager %s: %s", action.manager.hex(), action.reason)
        managers.send(action.manager, msg.Refused(action.reason))
        managers.on_manager_gone(action.manager)
    else:
        managers.send(action.manager, _message_for(action))


def _message_for(action: ManagerOrder) -> msg.ToManager:
    if isinstance(action, on.SendTaskQuery):
        return action.query
    if isinstance(action, on.SendCancel):
        return msg.Cancel(action.tasks)
    if isinstance(action, on.SendDrain):
        return msg.Drain(action.block)
    if isinstance(action, on.SendPrepare):
        return Prepare(action.functions)
    return msg.Stop() if isinstance(action, on.SendStop) else msg.Heartbeat()
