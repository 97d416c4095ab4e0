"""Passes the interchange's messages about blocks on to the block controller.

::

    Drained ──────> on_drained: no manager of the block is left that will be given a task
    BlockEmpty ───> on_emptied: all its managers have left by their own decision
    IdleTimes ────> on_idle_times: how long each block has held no task
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.wire import messages as msg

if TYPE_CHECKING:
    from cnflow.executors.high_throughput.controllers import Controller


def pass_on(message: msg.Drained | msg.BlockEmpty | msg.IdleTimes, controller: Controller) -> None:
    """Queue the event of *controller* that *message* stands for."""
    match message:
        case msg.Drained(block):
            controller.on_drained(block)
        case msg.BlockEmpty(block):
            controller.on_emptied(block)
        case msg.IdleTimes(seconds):
            controller.on_idle_times(seconds)
