"""Assigns the accelerators of a node to its workers. No I/O.

Accelerators are numbered from 0. By default each worker sees the one with the number of its rank. For a task that asks
for several, or for none, the worker sees others, and no other worker that runs a task may see them at that time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.ids import WorkerRank


class AcceleratorPool:
    """Accelerators that each worker sees.

    Args:
        workers: number of them on the node.
        accelerators: number of them on the node; 0, or at least as many as workers.
    """

    def __init__(self, workers: int, accelerators: int) -> None:
        self._workers = workers
        self._count = accelerators
        self._visible: dict[int, tuple[int, ...]] = {}  # of workers that do not see exactly their own

    @property
    def is_default(self) -> bool:
        """True if each worker sees exactly its own accelerator."""
        return not self._visible

    def visible(self, rank: WorkerRank) -> tuple[int, ...]:
        """Numbers that the worker of *rank* sees; empty on a node without accelerators."""
        return self._visible.get(rank, (rank,)) if self._count else ()

    def set_visible(self, rank: WorkerRank, numbers: tuple[int, ...]) -> None:
        """Let the worker of *rank* see *numbers* from now on."""
        if numbers == (rank,):
            self._visible.pop(rank, None)
        else:
            self._visible[rank] = numbers

    def choose(self, rank: WorkerRank, count: int, busy: Collection[WorkerRank]) -> Optional[tuple[int, ...]]:
        """Choose *count* accelerators for a task in the worker of *rank*.

        The present ones are kept if they fit. Otherwise the order is: the worker's own, those that belong to no worker
        or to a busy one that does not see them, those of idle workers.

        Returns:
            The numbers in ascending order; None if too few are free.
        """
        taken = {number for other in busy if other != rank for number in self.visible(other)}
        present = self.visible(rank)
        if len(present) == count and taken.isdisjoint(present):
            return present
        free = [number for number in range(self._count) if number not in taken]
        if len(free) < count:
            return None
        free.sort(key=lambda number: (number != rank, number < self._workers and number not in busy, number))
        return tuple(sorted(free[:count]))
