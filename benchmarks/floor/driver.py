"""Driver of the floor. Without futures or threads: `Driver.results` receives the results."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import zmq

from benchmarks.floor.wire import Item, encode, item, pair

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 500
"""Tasks in one message."""


class Driver:
    """Starts the processes, and sends and receives batches."""

    def __init__(self, workers: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="floor-")
        driver, managers = (f"ipc://{self._folder.name}/{name}" for name in ("driver", "managers"))
        self._line: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._line.set_hwm(0)
        self._line.bind(driver)
        self._processes = [
            subprocess.Popen([sys.executable, "-m", f"benchmarks.floor.{what}", *arguments])
            for what, *arguments in (["interchange", driver, managers], ["manager", managers, str(workers)])
        ]
        self._heads: list[Item] = []
        self._frames: list[Any] = []
        self._results: list[Any] = []
        self._missing = 0

    def submit(self, function: int, arguments: tuple[Any, ...]) -> int:
        """Send a task, or keep it until its batch is full; return its id."""
        number = len(self._results)
        head, parts = item(number, function, arguments)
        self._results.append(None)
        self._missing += 1
        self._heads.append(head)
        self._frames += parts
        if len(self._heads) >= BATCH or parts:
            self.flush()
        return number

    def flush(self) -> None:
        """Send the tasks that were kept."""
        if self._heads:
            self._line.send_multipart([encode(self._heads), *self._frames], copy=False)
            self._heads, self._frames = [], []

    def results(self, tasks: Sequence[int]) -> list[Any]:
        """Wait until all submitted tasks have ended; return the results of *tasks*."""
        self.flush()
        while self._missing:
            head, *frames = self._line.recv_multipart(copy=False)
            for one, (body, *buffers) in pair(head.buffer, frames):
                self._results[one.id] = pickle.loads(body, buffers=buffers)
                self._missing -= 1
        found = [self._results[number] for number in tasks]
        self._results.clear()
        return found

    def stop(self) -> None:
        """End the processes and wait for them."""
        self._line.send(b"")
        for process in self._processes:
            process.wait()
        self._line.close(0)
        self._folder.cleanup()
