"""Applies the strategy to a provider, in the thread that calls `run`."""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING

from cnflow.blocks.strategy import Action, GiveUp, StartBlock, Strategy
from cnflow.errors import BlockError, CnflowError, ProviderBusyError
from cnflow.ids import BlockId, NativeId
from cnflow.model.block import BlockRequest, BlockState, BlockStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config import ProviderSettings
    from cnflow.interfaces import Provider

logger = logging.getLogger(__name__)


class BlockController:
    """Owns the blocks of one executor from request to removal.

    Args:
        label: of the executor, for messages.
        provider: used from the thread of `run` only.
        settings: how many blocks.
        request: makes the request for a block.
        give_up: called once when no block can be had, with what to tell the user.
        gone: called with each block that ended by itself, and how.
    """

    def __init__(
        self,
        label: str,
        provider: Provider,
        settings: ProviderSettings,
        request: Callable[[BlockId], BlockRequest],
        give_up: Callable[[CnflowError], None],
        gone: Callable[[BlockId, str], None],
    ) -> None:
        self._label = label
        self._provider = provider
        self._strategy = Strategy(settings)
        self._request = request
        self._give_up = give_up
        self._gone = gone
        self._blocks: dict[BlockId, NativeId] = {}
        self._later: list[BlockId] = []
        self._events: queue.SimpleQueue[BlockId | None] = queue.SimpleQueue()

    @property
    def living(self) -> int:
        """Blocks that were started and have not ended, as far as is known."""
        return len(self._blocks)

    def connected(self, block: str) -> None:
        """A manager of *block* registered. Safe from any thread."""
        self._events.put(BlockId(block))

    def stop(self) -> None:
        """Have `run` remove all blocks and return. Safe from any thread."""
        self._events.put(None)

    def run(self) -> None:
        """Start blocks and look after them until `stop`."""
        try:
            self._do(self._strategy.begin())
            while self._wait():
                self._start_later_ones()
                self._look()
        finally:
            self._provider.cancel(list(self._blocks.values()))
            self._blocks.clear()

    def _wait(self) -> bool:
        """Hear events for one poll period; False when it is time to stop."""
        try:
            while (block := self._events.get(timeout=self._provider.poll_period)) is not None:
                self._strategy.connected(block)
        except queue.Empty:
            return True
        return False

    def _start_later_ones(self) -> None:
        later, self._later = self._later, []
        for block in later:
            self._start(block)

    def _look(self) -> None:
        if not self._blocks:
            return
        try:
            statuses = self._provider.status(list(self._blocks.values()))
        except BlockError as error:
            logger.warning("the provider does not answer; blocks are left as they are: %s", error)
            return
        for block, native in list(self._blocks.items()):
            status = statuses.get(native, BlockStatus(BlockState.GONE))
            if status.state.is_final:
                self._ended(block, native, status)

    def _ended(self, block: BlockId, native: NativeId, status: BlockStatus) -> None:
        del self._blocks[block]
        self._provider.cancel([native])
        end = status.message or status.state.value
        reason = f"Block {block} ({native[:12]}) of executor {self._label!r} ended. {end}"
        logger.warning("%s", reason)
        self._gone(block, reason)
        self._do(self._strategy.ended(block, reason))

    def _do(self, actions: list[Action], error: BlockError | None = None) -> None:
        for action in actions:
            match action:
                case StartBlock(block):
                    self._start(block)
                case GiveUp(reason):
                    self._give_up(error or BlockError(reason))

    def _start(self, block: BlockId) -> None:
        request = self._request(block)
        try:
            native = self._provider.submit(request)
        except ProviderBusyError as error:
            logger.warning("block %s must wait: %s", block, error)
            self._later.append(block)
        except BlockError as error:
            self._do(self._strategy.ended(block, str(error)), error)
        else:
            logger.info("block %s is %s", block, native)
            self._blocks[block] = native
