"""Checks of the items in messages of a peer. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.item import KEY_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.model.item import Item
    from cnflow.wire.messages import Result

LARGEST_ID = 28
"""Bytes of an item's id at most: a pool appends four."""

_LARGEST = 2**62
_LARGEST_SOURCE = 32


def check_items(manager: bytes, results: Iterable[Result]) -> None:
    """Check what tasks have left with *manager*.

    Raises:
        ValueError: no manager sends this.
    """
    for result in results:
        for item in result.items:
            check_item(item)
            if item.source != manager:
                raise ValueError("a task has left an item with another manager")


def check_item(item: Item) -> None:
    """Check an item.

    Raises:
        ValueError: no peer sends this.
    """
    if not KEY_SIZE < len(item.id) <= LARGEST_ID or not 0 <= item.size <= _LARGEST:
        raise ValueError("an item with an id or a size that none has")
    if len(item.source) > _LARGEST_SOURCE:
        raise ValueError("an item of a manager that none is")
