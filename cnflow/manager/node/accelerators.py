"""Which accelerators each worker of a node sees; pure.

Accelerators go by number. A worker's own is the one of its rank; a task that asks for several, or for none, has its
worker see others, which no other worker that runs a task may see meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.ids import WorkerRank


class AcceleratorPool:
    """What is shown to whom.

    Args:
        workers: of the node.
        accelerators: of the node; 0, or at least as many as workers.
    """

    def __init__(self, workers: int, accelerators: int) -> None:
        self._workers = workers
        self._count = accelerators
        self._shown: dict[int, tuple[int, ...]] = {}  # of those that do not see their own, and it alone

    @property
    def is_as_usual(self) -> bool:
        """Whether each worker sees its own, and nothing else."""
        return not self._shown

    def shown(self, rank: WorkerRank) -> tuple[int, ...]:
        """What the worker of *rank* sees."""
        return self._shown.get(rank, (rank,)) if self._count else ()

    def show(self, rank: WorkerRank, numbers: tuple[int, ...]) -> None:
        """From now on, the worker of *rank* sees these."""
        if numbers == (rank,):
            self._shown.pop(rank, None)
        else:
            self._shown[rank] = numbers

    def for_task(self, rank: WorkerRank, number: int, busy: Collection[WorkerRank]) -> Optional[tuple[int, ...]]:
        """What the worker of *rank* is to see for a task that needs *number*; None if there are too few now.

        It is what it sees already, where that is right. Otherwise its own comes first, then what no worker can use now,
        and last what belongs to workers that are idle.
        """
        taken = {each for other in busy if other != rank for each in self.shown(other)}
        seen = self.shown(rank)
        if len(seen) == number and taken.isdisjoint(seen):
            return seen
        free = [each for each in range(self._count) if each not in taken]
        if len(free) < number:
            return None
        free.sort(key=lambda each: (each != rank, each < self._workers and each not in busy, each))
        return tuple(sorted(free[:number]))
