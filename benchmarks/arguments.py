"""Cost of keeping arguments as they were at the call: ``python -m benchmarks.arguments``.

For each kind of argument, microseconds for a call of an app: launched at once by an executor that pickles (without the
pickling, which is its own), by one that shares, and by one that is given copies, as threads are; and the same for tasks
that wait for another, which are copied for any executor that does not share.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

from cnflow.config import Config
from cnflow.dataflow import DataFlowKernel
from cnflow.dataflow.loop import TaskGraph
from cnflow.dataflow.memo.cache import ResultCache
from cnflow.dataflow.router import RoutableExecutor
from cnflow.model.image import NO_IMAGE
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import AppFunction, ArgumentUse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cnflow.ids import TaskId
    from cnflow.interfaces import Report
    from cnflow.model.task import TaskToRun


@dataclasses.dataclass
class Point:
    """A small instance."""

    x: float
    y: float


class Pixels:
    """Pickles as NumPy's arrays do."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return Pixels, (PickleBuffer(self.data),)


ARGUMENTS: dict[str, tuple[Callable[[], Any], int]] = {
    "int": (lambda: 1, 10_000),
    "tuple of 3": (lambda: (1, "a", 2.0), 10_000),
    "list of 3": (lambda: [1, 2, 3], 10_000),
    "dict of lists": (lambda: {"a": [1], "b": [2]}, 10_000),
    "dataclass": (lambda: Point(1.0, 2.0), 10_000),
    "list of 10,000": (lambda: list(range(10_000)), 1_000),
    "buffer of 1 MB": (lambda: Pixels(bytearray(10**6)), 200),
    "buffer of 100 MB": (lambda: Pixels(bytearray(10**8)), 5),
}


class Idle:
    """Executor that takes tasks and runs none."""

    label, image, working_dir = "idle", NO_IMAGE, ""
    storage_access: list[Any] | None = None

    def __init__(self, use: ArgumentUse) -> None:
        self.argument_use = use
        self.digest: Future[str] = Future()

    def start(self, report: Report) -> None:
        """Do nothing."""

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Do nothing."""

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Do nothing."""

    def status(self) -> ExecutorStatus:
        """No blocks."""
        return ExecutorStatus(self.label, "", 0, 0, 0)

    def shutdown(self) -> None:
        """Do nothing."""


def microseconds(use: ArgumentUse, argument: Any, calls: int, *, waits: bool) -> float:  # noqa: ANN401 - any argument
    """Measure one call of an app with *argument*, the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        route = RoutableExecutor("idle", NO_IMAGE, needs_image=False, can_clone=False)
        with tempfile.TemporaryDirectory() as folder:
            graph = TaskGraph(
                config=Config(),
                run_dir=Path(folder),
                executors=[Idle(use)],
                routes=[route],
                factory=None,  # type: ignore[arg-type]  # no executor is made
                results=ResultCache(),
            )
            run, app, gate = DataFlowKernel(graph=graph), AppFunction(abs), Future[int]()
            args = (argument, gate) if waits else (argument,)
            begun = time.perf_counter()
            for _ in range(calls):
                run.submit(app, args, {})
            best = min(best, (time.perf_counter() - begun) / calls)
    return best * 1e6


def main() -> None:
    """Print the table."""
    columns = [(use, waits) for waits in (False, True) for use in ArgumentUse]
    heads = [f"{use.name.lower()}{', waits' if waits else ''}" for use, waits in columns]
    sys.stdout.write(f"{'microseconds a call':20}" + "".join(f"{head:>16}" for head in heads) + "\n")
    for name, (make, calls) in ARGUMENTS.items():
        cells = [microseconds(use, make(), calls, waits=waits) for use, waits in columns]
        sys.stdout.write(f"{name:20}" + "".join(f"{cell:16,.1f}" for cell in cells) + "\n")


if __name__ == "__main__":
    main()
