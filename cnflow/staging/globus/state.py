"""Decides which copies go into one transfer of Globus, when its state is asked for, and what follows. No I/O.

::

    on_copy ──> gathered by pair of collections ──`gather` s, or full──> ready ──fewer than `active` transfers──> Submit
                                                                                                                 │
       Submit again, later and with the same id <──passing problem── on_problem <──┬──> on_submitted             │
                                                                                   │        │  <────────────────-┘
                                                       Poll, at 0.5, 0.75 ... 30 s <──┴────────┘
                                                         │
    on_status ──ACTIVE──> Poll later; a fault without progress for `patience` ──> Cancel, Failed
              ├─INACTIVE─> Cancel, Failed: somebody has to log in
              ├─SUCCEEDED> Done, but Failed for what Globus skipped
              └─FAILED───> Done for what was copied; the rest in two halves, as one bad file fails its whole transfer;
                           Failed for the last one, or where the transfer was cancelled
    Failed, but not for good ──retries left──> ready, alone
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cnflow.staging.globus.events import Cancel, Copy, Done, Failed, Poll, Submit, Warn
from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from cnflow.staging.globus.events import Action, Problem, Status
    from cnflow.units import Seconds


@dataclass(frozen=True)
class Rules:
    """Numbers of the machine; times in seconds."""

    gather: float = 0.3
    """Wait of the first copy of a transfer for others."""

    most_copies: int = 2000
    """Copies in one transfer."""

    active: int = 20
    """Transfers at a time; Globus lets a user have 100."""

    first_poll: float = 0.5
    last_poll: float = 30.0
    """Time between two questions about one transfer, which grows by half each time."""

    patience: float = 3600.0
    """Time without progress after which a transfer that Globus reports as faulty is given up."""

    splits: int = 16
    """Halvings of one transfer that failed: enough to find a few bad files, few enough where all of them are."""


class _Group(NamedTuple):
    """Copies of one transfer to be."""

    copies: tuple[Copy, ...]
    splits_left: list[int]
    """One number, which the halves of a transfer share."""


@dataclass
class _Batch:
    group: _Group
    due: float = float("inf")
    """Time of the next action; infinite while one is under way."""

    is_submitted: bool = False
    pause: float = 0.0
    troubled_since: float | None = None
    progress: tuple[int, int] = (0, 0)
    error: str = ""

    @property
    def copies(self) -> tuple[Copy, ...]:
        return self.group.copies


@dataclass
class _Pair:
    """Copies between the same two collections that are not in a transfer yet."""

    copies: list[Copy] = field(default_factory=list)
    due: float = 0.0


_NEVER = float("inf")


class TransferState:
    """The machine; each event returns actions, and so does `tick` at the time that `deadline` returns."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._ready: list[_Group] = []
        self._batches: dict[int, _Batch] = {}
        self._numbers = itertools.count()

    # Queries

    def deadline(self) -> float:
        """Return the time at which `tick` has something to do."""
        times = [pair.due for pair in self._pairs.values()] + [batch.due for batch in self._batches.values()]
        return min(times, default=_NEVER)

    def progress(self, copy: int) -> str:
        """Describe what happens with a copy, for people."""
        for batch in list(self._batches.values()):
            if any(each.number == copy for each in batch.copies):
                files, size = batch.progress
                moved = f"with {len(batch.copies)} files, {files} of them and {amount_of_memory(size)} so far"
                state = f"in a transfer {moved}" if batch.is_submitted else "being submitted"
                return f"{state}; {batch.error}" if batch.error else state
        return "waits for a transfer"

    # Events

    def on_copy(self, copy: Copy, now: Seconds) -> list[Action]:
        """Add a copy."""
        key = (copy.source.collection, copy.target.collection)
        pair = self._pairs.setdefault(key, _Pair(due=now + self._rules.gather))
        pair.copies.append(copy)
        if len(pair.copies) >= self._rules.most_copies:
            self._gathered(key)
        return self._submit_ready()

    def tick(self, now: Seconds) -> list[Action]:
        """Act on what is due."""
        for key in [key for key, pair in self._pairs.items() if pair.due <= now]:
            self._gathered(key)
        actions: list[Action] = []
        for number, batch in self._batches.items():
            if batch.due <= now:
                batch.due = _NEVER
                actions.append(Poll(number) if batch.is_submitted else Submit(number, batch.copies))
        return actions + self._submit_ready()

    def on_submitted(self, number: int, now: Seconds) -> list[Action]:
        """Note that Globus has accepted a transfer."""
        batch = self._batches[number]
        batch.is_submitted, batch.troubled_since, batch.error = True, None, ""
        batch.pause = self._rules.first_poll
        batch.due = now + batch.pause
        return []

    def on_problem(self, number: int, problem: Problem, now: Seconds) -> list[Action]:
        """Act on a call for a transfer that failed: submission, or question about its state."""
        batch = self._batches[number]
        since = batch.troubled_since = now if batch.troubled_since is None else batch.troubled_since
        if not problem.is_passing or now - since >= self._rules.patience:
            return self._give_up(number, problem.words, is_final=not problem.is_passing)
        is_new, batch.error = batch.error != problem.words, problem.words
        self._delay(batch, now)
        return [Warn(f"{problem.words} It is tried again.")] if is_new else []

    def on_status(self, number: int, status: Status, now: Seconds) -> list[Action]:
        """Act on the state of a transfer."""
        batch = self._batches[number]
        if status.state == "SUCCEEDED":
            del self._batches[number]
            return [_outcome(copy, status) for copy in batch.copies] + self._submit_ready()  # what it skipped is final
        if status.state == "FAILED":
            return self._split(number, status)
        if status.state == "INACTIVE":
            return self._give_up(number, f"the right to go on has expired: {status.error}", is_final=True)
        return self._wait_on(number, status, now)

    def close(self) -> list[Action]:
        """Give up everything: the run ends."""
        waiting = [copy for pair in self._pairs.values() for copy in pair.copies]
        waiting += itertools.chain.from_iterable(group.copies for group in self._ready)
        waiting += itertools.chain.from_iterable(batch.copies for batch in self._batches.values())
        cancelled: list[Action] = [Cancel(number) for number, batch in self._batches.items() if batch.is_submitted]
        self._pairs, self._ready, self._batches = {}, [], {}
        return [*cancelled, *(Failed(copy.number, "the run ended before the transfer did") for copy in waiting)]

    # Parts

    def _gathered(self, key: tuple[str, str]) -> None:
        self._ready.append(_Group(tuple(self._pairs.pop(key).copies), [self._rules.splits]))

    def _submit_ready(self) -> list[Action]:
        actions: list[Action] = []
        while self._ready and len(self._batches) < self._rules.active:
            number, group = next(self._numbers), self._ready.pop(0)
            self._batches[number] = _Batch(group)
            actions.append(Submit(number, group.copies))
        return actions

    def _wait_on(self, number: int, status: Status, now: Seconds) -> list[Action]:
        batch, progress = self._batches[number], (status.files, status.size)
        if status.is_ok or progress != batch.progress:
            batch.troubled_since = None
        elif batch.troubled_since is None:
            batch.troubled_since = now
        elif now - batch.troubled_since >= self._rules.patience:
            return self._give_up(number, f"no progress for {self._rules.patience:.0f} s: {status.error}")
        is_new = not status.is_ok and status.error != batch.error
        batch.progress, batch.error = progress, "" if status.is_ok else status.error
        self._delay(batch, now)
        return [Warn(f"Globus goes on after an error: {status.error}")] if is_new else []

    def _delay(self, batch: _Batch, now: Seconds) -> None:
        batch.pause = min(max(batch.pause * 1.5, self._rules.first_poll), self._rules.last_poll)
        batch.due = now + batch.pause

    def _split(self, number: int, status: Status) -> list[Action]:
        batch = self._batches.pop(number)
        actions: list[Action] = [Done(copy.number) for copy in batch.copies if copy.source.path in status.copied]
        rest = [copy for copy in batch.copies if copy.source.path not in status.copied]
        splits_left = batch.group.splits_left
        is_cancelled = status.error.startswith("CANCELED")
        if len(rest) == 1 or splits_left[0] <= 0 or is_cancelled:
            actions += [self._fail(copy, status.error, is_final=is_cancelled) for copy in rest]
        elif rest:
            splits_left[0] -= 1
            half = len(rest) // 2
            self._ready += [_Group(tuple(rest[:half]), splits_left), _Group(tuple(rest[half:]), splits_left)]
        return actions + self._submit_ready()

    def _fail(self, copy: Copy, words: str, *, is_final: bool) -> Action:
        """Give up a copy, or have another transfer make it."""
        if is_final or not copy.retries:
            return Failed(copy.number, words)
        again = copy._replace(retries=copy.retries - 1)
        self._ready.append(_Group((again,), [self._rules.splits]))
        return Warn(f"{copy.source} goes into another transfer after: {words}")

    def _give_up(self, number: int, words: str, *, is_final: bool = False) -> list[Action]:
        batch = self._batches.pop(number)
        cancelled: list[Action] = [Cancel(number)] if batch.is_submitted else []
        failed: list[Action] = [self._fail(copy, words, is_final=is_final) for copy in batch.copies]
        return cancelled + failed + self._submit_ready()


def _outcome(copy: Copy, status: Status) -> Action:
    """Outcome of a copy of a transfer that succeeded: a folder fails with the first of its parts that was skipped."""
    path = copy.source.path
    for skipped, words in status.skipped.items():
        if skipped == path or (copy.is_folder and skipped.startswith(path.rstrip("/") + "/")):
            return Failed(copy.number, words if skipped == path else f"{skipped}: {words}")
    return Done(copy.number)
