"""Submissions of one executor's blocks, from the request to a native id or a loss. No I/O.

::

    waiting ── take_batch ──> out, one batch at a time ── on_answers ──> accepted
       ▲                        │        │                       ├────> refused: over, or waiting again (BUSY)
       │                        │        └ on_overdue, 60 s      └────> UNKNOWN ──┐
       │                        │             │ looked for, too, while it is out  │
       │                        │             └──────> without an answer <────────┘
       │                        │                        │ on_found, listed ──────────> accepted
       │                        │                        └ absent, on_unlistable ─────> lost (`cnflow.blocks.lost`)
       └── requested in the place of a lost one
    after its end: a late answer with a native id ──> Remove

A block is never submitted twice under one id: a late start would hold the name, and has the manager's keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, Forget, GiveUp, Remove, ReportEnd, Warn
from cnflow.blocks.block import Block, Stage
from cnflow.blocks.lost import LostBlocks
from cnflow.blocks.report import submission_hangs
from cnflow.model.block import Refusal, Refused
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.blocks.backoff import Backoff
    from cnflow.blocks.block import Patience
    from cnflow.blocks.health import Health
    from cnflow.blocks.table import BlockTable
    from cnflow.ids import BlockId, NativeId

_NO_ANSWER = Refused(Refusal.UNKNOWN, "The provider did not answer for this block.")

SLOW_CALL = Seconds(60.0)
"""A call that is out for longer counts as one without an answer, until the answer comes."""


class Submissions:
    """Blocks between request and native id; see the module.

    Args:
        label: of the executor, for messages.
        table: of all its blocks.
        backoff: decides when the next batch may leave.
        health: decides whether the executor is given up after failures.
        patience: times that a block gets.
    """

    def __init__(self, label: str, table: BlockTable, backoff: Backoff, health: Health, patience: Patience) -> None:
        self._label = label
        self._table = table
        self._backoff = backoff
        self._health = health
        self._patience = patience
        self._out: dict[BlockId, Block] = {}
        """Blocks of the call that has not returned."""

        self._out_since = Seconds(0.0)
        self.busy_words = ""
        """Words of the provider that had no room for the last submission; empty if it took it."""

        self.lost = LostBlocks(label, patience.startup)
        self.is_provider_silent = False
        """True after a call that got no answer: nothing is submitted, since earlier blocks may still be there."""

    @property
    def out(self) -> list[BlockId]:
        """Blocks of the call that has not returned. Safe from any thread."""
        return list(self._out)

    def next_at(self, now: Seconds) -> Seconds | None:
        """Return the time of the next `take_batch`; None if only an event can lead to one."""
        if self._out or not self._table.waiting or self._is_held_back():
            return None
        return self._backoff.earliest_start(now)

    def take_batch(self, now: Seconds) -> list[BlockId]:
        """Return the blocks to submit now, as one batch; none while the answer to the last one is out."""
        if self._out or self._is_held_back():
            return []
        batch: list[Block] = []
        for block in self._table.waiting.values():
            if self._backoff.earliest_start(now) > now:
                break
            self._backoff.on_submit(now)
            batch.append(block)
            if self._backoff.is_probing:
                break
        for block in batch:
            block.submitted_at = now
            self._table.put(block)
        self._out, self._out_since = {block.id: block for block in batch}, now
        return list(self._out)

    def on_answers(self, answers: Mapping[BlockId, NativeId | Refused], now: Seconds) -> list[Action]:
        """Follow the provider's answers to the batch that is out."""
        batch, self._out = self._out, {}
        actions: list[Action] = []
        refusals: list[Refused] = []
        busy: list[Refused] = []
        for block in batch:
            answer = answers.get(block, _NO_ANSWER)
            known = self._table.get(block)
            if known is None:
                actions += self.lost.on_answer(block, answer)
            elif not isinstance(answer, Refused):
                actions += self._accept(known, answer, now)
            elif known.native is not None or known.managers:  # it runs, whatever the provider answers now
                known.submitted_at = None
                self._table.put(known)
            elif answer.kind in {Refusal.FAILED, Refusal.FOR_GOOD}:
                known.become(Stage.FAILED)
                self._table.remove(known)
                refusals.append(answer)
                actions.append(Forget(block))
            else:
                busy.append(answer)
                self._keep(known, answer, now)
        if busy:
            self._backoff.on_busy(now)
        self.busy_words = busy[-1].words if busy else ""
        return [*actions, *self._health.on_refused(refusals, now)]

    def on_silence(self, seconds: Seconds) -> None:
        """Let *seconds* without an answer of the provider not count as the time that managers had to connect.

        A broken connection to a site is the way to its scheduler and to its interchange alike.
        """
        for block in self._table.lonely.values():
            if block.without_manager_since is not None:
                block.without_manager_since = Seconds(block.without_manager_since + seconds)

    def on_overdue(self, tasks: int, now: Seconds) -> list[Action]:
        """Look for the blocks of a call that does not return; give up if *tasks* wait and nothing else can come."""
        seconds = Seconds(now - self._out_since)
        hanging = [block for block in self._out.values() if block.native is None and not block.managers]
        if not hanging or seconds < SLOW_CALL:
            return []
        words = submission_hangs(self._label, [block.id for block in hanging], seconds)
        actions: list[Action] = []
        for block in hanging:
            if block.unconfirmed_since is None:
                block.unconfirmed_since, block.message = now, words
                self._table.put(block)
                actions = [Warn(words)]
        others = len(self._table.active) - len(self._table.waiting) - len(hanging)
        if tasks and others <= 0 and seconds >= max(SLOW_CALL, self._patience.startup):
            actions.append(GiveUp(words))
        return actions

    def on_found(self, found: Mapping[BlockId, NativeId], now: Seconds, asked_at: Seconds) -> list[Action]:
        """Adopt blocks without an answer that the provider lists, remove lost ones that it lists late; others are lost.

        Args:
            found: blocks that the provider listed.
            now: time of the answer.
            asked_at: time of the question: a block that was submitted later may be missing in the answer.
        """
        actions: list[Action] = []
        for block in list(self._table.unconfirmed.values()):
            native = found.get(block.id)
            if native is not None and self._table.owner(native) is None:
                actions += self._accept(block, native, now)
        for block_id, native in found.items():
            known = self._table.get(block_id)
            if known is not None and known.native is not None:
                actions += self._remove_double(known, native)
        ours = {block: native for block, native in found.items() if self._table.owner(native) is None}
        actions += self.lost.on_found(ours)
        return [*actions, *self._lose("its provider does not list it", now, asked_at)]

    def on_unlistable(self, words: str, now: Seconds) -> list[Action]:
        """Give up blocks without an answer and without a manager: the provider fails to list blocks, in its *words*."""
        return self._lose(f"its provider fails to list blocks: {words}", now, now)

    def adopt(self, block: BlockId, now: Seconds) -> Block | None:
        """Count a lost block again, instead of one that was requested in its place and waits."""
        lost = self.lost.adopt(block, now)
        if lost is not None:
            for replacement in list(self._table.waiting.values())[-1:]:
                replacement.become(Stage.ENDED)
                self._table.remove(replacement)
            self._table.put(lost)
        return lost

    def _accept(self, block: Block, native: NativeId, now: Seconds) -> list[Action]:
        if block.native is not None:
            block.submitted_at = None
            self._table.put(block)
            return self._remove_double(block, native)
        if self._table.owner(native) is not None:
            self._keep(block, _NO_ANSWER._replace(words=f"The provider gave the id {native} to two blocks."), now)
            return []
        self._backoff.on_accepted()
        block.on_accepted(native, now)
        self._table.put(block)
        return []

    def _remove_double(self, block: Block, native: NativeId) -> list[Action]:
        """Remove a second start of *block*; an id that a block has already is left alone."""
        if self._table.owner(native) is not None:
            return []
        words = f"Block {block.id} of executor {self._label!r} was started twice; {native} is removed."
        return [Warn(words), Remove(block.id, native)]

    def _keep(self, block: Block, answer: Refused, now: Seconds) -> None:
        """Keep a block that was not, or not surely, started."""
        block.message, block.submitted_at = answer.words, None
        block.unconfirmed_since = now if answer.kind is Refusal.UNKNOWN else None
        self._table.put(block)

    def _lose(self, why: str, now: Seconds, asked_at: Seconds) -> list[Action]:
        """Give up the blocks without an answer that should have been listed when the provider was asked."""
        actions: list[Action] = []
        failure = ""
        lag = self._patience.status_lag
        for block in [one for one in self._table.unconfirmed.values() if one.is_absent(asked_at, lag)]:
            was_draining = block.stage is Stage.DRAINING
            reason, is_failure = self.lost.give_up(block, why, now)
            self._table.remove(block)
            if is_failure:
                failure = reason
            else:  # it worked, and has ended as far as can be known
                actions.append(ReportEnd(block.id, reason, is_unexpected=not was_draining))
        if failure:  # once for all that may have been one batch
            actions += self._health.on_bad_block(failure, now)
        return actions

    def _is_held_back(self) -> bool:
        """Return True while the blocks submitted last must first show how they do."""
        return self.is_provider_silent or (self._backoff.is_probing and bool(self._table.untried))
