"""Which host of a list gets the next block: one that is free, and has not just failed. No I/O.

::

    free ── take ──> busy ── release ──> free             no answer: busy until on_looked does not find the block
              │        └─── on_failed ──> left alone for `retry_after`, twice as long after each further failure
              └── on_failed (it does not answer, has no room) ───────────┘       on_worked: the count begins again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cnflow.units import Seconds

_LONGEST = 600.0


class Hosts:
    """Hosts of one provider by name. Used under the provider's lock.

    Args:
        names: of the hosts, in the order of the settings, which is that of their use.
        retry_after: seconds for which a host is left alone after its first failure.
        now: gives the time.
    """

    def __init__(self, names: Sequence[str], retry_after: float, now: Callable[[], Seconds]) -> None:
        self.names = list(names)
        self._retry_after = retry_after
        self._now = now
        self._busy: dict[str, str] = {}
        self._unanswered: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._words: dict[str, str] = {}

    def take(self, block: str) -> str | None:
        """Give a free host to *block*; None if there is none."""
        now = self._now()
        free = [name for name in self.names if name not in self._busy and self._until.get(name, 0.0) <= now]
        if not free:
            return None
        host = min(free, key=lambda name: self._failures.get(name, 0))
        self._busy[host] = block
        return host

    def hold(self, host: str, block: str) -> None:
        """Count *host* as that of *block*, which another driver started."""
        self._busy[host] = block

    def release(self, host: str, block: str) -> None:
        """Free *host*, if it is that of *block*."""
        if self._busy.get(host) == block:
            del self._busy[host]

    def on_unanswered(self, host: str, block: str) -> None:
        """Note that the start of *block* on *host* got no answer: it has the host until `on_looked`."""
        self._unanswered[host] = block

    def on_looked(self, host: str, living: Collection[str]) -> None:
        """Free *host*, if it has a block whose start got no answer, and which is not among its *living* ones."""
        block = self._unanswered.pop(host, None)
        if block is not None and block not in living:
            self.release(host, block)

    def on_worked(self, host: str) -> None:
        """Forget the failures of *host*."""
        self._failures.pop(host, None)
        self._words.pop(host, None)

    def on_failed(self, host: str, words: str) -> None:
        """Leave *host* alone for a while."""
        count = self._failures[host] = self._failures.get(host, 0) + 1
        self._until[host] = self._now() + min(_LONGEST, self._retry_after * 2 ** (count - 1))
        self._words[host] = words

    @property
    def are_all_bad(self) -> bool:
        """True if no host has a block, and each has failed last."""
        return not self._busy and all(name in self._words for name in self.names)

    def reasons(self) -> str:
        """Reason of each host against another block, a line each."""
        now = self._now()
        lines = []
        for name in self.names:
            if name in self._busy:
                lines.append(f"{name} has a block")
            elif name in self._words:
                wait = max(0.0, self._until[name] - now)
                lines.append(f"{name} is left alone for another {wait:.0f} s: {self._words[name]}")
        return "\n".join(lines)
