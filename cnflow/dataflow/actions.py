"""What is to be done outside the kernel's lock: futures to set, tasks to launch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.ids import TaskId

logger = logging.getLogger(__name__)


class Settled(NamedTuple):
    """A future and what it is to hold."""

    future: AppFuture
    state: TaskState
    value: Any

    def settle(self) -> None:
        """Set it; a callback of the user's that ends its thread (SystemExit) does not end ours."""
        try:
            if self.state is TaskState.DONE:
                self.future.set_result(self.value)
            elif self.state is TaskState.CANCELLED:
                self.future.settle_cancelled()
            else:
                self.future.set_exception(self.value)
        except BaseException:
            logger.exception("a callback of %r raised", self.future)


class Step(NamedTuple):
    """What one round of events asks for."""

    settled: Sequence[Settled]
    launch: Sequence[TaskId]


NOTHING = Step((), ())
