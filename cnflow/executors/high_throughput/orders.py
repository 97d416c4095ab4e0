"""Orders that wait to leave the driver for the interchange, and those that a restarted one must have, too. No I/O.

::

    put ──> waiting ── take ──> sent; cancellations in a row leave as one
                        │
                        └── drains, blocks that are gone, managers on hold ──> standing: sent again after a restart
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.wire import messages as msg
from cnflow.wire.manager_messages import Hold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import BlockId

    Standing = msg.Drain | msg.BlockGone | Hold


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
            elif isinstance(order, (msg.Drain, msg.BlockGone)):
                if isinstance(order, msg.BlockGone):
                    self._standing.pop((msg.Drain, order.block), None)
                self._standing[type(order), order.block] = order
        return orders

    def on_drained(self, block: BlockId) -> None:
        """Drop the order to drain *block*: none of its managers is left, and it is removed."""
        self._standing.pop((msg.Drain, block), None)

    def standing(self) -> list[Standing]:
        """Orders that were taken and still hold."""
        return list(self._standing.values())


def _merge(orders: Iterable[msg.Order]) -> list[msg.Order]:
    """Merge cancellations in a row: thousands of futures may be cancelled one by one."""
    merged: list[msg.Order] = []
    for order in orders:
        if isinstance(order, msg.Cancel) and merged and isinstance(merged[-1], msg.Cancel):
            merged[-1].tasks.update(order.tasks)
        else:
            merged.append(msg.Cancel({**order.tasks}) if isinstance(order, msg.Cancel) else order)
    return merged
