"""Jobs that ended: what the queue says, completed by the accounting. No I/O.

::

    queue: FAILED  ──┐                       accounting: FAILED, exit code 3 ──> that, and asked no more
    queue: nothing ──┴─ to_ask ── statuses ──            RUNNING             ──> left out: it lags behind
                                                         nothing             ──> as the queue says, or GONE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.block import BlockState, BlockStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.ids import NativeId

_LONGEST_LAG = 120.0
"""Seconds for which the accounting may show a job as living that the queue does not list."""


class EndedJobs:
    """Remembers the ends of jobs, so that the accounting is asked once for each.

    Args:
        scheduler: its name, for messages.
    """

    def __init__(self, scheduler: str) -> None:
        self._scheduler = scheduler
        self._ends: dict[NativeId, BlockStatus] = {}
        self._unlisted_since: dict[NativeId, float] = {}

    def to_ask(self, asked: Collection[NativeId], listed: Mapping[NativeId, BlockStatus]) -> list[NativeId]:
        """Return those of *asked* that have ended, as far as the queue knows, and about which nothing is known yet."""
        return [
            native
            for native in asked
            if native not in self._ends and (native not in listed or listed[native].state.is_final)
        ]

    def statuses(
        self,
        asked: Collection[NativeId],
        listed: Mapping[NativeId, BlockStatus],
        accounts: Mapping[NativeId, BlockStatus] | None,
        now: float,
    ) -> dict[NativeId, BlockStatus]:
        """Return the status of each job of which something is known.

        Args:
            asked: all.
            listed: those that the queue lists.
            accounts: of those in `to_ask`; None if the accounting did not answer, or there is none.
            now: in seconds.
        """
        found: dict[NativeId, BlockStatus] = {}
        for native in asked:
            status = self._status(native, listed.get(native), (accounts or {}).get(native), now)
            if status is not None:
                found[native] = status
        return found

    def _status(
        self, native: NativeId, queued: BlockStatus | None, account: BlockStatus | None, now: float
    ) -> BlockStatus | None:
        if queued is not None and not queued.state.is_final:
            self._ends.pop(native, None)  # it was put back into the queue
            return queued
        if native in self._ends:
            return self._ends[native]
        if account is not None and account.state.is_final:
            self._ends[native] = account
        elif queued is not None:
            self._ends[native] = queued
        elif account is not None and now - self._unlisted_since.setdefault(native, now) < _LONGEST_LAG:
            return None
        else:
            return BlockStatus(BlockState.GONE, f"{self._scheduler} does not list it any more.")
        return self._ends[native]
