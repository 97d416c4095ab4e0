"""Block controllers of the several providers of one executor, as one; each runs in a thread of its own.

::

    executor, interchange ── on_manager_connected, on_drained ... ──> SeveralControllers ──> controller of that block
                                                                            │
    controller of each provider ── demand() ──> `shares`: the part of this provider; the others are woken if their part
                                                has grown ──> its strategy ──> its blocks
                                ── give_up ──> `situations`: passed over; all of them: the executor's tasks fail
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from cnflow.blocks.callbacks import Demand
from cnflow.blocks.report import no_block_is_allowed
from cnflow.blocks.several.situations import Member, Situations
from cnflow.errors import BlockError, CnflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.blocks.allowance import Allowance
    from cnflow.blocks.callbacks import Callbacks
    from cnflow.blocks.loop import BlockController
    from cnflow.blocks.several.shares import Share, Shares
    from cnflow.blocks.state import Blocks
    from cnflow.clock import Clock
    from cnflow.ids import BlockId, NativeId
    from cnflow.model.block import BlockRequest
    from cnflow.model.status import BlockReport

logger = logging.getLogger(__name__)

_NO_TASKS = -2
"""Activity in the demand of a provider without a share: what others are given is none of its own."""


class SeveralControllers:
    """Owns the blocks of all providers of one executor; methods are those of `BlockController`.

    Args:
        label: of the executor, for messages.
        callbacks: into the executor.
        shares: divides the tasks.
        labels: of the providers, in order of preference.
        clock: of the controllers.
        wall_clock: seconds since 1970, for expected starts.
    """

    def __init__(
        self,
        label: str,
        callbacks: Callbacks,
        shares: Shares,
        labels: Sequence[str],
        clock: Clock,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._label = label
        self._callbacks = callbacks
        self._shares = shares
        self._clock = clock
        self._lock = threading.RLock()
        self._members: list[Member] = []
        self._situations = Situations(label, self._members, labels, wall_clock)
        self._owners: dict[BlockId, int] = {}
        self._given: dict[str, Share] = {}
        """Share that each provider saw last."""

        self._is_given_up = False
        self._tasks = -1

    def add(
        self,
        label: str,
        blocks: Blocks,
        controller: BlockController,
        limit: Callable[[], Allowance] | None = None,
    ) -> None:
        """Add the next provider; all are there before `run`."""
        self._members.append(Member(label, blocks, controller, limit))
        if blocks.capacity.most == 0:
            words = no_block_is_allowed(self._label, blocks.capacity.strategy)
            self._situations.pass_over(label, BlockError(words), self._clock.now(), is_final=True)

    def callbacks_of(self, label: str, number: int, own: Callbacks) -> Callbacks:
        """Return the callbacks of the controller of provider *number*, of which *own* makes the requests."""

        def make_requests(batch: Sequence[BlockId]) -> Sequence[BlockRequest]:
            self._owners.update(dict.fromkeys(batch, number))
            return own.make_requests(batch)

        return own._replace(
            demand=lambda: self.demand_of(number),
            make_requests=make_requests,
            give_up=lambda error: self.on_given_up(label, error),
        )

    # Threads of the controllers

    def demand_of(self, number: int) -> Demand:
        """Return the demand of the tasks that are for provider *number*."""
        with self._lock:
            now = self._clock.now()
            self._tasks = -1  # before the count: a task that is added from now on wakes again
            demand = self._callbacks.demand()
            self._tasks = demand.tasks
            limits = [member.allowance() for member in self._members]
            self._situations.on_limits(limits, now, has_tasks=demand.tasks > 0)
            verdict = self._situations.verdict(now) if demand.tasks else None
            situations = self._situations.of_all(limits, now)
            shares = self._shares.divide(demand, situations, now)
            own, about = shares[number], situations[number]
            if own.allowance.withdrawn:
                self._shares.on_withdrawn(about.label, own.allowance.withdrawn, about.slots_per_block)
            self._given[about.label] = own
            woken = [
                member.controller
                for member, share in zip(self._members, shares, strict=True)
                if member.label != about.label and self._has_news(member.label, share)
            ]
        for controller in woken:
            controller.wake()
        self._give_up(verdict)
        slots = math.ceil(own.tasks)
        return Demand(
            max(1, min(demand.tasks, slots)) if slots else 0,
            demand.activity if slots else _NO_TASKS,
            demand.finished,
            slots,
            own.allowance.and_(limits[number]),
        )

    def on_given_up(self, label: str, error: CnflowError, *, is_final: bool = False) -> None:
        """Pass a provider over; fail the tasks of the executor if none is left."""
        with self._lock:
            now = self._clock.now()
            is_new = self._situations.pass_over(label, error, now, is_final=is_final)
            verdict = self._situations.verdict(now)
        self._give_up(verdict)
        if is_new and verdict is None:
            self.wake()

    def _give_up(self, verdict: CnflowError | None) -> None:
        """Fail the tasks of the executor, once; without the lock, since callbacks of the user's tasks may run."""
        if verdict is not None and not self._is_given_up:
            self._is_given_up = True
            self._callbacks.give_up(verdict)

    def _has_news(self, label: str, share: Share) -> bool:
        """Return True if the provider is to decide anew: it has more to do, or other limits, than it saw."""
        seen = self._given.get(label)
        if seen is None:
            return False
        return math.ceil(share.tasks) > math.ceil(seen.tasks) or share.allowance._replace(
            reason=""
        ) != seen.allowance._replace(reason="", withdrawn=0)

    # Any thread: as `BlockController`

    @property
    def living(self) -> int:
        """Number of blocks that were accepted and have not ended."""
        return sum(member.controller.living for member in self._members)

    @property
    def enough_for(self) -> float:
        """Number of tasks beyond which more blocks may be needed."""
        return math.inf if all(member.blocks.is_full for member in self._members) else self._tasks

    def natives(self) -> set[NativeId]:
        """Return the native ids of all blocks that may run."""
        return {native for member in self._members for native in member.controller.natives()}

    def unconfirmed(self) -> list[BlockId]:
        """Return the blocks whose submission got no answer."""
        return [block for member in self._members for block in member.controller.unconfirmed()]

    def reports(self) -> list[BlockReport]:
        """Return a report on each block, in the order of their numbers."""
        reports = [report for member in self._members for report in member.controller.reports()]
        return sorted(reports, key=lambda report: (len(report.block), report.block))

    @property
    def present_failure(self) -> str:
        """Words on the last block that failed, of the first provider of which one has."""
        return next((words for member in self._members if (words := member.controller.present_failure)), "")

    def explain(self) -> list[str]:
        """Return a sentence on each provider that is passed over, is in trouble, or is not asked yet."""
        now = self._clock.now()
        lines = []
        for member in self._members:
            passed_over, trouble = self._situations.reason(member.label, now), member.blocks.trouble
            share = self._given.get(member.label)
            if passed_over:
                lines.append(f"Provider {member.label} is passed over: {passed_over}")
            elif trouble:
                lines.append(f"Provider {member.label} is in trouble, others are asked in its place: {trouble}")
            elif share is not None and share.allowance.reason:
                lines.append(f"Provider {member.label} is asked for no block: {share.allowance.reason}")
            elif share is not None and not share.tasks and not member.controller.living:
                lines.append(
                    f"Provider {member.label} is not asked yet: the last task waits for {self._shares.wait:.0f} s as "
                    f"estimated, and spill_after={self._shares.spill_after:g} s."
                )
        return lines

    def on_manager_connected(self, block: str, slots: int, rank: int = 0, host: str = "") -> None:
        """See `BlockController`."""
        for controller in self._of(block):
            controller.on_manager_connected(block, slots, rank, host)

    def on_manager_lost(self, block: str, slots: int) -> None:
        """See `BlockController`."""
        for controller in self._of(block):
            controller.on_manager_lost(block, slots)

    def on_drained(self, block: str) -> None:
        """See `BlockController`."""
        for controller in self._of(block):
            controller.on_drained(block)

    def drain(self, block: str) -> None:
        """See `BlockController`."""
        for controller in self._of(block):
            controller.drain(block)

    def on_emptied(self, block: str) -> None:
        """See `BlockController`."""
        for controller in self._of(block):
            controller.on_emptied(block)

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """See `BlockController`; each picks its own blocks."""
        for each in self._members:
            each.controller.on_idle_times(seconds)

    def wake(self) -> None:
        """Have all of them decide."""
        for member in self._members:
            member.controller.wake()

    def adopt(self, natives: Mapping[BlockId, NativeId], next_block: int) -> None:
        """Take over the blocks of another driver, each by the provider that its native id names."""
        for number, member in enumerate(self._members):
            prefix = f"{member.label}/"
            own = {block: native for block, native in natives.items() if native.startswith(prefix)}
            self._owners.update(dict.fromkeys(own, number))
            member.controller.adopt(own, next_block)
        if foreign := [native for block, native in natives.items() if block not in self._owners]:
            logger.warning(
                "executor %s has no provider for blocks, which may run on: %s", self._label, ", ".join(foreign)
            )

    def on_run_ending(self) -> None:
        """See `BlockController`."""
        for member in self._members:
            member.controller.on_run_ending()

    def stop(self) -> None:
        """Make `run` remove all blocks and return."""
        for member in self._members:
            member.controller.stop()

    # The thread of `run`

    def run(self) -> None:
        """Run all controllers until `stop`; one that fails leaves the others alone."""
        threads = [
            threading.Thread(target=self._run, args=(member,), name=f"cnflow-{self._label}-{member.label}", daemon=True)
            for member in self._members
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self, last: Callable[[], None]) -> None:
        """End the threads of all providers; *last* is called once no call of any is out."""
        left = len(self._members)
        lock = threading.Lock()

        def on_closed() -> None:
            nonlocal left
            with lock:
                left -= 1
                is_last = left == 0
            if is_last:
                last()

        for member in self._members:
            member.controller.close(on_closed)

    def _run(self, member: Member) -> None:
        try:
            member.controller.run()
        except CnflowError as error:
            logger.exception("provider %s of executor %s failed", member.label, self._label)
            self._on_ended(member, error)
        except BaseException as error:  # a provider may be any code; a silent end would leave tasks waiting
            logger.exception("provider %s of executor %s failed", member.label, self._label)
            failed = CnflowError(f"Its controller failed: {type(error).__name__}: {error}")
            self._on_ended(member, failed)

    def _on_ended(self, member: Member, error: CnflowError) -> None:
        self._situations.on_ended(member.label)
        for block in member.blocks.table:  # the end of its run has removed them: their tasks go elsewhere at once
            self._callbacks.report_end(block.id, str(error))
            self._callbacks.forget(block.id)
        self.on_given_up(member.label, error, is_final=True)

    def is_of_another(self, number: int, block: BlockId) -> bool:
        """Return True if *block* is not of provider *number*."""
        return self._owners.get(block, number) != number

    def _of(self, block: str) -> Sequence[BlockController]:
        """Return the controller of *block*; none for a block that nobody has asked for."""
        number = self._owners.get(block)  # type: ignore[call-overload]  # ids of the wire are text
        return () if number is None else (self._members[number].controller,)
