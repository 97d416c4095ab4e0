"""Part of a ledger that one executor writes: follows what its provider is asked, and what it answers.

::

    on_submit ──> named ── on_answers ──┬── native id ──> accepted ── on_cancelled, confirmed ──> ended
                    │                   ├── refused ────> ended          └── not confirmed ──> left
                    └── no answer ── on_found ──> accepted
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.ledger.records import (
    BlocksAccepted,
    BlocksEnded,
    BlocksLeft,
    BlocksNamed,
    ExecutorStarted,
    ManagerDown,
    ManagerUp,
    Record,
)
from cnflow.model.block import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnflow.ids import BlockId, ManagerId, NativeId
    from cnflow.ledger.file import RunLedger
    from cnflow.ledger.state import ExecutorEntry
    from cnflow.model.block import BlockRequest


class ExecutorLedger:
    """Writes what becomes of the blocks of one executor. Safe from any thread, as the ledger is.

    Args:
        ledger: of the run.
        started: of the executor; written before its first block.
        is_durable: blocks run on other machines, and outlive this one.
    """

    def __init__(self, ledger: RunLedger, started: ExecutorStarted, *, is_durable: bool) -> None:
        self._ledger = ledger
        self._label = started.label
        self._started: tuple[ExecutorStarted, ...] = (started,)
        self._keeps_keys = bool(started.server_secret)
        self._is_durable = is_durable
        self._blocks: dict[NativeId, BlockId] = {}
        self._unanswered: set[BlockId] = set()
        self._is_closed = False
        ledger.on_executor_start(started.label)

    def adopt(self, entry: ExecutorEntry) -> None:
        """Follow the blocks, too, that another driver has started."""
        self._blocks.update((native, block) for block, native in entry.natives.items())
        self._unanswered.update(entry.unanswered)

    def close(self) -> None:
        """Write nothing more, also of answers that come later; the last executor of a run closes its ledger."""
        self._is_closed = True
        self._ledger.on_executor_end(self._label)

    def on_submit(self, requests: Sequence[BlockRequest]) -> None:
        """Record the names of blocks; called before they are submitted."""
        self._unanswered.update(request.block for request in requests)
        keys = {request.block: request.manager.public_key if self._keeps_keys else "" for request in requests}
        self._append(*self._started, BlocksNamed(self._label, keys), is_durable=self._is_durable)
        self._started = ()

    def on_answers(self, answers: Mapping[BlockId, NativeId | Refused]) -> None:
        """Record native ids, and forget refused blocks; those without an answer stay."""
        accepted = {block: answer for block, answer in answers.items() if not isinstance(answer, Refused)}
        refused = [
            block
            for block, answer in answers.items()
            if isinstance(answer, Refused) and answer.kind is not Refusal.UNKNOWN
        ]
        self._accept(accepted)
        self._end(refused)

    def on_found(self, found: Mapping[BlockId, NativeId]) -> None:
        """Record the native ids of blocks whose submission got no answer."""
        self._accept({block: native for block, native in found.items() if native not in self._blocks})

    def on_never_started(self, blocks: Collection[BlockId]) -> None:
        """Forget blocks without an answer that the provider does not list."""
        self._end([block for block in blocks if block in self._unanswered])

    def on_cancelled(self, asked: Collection[NativeId], unconfirmed: Mapping[NativeId, str]) -> None:
        """Forget the blocks whose end was confirmed, and record the reasons for the others."""
        ended = [self._blocks.pop(native) for native in asked if native not in unconfirmed and native in self._blocks]
        self._end(ended)
        if unconfirmed:
            self._append(BlocksLeft(self._label, dict(unconfirmed)))

    def on_manager_up(self, manager: ManagerId, block: BlockId) -> None:
        """Record a manager that registered."""
        self._append(ManagerUp(self._label, manager.hex(), block))

    def on_manager_down(self, manager: ManagerId) -> None:
        """Forget a manager that is gone."""
        self._append(ManagerDown(self._label, manager.hex()))

    def _accept(self, natives: Mapping[BlockId, NativeId]) -> None:
        if natives:
            self._unanswered.difference_update(natives)
            self._blocks.update((native, block) for block, native in natives.items())
            self._append(BlocksAccepted(self._label, dict(natives)), is_durable=self._is_durable)

    def _end(self, blocks: list[BlockId]) -> None:
        if blocks:
            self._unanswered.difference_update(blocks)
            self._append(BlocksEnded(self._label, blocks))

    def _append(self, *records: Record, is_durable: bool = False) -> None:
        if not self._is_closed:
            self._ledger.append(*records, is_durable=is_durable)
