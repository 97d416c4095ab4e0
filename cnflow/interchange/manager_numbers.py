"""Short names of managers for results, which say by them where a task ran. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.wire.messages import Result

_MANAGERS = 1 << 20
"""Numbers of one interchange, so that one which replaces it gives none of them to another manager."""


class ManagerNumbers:
    """Numbers managers from 1.

    Args:
        restarts: interchanges of the same driver before this one.
    """

    def __init__(self, restarts: int) -> None:
        self._first = restarts * _MANAGERS + 1
        self._numbers: dict[ManagerId, int] = {}

    def of(self, manager: ManagerId) -> int:
        """Return the number of *manager*."""
        number = self._numbers.get(manager)
        if number is None:
            number = self._numbers[manager] = self._first + len(self._numbers)
        return number

    def write(self, manager: ManagerId, results: Iterable[Result]) -> None:
        """Write the number of *manager* into its *results*."""
        number = self.of(manager)
        for result in results:
            result.manager = number
