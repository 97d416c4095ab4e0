"""Distributes tasks among two workers: ``python -m benchmarks.floor.manager ENDPOINT WORKERS``."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import deque
from typing import Any

import zmq

from benchmarks.floor.wire import Item, Pipe, encode, from_parts, pack, pair

CREDIT = 64
"""Tasks that a worker may hold, so that it never waits for the next."""


class Worker:
    """Worker process, and the number of its tasks."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "benchmarks.floor.worker", str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.setblocking(False)
        self.pipe = Pipe(ours)
        self.tasks = 0


class Manager:
    """Loop of the manager, and the tasks that wait for a worker."""

    def __init__(self, endpoint: str, workers: int) -> None:
        self._line: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._line.connect(endpoint)
        self._line.send(b"")
        self._workers = [Worker() for _ in range(workers)]
        self._waiting: deque[tuple[Item, list[Any]]] = deque()

    def run(self) -> None:
        """Run until an empty message arrives."""
        poller = zmq.Poller()
        poller.register(self._line, zmq.POLLIN)
        for worker in self._workers:
            poller.register(worker.pipe.socket.fileno(), zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._line in ready:
                head, *frames = self._line.recv_multipart(copy=False)
                if not head.buffer:
                    break
                self._waiting.extend(pair(head.buffer, frames))
            self._send_back([worker for worker in self._workers if worker.pipe.socket.fileno() in ready])
            self._deal()
            for worker in self._workers:
                worker.pipe.flush()
                poller.register(worker.pipe.socket.fileno(), zmq.POLLIN | (zmq.POLLOUT if worker.pipe.unsent else 0))
        for worker in self._workers:
            worker.pipe.socket.close()
            worker.process.wait()

    def _send_back(self, ready: list[Worker]) -> None:
        results, frames = [], []
        for worker in ready:
            for record in worker.pipe.read():
                worker.tasks -= 1
                item, parts = from_parts(*record)
                results.append(item)
                frames += parts
        if results:
            self._line.send_multipart([encode(results), *frames], copy=False)

    def _deal(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=lambda one: one.tasks)
            if worker.tasks >= CREDIT:
                return
            item, parts = self._waiting.popleft()
            worker.pipe.write(pack(item.id, item.function, parts))
            worker.tasks += 1


if __name__ == "__main__":
    Manager(sys.argv[1], int(sys.argv[2])).run()
