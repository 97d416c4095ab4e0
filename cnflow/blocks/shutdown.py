"""Decides how all blocks are removed at the end of a run: every step is tried, no wait is without an end. No I/O.

::

    known blocks ─────────────────────────────────────────────────> cancel ──> confirmed ──> over
    a submission is out ── answers within 3 s ────────────────────────^  │
         │                                                            │  │ not confirmed, or raised: every second,
         └─ else: named in a warning, cancelled when it does answer   │  │ up to 10 s; does not return: up to 30 s
    blocks without an answer ── find ── listed ───────────────────────┘  └──> warning with native ids
                                 ▲  ├─ raised, up to 10 s
                                 └──┤ 1 s
                                    ├─ not listed, status lag not over, up to 60 s
                                    └─ else: warning with their names
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.model.block import Refusal, Refused, block_name
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cnflow.blocks.removals import Removals
    from cnflow.ids import BlockId, NativeId, RunId

PAUSE = Seconds(1.0)

LONGEST_SUBMIT = Seconds(3.0)
"""Longest wait for a submission that is out."""

LONGEST_SEARCH = Seconds(60.0)
"""Longest wait for blocks that the provider's system does not list yet; `Traits.status_lag` is the usual one."""

LONGEST_CANCEL = Seconds(10.0)
"""Time for which a find that failed is repeated, and blocks whose end was not confirmed are cancelled again."""

LONGEST_CALL = Seconds(30.0)
"""Longest wait for one call that ends blocks: a system may give them time to end in good order."""


