"""Callbacks of the block controller into its executor, and the user's choice of scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.allowance import ALL, Allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.blocks.strategy import Strategy
    from cnflow.errors import CnflowError
    from cnflow.ids import BlockId
    from cnflow.ledger import ExecutorLedger
    from cnflow.model.block import BlockRequest


class Scaling(NamedTuple):
    """Rule by which the blocks of a run follow its tasks."""

    strategy: str | Strategy | None = "simple"
    max_idletime: float = 120.0
    """Seconds without a task after which a block is not needed."""


class Demand(NamedTuple):
    """Tasks that want to run."""

    tasks: int
    """Unfinished ones, waiting and running."""

    activity: int
    """Any number that changes with every submission."""

    finished: int
    """Tasks that were finished since the executor started, whatever their outcome."""

    slots: int
    """Slots that they take to run all at the same time: one for each, more for a task that needs much of a node."""

    allowance: Allowance = ALL
    """Limits of a budget, and of the executor's other providers."""


class Callbacks(NamedTuple):
    """Calls from the controller's thread into the executor; none of them may block for long."""

    demand: Callable[[], Demand]
    """Returns what the unfinished tasks need at this moment; quick, since it is called before each decision."""

    make_requests: Callable[[Sequence[BlockId]], Sequence[BlockRequest]]
    """Makes the requests for blocks, and admits their managers; called from the thread that submits them."""

    drain: Callable[[BlockId], None]
    """Orders the interchange to drain a block; it is answered by `BlockController.on_drained`."""

    report_end: Callable[[BlockId, str], None]
    """Reports to the interchange that a block ended, and how."""

    forget: Callable[[BlockId], None]
    """Drops what is kept for a block that is over: its keys, and orders for a restarted interchange."""

    request_idle_times: Callable[[], None]
    """Asks the interchange for idle times; it is answered by `BlockController.on_idle_times`."""

    give_up: Callable[[CnflowError], None]
    """Fails all tasks with the error; called when no block works."""

    explain_lateness: Callable[[BlockId], str] | None = None
    """Returns why no manager of a block is connected, and what helps, as the end of a sentence; None knows nothing."""

    ledger: ExecutorLedger | None = None
    """Record of the blocks, for `load(adopt=...)` and `cnflow clean`; None keeps none."""
