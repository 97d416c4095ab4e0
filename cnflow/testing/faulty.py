"""A provider that hangs, lies, forgets and answers late, around any other: for tests of what must stand that.

::

    controller ──call──> FaultyProvider ── next fault of this kind of call
                              ├─ none ────> Provider
                              ├─ LATE ────> Provider, after a while
                              ├─ HANG ────> Provider, after `release`
                              ├─ LOSE ────> Provider, and its answer is lost
                              ├─ FORGET ──> Provider, and half of its answer is lost
                              ├─ NONSENSE > Provider, and the answer has a wrong type
                              ├─ GONE ────> Provider, and `status` reports all blocks as gone
                              ├─ FAIL       no call, and no answer
                              └─ RAISE      no call, and an error that the seam forbids

    faults are scripted:   Script(submit=[Fault.LOSE], status=[None, Fault.HANG])
    or random:             RandomFaults(chance, {"status": {Fault.LATE: 0.1, Fault.FAIL: 0.1}})
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Protocol, cast

from cnflow.errors import BlockError
from cnflow.model.block import BlockState, BlockStatus

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces import Provider
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest, Refused
    from cnflow.model.finding import Finding
    from cnflow.model.image import Image


class Fault(enum.Enum):
    """Fault of one call; see the module."""

    LATE = "late"
    HANG = "hang"
    LOSE = "lose"
    FAIL = "fail"
    RAISE = "raise"
    NONSENSE = "nonsense"
    FORGET = "forget"
    GONE = "gone"


class Faults(Protocol):
    """Source of faults. Called from the threads of the calls."""

    def next(self, call: str) -> Fault | None:
        """Return the fault of the next call of this method; None for none."""


class Script:
    """Faults in a fixed order, by method; none after the last one."""

    def __init__(self, **faults: Sequence[Fault | None]) -> None:
        self._faults = {call: list(sequence) for call, sequence in faults.items()}

    def next(self, call: str) -> Fault | None:
        """See `Faults`."""
        left = self._faults.get(call)
        return left.pop(0) if left else None


class RandomFaults:
    """Faults at random.

    Args:
        chance: draws them.
        rates: share of the calls of a method that have a fault, by method and fault.
    """

    def __init__(self, chance: random.Random, rates: Mapping[str, Mapping[Fault, float]]) -> None:
        self._chance = chance
        self._rates = rates
        self._lock = threading.Lock()

    def next(self, call: str) -> Fault | None:
        """See `Faults`."""
        with self._lock:
            drawn = self._chance.random()
        for fault, rate in self._rates.get(call, {}).items():
            drawn -= rate
            if drawn < 0:
                return fault
        return None


class FaultyProvider:
    """Calls another provider, with faults. Satisfies `cnflow.interfaces.Provider` as long as there are none.

    Args:
        provider: to call.
        faults: of the calls of `submit`, `find`, `status`, `cancel` and `logs`.
        seconds: time of a call that is late.
        longest: time after which a call goes on that hangs and is not released.

    Attributes:
        made: each fault that was made, with its method, in order.
    """

    def __init__(self, provider: Provider, faults: Faults, seconds: float = 0.1, *, longest: float = 60.0) -> None:
        self._provider = provider
        self._faults = faults
        self._seconds = seconds
        self._longest = longest
        self._released = threading.Event()
        self.made: list[tuple[str, Fault]] = []

    def release(self) -> None:
        """Let every call that hangs go on, now and from now on."""
        self._released.set()

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Submit blocks, or not."""
        return cast("Mapping[BlockId, NativeId | Refused]", self._call("submit", requests))

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """List blocks, or not."""
        return cast("Mapping[BlockId, NativeId]", self._call("find", run, executor))

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Report on blocks, or not."""
        return cast("Mapping[NativeId, BlockStatus]", self._call("status", blocks))

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """End blocks, or not."""
        return cast("Mapping[NativeId, str]", self._call("cancel", blocks))

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """Return lines of a block, or not."""
        return cast("bytes", self._call("logs", block, node, last))

    def endpoint_hosts(self) -> Collection[str]:
        """Pass through, as all calls that are made once."""
        return self._provider.endpoint_hosts()

    def prepare(self, image: Image) -> str:
        """Pass through."""
        return self._provider.prepare(image)

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Pass through."""
        return self._provider.watch(changed)

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Pass through."""
        return self._provider.preview(request)

    def check(self) -> Sequence[Finding]:
        """Pass through."""
        return self._provider.check()

    def close(self) -> None:
        """Pass through."""
        self._provider.close()

    def _call(self, call: str, *arguments: object) -> object:
        fault = self._faults.next(call)
        if fault is not None:
            self.made.append((call, fault))
        if fault is Fault.FAIL:
            raise BlockError(f"{call}: the system does not answer")
        if fault is Fault.RAISE:
            raise ZeroDivisionError(f"{call}: a bug")
        if fault is Fault.LATE:
            self._released.wait(self._seconds)
        if fault is Fault.HANG:
            self._released.wait(self._longest)
        answer: object = getattr(self._provider, call)(*arguments)
        if fault is Fault.LOSE:
            raise BlockError(f"{call}: the answer was lost")
        if fault is Fault.NONSENSE:
            return 7
        if fault is Fault.FORGET and isinstance(answer, dict):
            return dict(list(answer.items())[::2])
        if fault is Fault.GONE and call == "status" and isinstance(answer, dict):
            return dict.fromkeys(answer, BlockStatus(BlockState.GONE))
        return answer
