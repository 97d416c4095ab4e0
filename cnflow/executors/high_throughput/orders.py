"""Orders that wait to leave the driver for the interchange, and those that a restarted one must have, too. No I/O.

::

    put ──> waiting ── take ──> sent; cancellations in a row leave as one
                        │
                        └── drains until the block is gone, holds and dials until the manager is,
                            news of a pool's workers, and models to load, until the next ──> standing
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.wire import messages as msg
from cnflow.wire.dial_messages import Dial
from cnflow.wire.function_messages import Prepare
from cnflow.wire.manager_messages import Hold, NoWorkers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import BlockId

    Standing = msg.Drain | Hold | Dial | NoWorkers | Prepare


class Orders:
    """Queue of orders; `put` is safe from any thread, everything else is for one thread."""

    def __init__(self) -> None:
        self._waiting: deque[msg.Order] = deque()
        self._standing: dict[tuple[type, str | bytes], Standing] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, order: msg.Order) -> None:
        """Add *order* at the end."""
        self._waiting.append(order)

    def take(self) -> list[msg.Order]:
        """Take all orders out, in their order."""
        orders = _merge(self._waiting.popleft() for _ in range(len(self._waiting)))
        for order in orders:
            if isinstance(order, Hold):
                self._standing[Hold, order.manager] = order
            elif isinstance(order, Dial):
                self._standing[Dial, order.manager] = order
            elif isinstance(order, msg.Drain):
                self._standing[msg.Drain, order.block] = order
            elif isinstance(order, NoWorkers):
                self._standing[NoWorkers, ""] = order
            elif isinstance(order, Prepare):
                self._standing[Prepare, ""] = order
            elif isinstance(order, msg.BlockGone):
                self._on_block_gone(order.block)
        return orders

    def on_message(self, message: object) -> None:
        """Let no order stand for a manager that is gone, or a block that is drained, as the interchange reports."""
        if isinstance(message, msg.ManagerDown):
            self._standing.pop((Hold, message.id), None)
            self._standing.pop((Dial, message.id), None)
        elif isinstance(message, msg.Drained):
            self._standing.pop((msg.Drain, message.block), None)

    def standing(self) -> list[Standing]:
        """Orders that were taken and still hold."""
        return list(self._standing.values())

    def _on_block_gone(self, block: BlockId) -> None:
        self._standing.pop((msg.Drain, block), None)
        dials = [key for key, order in self._standing.items() if isinstance(order, Dial) and order.block == block]
        for key in dials:
            del self._standing[key]


def _merge(orders: Iterable[msg.Order]) -> list[msg.Order]:
    """Merge cancellations in a row: thousands of futures may be cancelled one by one."""
    merged: list[msg.Order] = []
    for order in orders:
        if isinstance(order, msg.Cancel) and merged and isinstance(merged[-1], msg.Cancel):
            merged[-1].tasks.update(order.tasks)
        else:
            merged.append(msg.Cancel({**order.tasks}) if isinstance(order, msg.Cancel) else order)
    return merged
