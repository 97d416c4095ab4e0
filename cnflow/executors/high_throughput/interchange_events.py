"""Events of the interchange's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.wire import messages as msg
    from cnflow.wire.dial_messages import DialFailed
    from cnflow.wire.function_messages import Prepared
    from cnflow.wire.manager_messages import (
        Events,
        ManagerHolds,
        NoWorkers,
        PoolReport,
        Samples,
        StatusReport,
        TaskReport,
    )

    News = (
        msg.Bound
        | msg.Heartbeat
        | msg.ManagerUp
        | msg.ManagerDown
        | msg.Drained
        | msg.BlockEmpty
        | msg.IdleTimes
        | DialFailed
        | Prepared
        | Events
        | ManagerHolds
        | NoWorkers
        | PoolReport
        | Samples
        | StatusReport
        | TaskReport
    )
    """Messages that bring neither results nor parts of them."""


class InterchangeEvents(Protocol):
    """Owner of a client, which calls it from its thread."""

    def on_message(self, message: msg.ToDriver, attached: list[Any]) -> None:
        """Handle a message and its attached frames."""

    def on_interchange_lost(self, how: str) -> None:
        """Handle the end of an interchange that was not stopped and is not started again."""

    def unfinished(self) -> Iterator[SerializedTask]:
        """Drop the queued tasks, and give every task that is not reported, for an interchange that was restarted."""
