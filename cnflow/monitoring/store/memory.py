"""What the writer remembers of a run between transactions; saved with each, so that a new writer goes on."""

from __future__ import annotations

import msgspec

ENDED = 5_000
"""Tasks that were tried more than once and have ended, of which samples may come still: as many are remembered."""


class Memory(msgspec.Struct):
    """Bounded by the managers, by the workers, and by the tasks that were tried more than once and go on."""

    tries: dict[int, list[tuple[float, int]]] = msgspec.field(default_factory=dict)
    """By task that was tried more than once: when each further try was launched, and its number."""

    ended: list[int] = msgspec.field(default_factory=list)
    """Those of them that have ended, the oldest first."""

    running: dict[int, int] = msgspec.field(default_factory=dict)
    """By task, the try that a worker reported to run."""

    images: dict[str, str] = msgspec.field(default_factory=dict)
    """By manager, what `task.task_image` is of its tasks."""

    errors: dict[int, tuple[str, str]] = msgspec.field(default_factory=dict)
    """By task whose last try failed, and that has not ended: type and message of the error."""

    journal: str = ""
    """Id of the journal that was read last."""

    base: int = 0
    """Bytes of the journals before it, of drivers that the run was taken over from."""

    def begin(self, journal: str, position: int) -> int:
        """Return where *journal* is to be read from, the last one having been read until *position*."""
        if journal == self.journal:
            return position
        self.journal, self.base = journal, self.base + position
        return 0

    def try_of(self, task: int, time: float) -> int:
        """Return the number of the try of *task* that ran at *time*."""
        launches = self.tries.get(task)
        if launches is None:
            return 0
        return next((number for launched, number in reversed(launches) if launched <= time), 0)

    def on_ended(self, task: int) -> None:
        """Forget the tries of *task* in a while."""
        if task in self.tries:
            self.ended.append(task)
            if len(self.ended) > 2 * ENDED:
                for old in self.ended[:ENDED]:
                    self.tries.pop(old, None)
                del self.ended[:ENDED]

    def last_try(self, task: int) -> int:
        """Return the number of the last try of *task*."""
        launches = self.tries.get(task)
        return 0 if launches is None else launches[-1][1]


def encode(memory: Memory) -> bytes:
    """Return *memory* as bytes."""
    return msgspec.msgpack.encode(memory)


def decode(data: bytes | None) -> Memory:
    """Return what was encoded; a new one for none, or for that of another version."""
    try:
        return msgspec.msgpack.decode(data, type=Memory) if data else Memory()
    except msgspec.DecodeError:
        return Memory()
