"""Present state of a run, from the records of its ledger. No I/O.

::

    records ──on_record──> LedgerState ── executors ──> ExecutorEntry ── blocks ──> BlockEntry: key, native id or none
                                │ left(): blocks that may run
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cnflow.ids import RunId
from cnflow.ledger.records import (
    BlocksAccepted,
    BlocksEnded,
    BlocksLeft,
    BlocksNamed,
    DriverStarted,
    ExecutorStarted,
    ManagerDown,
    ManagerUp,
    Record,
)
from cnflow.model.block import block_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import BlockId, NativeId
    from cnflow.ledger.records import BlockRecord


@dataclass
class BlockEntry:
    """A block that may run."""

    public_key: str = ""
    native: NativeId | None = None
    """None while its submission has no answer."""

    message: str = ""
    """Reason why its end was not confirmed."""


@dataclass
class ExecutorEntry:
    """An executor with the blocks that it may have."""

    started: ExecutorStarted
    blocks: dict[BlockId, BlockEntry] = field(default_factory=dict)
    next_block: int = 0
    """Number that no block had yet."""

    managers: dict[str, BlockId] = field(default_factory=dict)
    """Connected managers, in hexadecimal digits, and the block of each."""

    @property
    def natives(self) -> dict[BlockId, NativeId]:
        """Blocks whose native id is known."""
        return {block: entry.native for block, entry in self.blocks.items() if entry.native is not None}

    @property
    def unanswered(self) -> set[BlockId]:
        """Blocks whose submission got no answer."""
        return {block for block, entry in self.blocks.items() if entry.native is None}


@dataclass
class LedgerState:
    """State after all records so far."""

    driver: DriverStarted | None = None
    """The last driver; None in a ledger whose first line was never finished."""

    executors: dict[str, ExecutorEntry] = field(default_factory=dict)

    @classmethod
    def after(cls, records: Iterable[Record]) -> LedgerState:
        """Return the state after *records*."""
        state = cls()
        for record in records:
            state.on_record(record)
        return state

    def left(self) -> list[str]:
        """Return the blocks that may run: native ids, or names where there was no answer."""
        run = self.driver.run if self.driver else RunId("")
        return [
            entry.native or block_name(run, label, block)
            for label, executor in self.executors.items()
            for block, entry in executor.blocks.items()
        ]

    def on_record(self, record: Record) -> None:
        """Follow one record. A record of an executor that never started is left out: nothing could connect to it."""
        match record:
            case DriverStarted():
                self.driver = record
            case ExecutorStarted(label=label):
                earlier = self.executors.get(label)
                self.executors[label] = replace(earlier, started=record) if earlier else ExecutorEntry(record)
            case _:
                entry = self.executors.get(record.label)
                if entry is not None:
                    _follow(entry, record)


def _follow(entry: ExecutorEntry, record: BlockRecord | ManagerUp | ManagerDown) -> None:
    match record:
        case ManagerUp(manager=manager, block=block):
            entry.managers[manager] = block
        case ManagerDown(manager=manager):
            entry.managers.pop(manager, None)
        case _:
            _follow_blocks(entry, record)


def _follow_blocks(entry: ExecutorEntry, record: BlockRecord) -> None:
    match record:
        case BlocksNamed(blocks=keys):
            entry.blocks.update((block, BlockEntry(key)) for block, key in keys.items())
            numbers = [int(block) for block in keys if block.isdigit()]
            entry.next_block = max(entry.next_block, max(numbers, default=-1) + 1)
        case BlocksAccepted(natives=natives):
            for block, native in natives.items():
                entry.blocks.setdefault(block, BlockEntry()).native = native
        case BlocksEnded(blocks=blocks):
            for block in blocks:
                entry.blocks.pop(block, None)
        case BlocksLeft(reasons=reasons):
            for block_entry in entry.blocks.values():
                if block_entry.native in reasons:
                    block_entry.message = reasons[block_entry.native]