class Shutdown:
    """Removal of all blocks of one executor; see the module.

    Args:
        label: of the executor.
        run: returns the id of the run; None as long as no block was requested.
        removals: of all blocks that are known.
        lag: seconds until the system lists a block.
        now: time of the beginning.
    """

    def __init__(
        self, label: str, run: Callable[[], RunId | None], removals: Removals, lag: Seconds, now: Seconds
    ) -> None:
        self._label = label
        self._run = run
        self._removals = removals
        self._lag = lag
        self._start = now
        self._out: set[BlockId] = set()
        self._started: set[BlockId] = set()
        """Blocks that the provider listed."""

        self._lost: set[BlockId] = set()
        self._sought: dict[BlockId, Seconds] = {}
        """Blocks without an answer, with the time until which the system may not list them."""

        self._find_at: Seconds | None = None
        """Time of the next find; None if none is needed."""

        self._is_finding = False
        self._is_searched = True
        """True once the provider listed its blocks, or if it need not."""

        self._find_error = ""
        self._cancel_since: Seconds | None = None
        """Start of the call that is out."""

        self._first_cancelled: Seconds | None = None
        """Time of the first answer to a cancel of the blocks that are known; None if some were not tried yet."""

        self._known: set[NativeId] = set()

    def begin(
        self, out: Collection[BlockId], unconfirmed: Mapping[BlockId, Seconds], lost: Collection[BlockId]
    ) -> None:
        """Take over what is not known of blocks.

        Args:
            out: blocks of the submission that is out.
            unconfirmed: blocks whose submission got no answer, with the time from which the system lists them.
            lost: blocks that were given up; there is no waiting for them.
        """
        self._out, self._lost = set(out), set(lost)
        self._sought = {block: at for block, at in unconfirmed.items() if block not in self._out}
        if self._out or self._sought or self._lost:
            self._find_at, self._is_searched = self._start, False
        if self._removals.is_asking:
            self._cancel_since = self._start

    # Queries

    def is_over(self, now: Seconds) -> bool:
        """Return True if nothing is left to do, or to wait for."""
        return all(now >= until for until in self._deadlines)

    def next_at(self, now: Seconds) -> Seconds:
        """Return the time at which to look again if no event comes before."""
        find_at = None if self._is_finding else self._find_at
        times = [*self._deadlines, *(at for at in (find_at, self._removals.next_at) if at is not None)]
        return min((at for at in times if at > now), default=now)

    @property
    def warnings(self) -> list[str]:
        """Sentences on the blocks that may run on."""
        words = []
        missing = {*self._sought, *self._lost}
        if missing:
            why = self._find_error or "the provider does not list them"
            words.append(f"the submission of blocks {self._named(missing)} got no answer; they may run on: {why}")
        silent = self._out - self._started
        if silent:
            words.append(
                f"the submission of blocks {self._named(silent)} has not returned; they may start, and are "
                "cancelled then if this process still runs"
            )
        for native in sorted(self._removals.natives):
            why = self._removals.reasons.get(native, "the provider does not answer")
            words.append(f"the end of block {native} of executor {self._label} was not confirmed; it may run on: {why}")
        return words

    # Decisions

    def take_find(self, now: Seconds) -> bool:
        """Return True if the provider is to be asked for its blocks now; `on_found` must follow."""
        if self._is_finding or self._find_at is None or now < self._find_at:
            return False
        self._is_finding = True
        return True

    def take_cancels(self, now: Seconds) -> Collection[NativeId]:
        """Return the blocks to cancel in one call now; `on_cancelled` must follow."""
        batch = self._removals.take_batch(now)
        if batch:
            self._cancel_since = now
        return batch

    # Events

    def on_submitted(self, answers: Mapping[BlockId, NativeId | Refused], now: Seconds) -> None:
        """Follow the answer to the submission that was out."""
        out, self._out = self._out, set()
        for block in out:
            answer = answers.get(block)
            if isinstance(answer, str):
                self._add([answer], now)
            elif answer is None or answer.kind is Refusal.UNKNOWN:
                self._sought[block] = Seconds(now + self._lag)
                self._find_at, self._is_searched = now, False

    def on_found(self, found: Mapping[BlockId, NativeId], error: str, now: Seconds) -> None:
        """Cancel the blocks that the provider lists; look again for others, if it may list them later."""
        self._is_finding, self._is_searched, self._find_error = False, not error, error
        self._add(found.values(), now)
        for block in found:
            self._sought.pop(block, None)
            self._lost.discard(block)
            self._started.add(block)
        again = min((until for until in (now + PAUSE, *self._deadlines) if until > now), default=now)
        self._find_at = Seconds(again) if error or self._sought or self._out else None

    def on_cancelled(self, unconfirmed: Mapping[NativeId, str], now: Seconds) -> None:
        """Follow the answer to a cancel."""
        self._cancel_since = None
        self._removals.on_cancelled(unconfirmed, now)
        self._first_cancelled = now if self._first_cancelled is None else self._first_cancelled

    # Parts of these

    @property
    def _deadlines(self) -> list[Seconds]:
        """Times up to which something is waited for."""
        deadlines = [Seconds(self._start + LONGEST_SUBMIT)] if self._out else []
        if self._sought or not self._is_searched:
            listed = min(self._start + LONGEST_SEARCH, max(self._sought.values(), default=self._start))
            deadlines.append(Seconds(listed if self._is_searched else max(listed, self._start + LONGEST_CANCEL)))
        if self._removals.natives:
            if self._cancel_since is not None:
                deadlines.append(Seconds(self._cancel_since + LONGEST_CALL))
            elif self._first_cancelled is not None:
                deadlines.append(Seconds(self._first_cancelled + LONGEST_CANCEL))
            else:
                deadlines.append(Seconds(math.inf))  # they are cancelled at once
        return deadlines

    def _add(self, natives: Collection[NativeId], now: Seconds) -> None:
        self._removals.add(natives, now)
        if not self._known.issuperset(natives):
            self._first_cancelled = None
            self._known.update(natives)

    def _named(self, blocks: Collection[BlockId]) -> str:
        run = self._run()
        return ", ".join(block_name(run, self._label, block) if run else block for block in sorted(blocks))
