"""Logs of blocks that ended badly, read for the message about them; no message waits for them for ever. No I/O.

::

    want(block, then) ──read──> lane of logs ── on_read ──> then(text)
                           └── out for longer than 10 s ──> then("")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.ids import BlockId

_LONGEST_READ = Seconds(10.0)


class _Wanted(NamedTuple):
    until: Seconds
    then: Callable[[str], None]


class LastWords:
    """Blocks whose log is being read."""

    def __init__(self) -> None:
        self._wanted: dict[BlockId, _Wanted] = {}

    def is_wanted(self, block: BlockId) -> bool:
        """Return True while something waits for the log of *block*. Safe from any thread."""
        return block in self._wanted

    @property
    def next_at(self) -> Seconds | None:
        """Time of the next `on_tick`; None if nothing waits."""
        return next((wanted.until for wanted in self._wanted.values()), None)  # they came in this order

    def want(self, block: BlockId, then: Callable[[str], None], now: Seconds) -> None:
        """Call *then* with the log of *block*, which must be read now."""
        self._wanted[block] = _Wanted(Seconds(now + _LONGEST_READ), then)

    def on_read(self, block: BlockId, text: str) -> None:
        """Hand *text* to what waits for it, if it still does."""
        wanted = self._wanted.pop(block, None)
        if wanted is not None:
            wanted.then(text)

    def on_tick(self, now: Seconds) -> None:
        """Go on without the logs that are out for too long."""
        for block in [block for block, wanted in self._wanted.items() if wanted.until <= now]:
            self.on_read(block, "")
