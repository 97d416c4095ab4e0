"""Chains of tasks that read what the task before has left, on simulated nodes: contents moved, and time in all.

::

    chain: task ── leaves a content on its node ──> task ── ... ──> task
    a task that is sent elsewhere begins when its content has moved, at the same rate to each node

Run ``python tests/simulation/placement.py`` for the figures of docs/decisions/0067.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from typing import Any, NamedTuple

from cnflow.interchange.actions import SendWork
from cnflow.interchange.scheduler import data_queue
from cnflow.interchange.state import Interchange
from cnflow.model.item import Item
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"")
NODES, SLOTS = 8, 4


class Figures(NamedTuple):
    """Outcome of one simulation."""

    seconds: float
    moved: int
    """Number of contents that moved between nodes."""

    read: int
    """Number of contents that were read."""


class Site:
    """Nodes, an interchange and a driver, in simulated time."""

    def __init__(self, seed: int, size: int, *, others: int, knows_places: bool = True) -> None:
        self.rng = random.Random(seed)
        self.size = size
        self.knows_places = knows_places
        self.state = Interchange(1, 10, 1e9, ["0"])
        self.now = 0.0
        self.numbers = iter(range(10**9))
        self.ends: list[tuple[float, int, bytes]] = []
        self.left: dict[int, int] = {}
        """Tasks that follow in the chain of each task."""

        self.others_left = others
        self.moved = self.read = 0
        for number in range(NODES):
            node = Node(cores=float(SLOTS), worker_cores=1.0)
            info = ManagerInfo(1, "0", "3.11", f"h{number}", "0", "", SLOTS, 1, "", node)
            self.state.on_registered(b"m%d" % number, info, 0.0)
            self.state.on_results(b"m%d" % number, SLOTS, [], 0.0)

    def submit(self, follow: int, *items: Item) -> None:
        number = next(self.numbers)
        self.left[number] = follow
        task = Task(number, FUNCTION.id, b"", items=items)
        self.state.on_submitted([FUNCTION], [(task, ())], may_have_needs=True)

    def dispatch(self) -> None:
        for action in self.state.dispatch(self.now):
            for task, _ in action.tasks if isinstance(action, SendWork) else ():
                begin = self.now
                for item in task.items:
                    self.read += 1
                    if item.name.encode() != action.manager:
                        self.moved += 1
                        begin += self.size / data_queue.BYTES_PER_SECOND
                end = begin + self.rng.expovariate(1.0)
                heapq.heappush(self.ends, (end, task.id, action.manager))

    def run(self, chains: int, length: int) -> Figures:
        for _ in range(chains):
            self.submit(length - 1)
        for _ in range(self.others_left):
            self.submit(-1)
        self.dispatch()
        while self.ends:
            deadline = self.state.data.next_deadline
            if deadline < self.ends[0][0]:
                self.now = deadline
            else:
                self.now, number, manager = heapq.heappop(self.ends)
                self.end(number, manager)
            self.dispatch()
        return Figures(self.now, self.moved, self.read)

    def end(self, number: int, manager: bytes) -> None:
        follow = self.left.pop(number)
        source = manager if self.knows_places else b""
        item = Item(b"%016d" % number + b"left", self.size, source=source, name=manager.decode())
        items: Any = (item,) if follow >= 0 and self.knows_places else ()
        self.state.on_results(manager, SLOTS, [(Result(number, ResultKind.VALUE, b"", items=items), ())], self.now)
        if follow > 0:
            self.submit(follow - 1, item)


def simulate(size: int, *, patience: float, others: int, knows_places: bool = True, seed: int = 1) -> Figures:
    """Simulate 100 chains of 5 tasks of a second each, beside *others* without data.

    Args:
        size: bytes that each task of a chain leaves.
        patience: wait for the node of the data, in times that moving takes.
        others: number of other tasks, submitted before.
        knows_places: False is a scheduler that does not know what is where.
        seed: of the durations.
    """
    wait = data_queue.DataQueue._wait_instead

    def wait_so_long(self: Any, waiting: Any, manager: Any, fits: Any, now: Any) -> Any:
        found = wait(self, waiting, manager, fits, now) if patience else None
        if patience == 1.0 or not patience:
            return found
        until = waiting.since + patience * (found.until - waiting.since) if found is not None else 0.0
        return found._replace(until=until) if found is not None and until > now else None

    data_queue.DataQueue._wait_instead = wait_so_long  # type: ignore[method-assign]
    try:
        return Site(seed, size, others=others, knows_places=knows_places).run(chains=100, length=5)
    finally:
        data_queue.DataQueue._wait_instead = wait  # type: ignore[method-assign]


def main() -> None:
    """Print the figures of several policies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    sys.stdout.write(f"{'size':>8} {'others':>7} {'policy':>22} {'seconds':>8} {'moved':>6}\n")
    for size in (10**7, 10**8, 10**9):
        for others in (0, 400):
            for name, patience, knows in (
                ("places not known", 0.0, False),
                ("preferred, no wait", 0.0, True),
                ("half of moving", 0.5, True),
                ("as long as moving", 1.0, True),
            ):
                runs = [simulate(size, patience=patience, others=others, knows_places=knows, seed=n) for n in seeds]
                seconds = sum(run.seconds for run in runs) / len(runs)
                moved = sum(run.moved for run in runs) / sum(run.read for run in runs)
                sys.stdout.write(f"{size / 1e6:>5.0f} MB {others:>7} {name:>22} {seconds:>8.1f} {moved:>6.0%}\n")


if __name__ == "__main__":
    main()
