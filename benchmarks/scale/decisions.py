"""Cost of the interchange's decisions: its state alone, in this process, with simulated managers, tasks and time.

::

    tasks of one kind ──on_submitted──> Interchange ──dispatch──> managers, which run tasks in simulated time
                        on_cancelled ──>     ^                          │
                                             └── on_results, on_heartbeat, on_tick <──┘

Each call is timed; the sum gives the throughput, and the longest one tells for how long the interchange is deaf. The
simulation checks what it sees: no node is over-booked, no task outlives its block, each task ends once.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import math
import random
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cnflow.ids import BlockId, FunctionId, ManagerId, TaskId
from cnflow.interchange import actions as on
from cnflow.interchange.state import Interchange
from cnflow.model.item import Item
from cnflow.units import Seconds
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import NO_FRAMES, Result, Task, TaskParcel
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

KINDS = ("plain", "needs", "priorities", "walltimes", "cancels", "items", "mixed")
SLOTS = 4
_CORES, _MEMORY, _GIB = 4.0, 16 * 2**30, 2**30
_LIFE = 3600.0
"""Seconds of a block, where blocks have an end."""

_ITEM, _SHARED = 10**8, 10**9
"""Bytes of each item, and the number of the one that all tasks share."""

_BATCH = 5_000
_TURN = 64
"""Messages of managers that the interchange reads in one turn."""

_PERIOD = 30.0
_FUNCTIONS = [Function(FunctionId(bytes([n]) * 16), f"f{n}", 0, "", b"") for n in range(8)]


class Row(NamedTuple):
    """Figures of one kind of tasks."""

    kind: str
    managers: int
    ended: int
    """Tasks that ended, of those that were submitted."""

    tasks: int
    cpu_s: float
    """CPU time in the state of the interchange."""

    longest_ms: float
    longest: str
    """Event that took longest."""

    typical_us: float
    """Median CPU time of `dispatch` after a turn."""

    is_complete: bool
    """All tasks ended in the time that was given."""


class Meter:
    """CPU time of the calls of each event."""

    def __init__(self) -> None:
        self.total = 0.0
        self.longest: dict[str, float] = defaultdict(float)
        self.dispatches: list[float] = []

    def __call__(self, name: str, call: Callable[..., list[Any]], *args: Any, **kwargs: Any) -> list[Any]:  # noqa: ANN401 - any event's
        """Call an event and record its CPU time."""
        begin = time.thread_time()
        actions = call(*args, **kwargs)
        seconds = time.thread_time() - begin
        self.total += seconds
        self.longest[name] = max(self.longest[name], seconds)
        if name == "dispatch":
            self.dispatches.append(seconds)
        return actions


class SimulatedManager:
    """Manager that ends each of its tasks at a moment that was drawn when the task arrived."""

    __slots__ = ("block", "cores", "ends_at", "last_sent", "running")

    def __init__(self, block: str, ends_at: float, now: float) -> None:
        self.block, self.ends_at, self.last_sent = block, ends_at, now
        self.running: dict[int, Task] = {}
        self.cores = 0.0


def _cores(task: Task) -> float:
    return 1.0 if task.needs is None or task.needs.cores < 0 else task.needs.cores


class Simulation:
    """One kind of tasks on a number of managers."""

    def __init__(self, kind: str, managers: int, tasks: int, seconds: float) -> None:
        self._kind, self._count, self._tasks, self._limit = kind, managers, tasks, seconds
        self._random = random.Random(7)  # noqa: S311 - a simulation
        self._state = Interchange(1, Seconds(_PERIOD), Seconds(1e9))
        self._meter = Meter()
        self._now = 0.0
        self._managers: dict[ManagerId, SimulatedManager] = {}
        self._ends: list[tuple[float, ManagerId, int]] = []
        """Heap of the moments when tasks end."""

        self._blocks: list[tuple[float, ManagerId]] = []
        """Heap of the moments when blocks end, where they do."""

        self._ended = bytearray(tasks)
        self._has_lives = kind in {"walltimes", "mixed"}

    def run(self) -> Row:
        """Run all tasks, or as many as the time allows."""
        for _ in range(self._count):
            self._register(_LIFE * self._random.uniform(0.5, 1.0))
        begin = time.process_time()
        submitted = self._submit_all(begin)
        next_tick = self._now
        while sum(self._ended) < self._tasks and time.process_time() - begin < self._limit and submitted:
            for _ in range(50):
                if not self._turn():
                    break
                if self._now >= next_tick:
                    self._apply(self._meter("on_tick", self._state.on_tick, Seconds(self._now)))
                    next_tick = self._now + _PERIOD / 2
            else:
                continue
            if not self._ends:
                self._now += _PERIOD / 2
                self._replace_blocks()
                self._apply(self._meter("dispatch", self._state.dispatch, Seconds(self._now)))
        return self._row()

    def _row(self) -> Row:
        ended, meter = sum(self._ended), self._meter
        longest = max(meter.longest, key=lambda name: meter.longest[name])
        median = sorted(meter.dispatches)[len(meter.dispatches) // 2]
        seconds = meter.longest[longest]
        complete = ended == self._tasks
        return Row(
            self._kind, self._count, ended, self._tasks, meter.total, seconds * 1e3, longest, median * 1e6, complete
        )

    def _register(self, life: float) -> None:
        manager = ManagerId(b"m%07d" % len(self._managers))
        block = BlockId(str(len(self._managers)))
        life = life if self._has_lives else math.inf
        node = Node(cores=_CORES, memory=_MEMORY, worker_cores=1.0, worker_memory=_MEMORY // SLOTS, life=life)
        info = ManagerInfo(1, "0", "3.11", block, block, "", SLOTS, 1, "", node)
        self._managers[manager] = SimulatedManager(block, self._now + life, self._now)
        if self._has_lives:
            heapq.heappush(self._blocks, (self._now + life, manager))
        self._state.on_admitted(block)
        self._apply(self._meter("on_registered", self._state.on_registered, manager, info, Seconds(self._now)))
        self._apply(self._meter("on_results", self._state.on_results, manager, SLOTS, [], Seconds(self._now)))

    def _submit_all(self, begin: float) -> bool:
        numbers = iter(range(self._tasks))
        functions = list(_FUNCTIONS)
        while batch := [self._task(number) for number in itertools.islice(numbers, _BATCH)]:
            if time.process_time() - begin > self._limit:
                return False
            submit = self._state.on_submitted
            mixed = self._kind not in {"plain", "cancels", "walltimes"}
            self._apply(self._meter("on_submitted", submit, functions, batch, may_have_needs=mixed))
            functions = []
            self._apply(self._meter("dispatch", self._state.dispatch, Seconds(self._now)))
        return True

    def _task(self, number: int) -> TaskParcel:
        rng, kind = self._random, self._kind
        needs, walltime = None, 0.0
        if kind == "priorities":
            needs = Needs(cores=1.0, priority=rng.random())
        elif kind in {"needs", "mixed"} and number % 2:
            memory = rng.choice([-1, 1, 2, 8]) * _GIB
            needs = Needs(rng.choice([0.5, 1.0, 2.0, 4.0]), max(memory, -1))
        if kind in {"walltimes", "mixed"} and number % 4 < 2:  # noqa: PLR2004 - half of those with needs, too
            walltime = rng.uniform(20.0, 1700.0)
        items: tuple[Item, ...] = ()
        if kind == "items":  # one of the driver that all read, and one that a task has left on some node
            node = rng.randrange(len(self._managers))
            left = Item(b"%016d" % node + b"left", _ITEM, source=b"m%07d" % node)
            items = Item(b"%016d" % _SHARED + b"all", _ITEM), left
        function = _FUNCTIONS[number % len(_FUNCTIONS)].id
        return Task(TaskId(number), function, b"", needs=needs, walltime=walltime, items=items), NO_FRAMES

    def _turn(self) -> bool:
        """Let the next tasks end, and the interchange read of it and dispatch; False if none runs."""
        if not self._ends:
            return False
        results: dict[ManagerId, list[tuple[Result, Any]]] = {}
        while self._ends and len(results) < _TURN:
            self._now, manager, number = heapq.heappop(self._ends)
            record = self._managers.get(manager)
            task = record.running.pop(number, None) if record is not None else None
            if record is not None and task is not None:
                record.cores -= _cores(task)
                result = Result(TaskId(number), ResultKind.VALUE, b"", 1.0)
                results.setdefault(manager, []).append((result, NO_FRAMES))
        if self._kind in {"cancels", "mixed"}:
            self._cancel()
        for manager, parcels in results.items():
            self._apply(self._meter("on_results", self._state.on_results, manager, SLOTS, parcels, Seconds(self._now)))
        self._replace_blocks()
        self._apply(self._meter("dispatch", self._state.dispatch, Seconds(self._now)))
        return True

    def _cancel(self) -> None:
        """Cancel tasks one by one, in any place."""
        for _ in range(8):
            number = TaskId(self._random.randrange(self._tasks))
            if not self._ended[number]:
                self._apply(self._meter("on_cancelled", self._state.on_cancelled, {number: 0}, Seconds(self._now)))

    def _replace_blocks(self) -> None:
        while self._blocks and self._blocks[0][0] <= self._now:
            _, manager = heapq.heappop(self._blocks)
            record = self._managers.get(manager)
            if record is not None and record.block:
                self._leave(manager)

    def _leave(self, manager: ManagerId) -> None:
        record = self._managers[manager]
        assert not any(task.walltime for task in record.running.values()), "a task outlived its block"
        left = self._state.on_manager_left
        lost = list(record.running.values())
        self._managers[manager] = SimulatedManager("", self._now, self._now)
        self._apply(self._meter("on_manager_left", left, manager, "its block has ended"))
        again: list[TaskParcel] = [(task, NO_FRAMES) for task in lost]
        self._apply(self._meter("on_submitted", self._state.on_submitted, [], again, may_have_needs=True))
        self._register(_LIFE)

    def _apply(self, actions: list[on.Action]) -> None:
        for action in actions:
            if isinstance(action, on.SendWork):
                self._start(action.manager, action.tasks)
            elif isinstance(action, on.SendResults):
                for result, _ in action.results:
                    assert not self._ended[result.id], f"task {result.id} ended twice"
                    self._ended[result.id] = 1
            elif isinstance(action, on.SendCancel):
                for number in action.tasks:
                    heapq.heappush(self._ends, (self._now + 1.0, action.manager, number))
            elif isinstance(action, on.SendDrain):
                self._blocks = [entry for entry in self._blocks if entry[1] != action.manager]
                heapq.heapify(self._blocks)
                heapq.heappush(self._blocks, (self._now, action.manager))

    def _start(self, manager: ManagerId, parcels: list[TaskParcel]) -> None:
        record = self._managers[manager]
        for task, _ in parcels:
            most = min(task.walltime or math.inf, 200.0)
            record.running[task.id] = task
            record.cores += _cores(task)
            heapq.heappush(self._ends, (self._now + self._random.uniform(1.0, most), manager, task.id))
            assert self._now + task.walltime <= record.ends_at or not task.walltime, "a task is too long for its block"
        assert record.cores <= _CORES, f"{record.cores} cores are taken on a node that has {_CORES}"
        assert len(record.running) <= SLOTS, "more tasks than workers"


def simulate_decisions(kinds: list[str], managers: int, tasks: int, seconds: float) -> Iterator[Row]:
    """Run each of *kinds* for *seconds* at most."""
    for kind in kinds:
        gc.collect()
        gc.freeze()  # millions of tasks are not looked through again and again
        yield Simulation(kind, managers, tasks, seconds).run()
