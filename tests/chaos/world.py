"""Processes, containers and tasks of a soak, as seen from outside: /proc, Docker, and the ledger that tasks write."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.namespaces import Node

if TYPE_CHECKING:
    from machines import Machines
    from pods import Pods

LABEL = "cnflow.chaos"
HERE = socket.gethostname()


class Place(NamedTuple):
    """Place of a running task: host or container id, process ids of its worker and of the worker's manager."""

    host: str
    worker: int
    manager: int


class Ledger:
    """File to which each task appends a line when it begins and one when it ends.

    Attributes:
        running: place of each task that began and has not ended.
        started: moments when tries of each task began.
        ended: tokens of the tries of each task that ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        path.chmod(0o666)  # tasks in containers may run as another user
        self.running: dict[int, Place] = {}
        self.started: dict[int, list[float]] = {}
        self.ended: dict[int, list[str]] = {}

        self._read = 0
        self._lock = threading.Lock()

    def read_new(self) -> None:
        """Read the lines that were appended since the last call."""
        with self._lock, self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.decode().splitlines():
                self._record(*line.split())

    def _record(self, event: str, task: str, at: str, *rest: str) -> None:
        number = int(task)
        place = Place(rest[0], int(rest[1]), int(rest[2]))
        if event == "begin":
            self.started.setdefault(number, []).append(float(at))
            self.running[number] = place
        else:
            self.ended.setdefault(number, []).append(rest[3])
            if self.running.get(number) == place:
                del self.running[number]


class World:
    """Targets of faults.

    Args:
        ledger: ledger of the tasks.
        threshold: heartbeat threshold in seconds.
        label: label of this run's containers; empty if it has none.
        nodes: on networks of their own.
        clocks: files with the shift of the wall clock of the driver's side ("driver") and of the nodes ("node").
        pods: namespace with the pods of blocks.

    Attributes:
        machines: of a cloud.
        suspended: managers that were suspended for longer than the threshold.
    """

    def __init__(
        self,
        ledger: Ledger,
        threshold: float,
        label: str = "",
        nodes: Sequence[Node] = (),
        clocks: Mapping[str, Path] | None = None,
        pods: "Pods | None" = None,
    ) -> None:
        self.ledger = ledger
        self.threshold = threshold
        self.nodes = nodes
        self.clocks = clocks or {}
        self.pods = pods
        self.machines: Machines | None = None
        self.pid = os.getpid()
        self._label = label
        self._timers: list[threading.Timer] = []
        self.suspended: set[int] = set()

    def interchanges(self) -> list[int]:
        return [pid for pid in children(os.getpid()) if "cnflow.interchange" in command_of(pid)]

    def managers(self) -> list[int]:
        """Managers outside containers that have workers and were not suspended."""
        found = [pid for pid in children(os.getpid()) if "cnflow/manager" in command_of(pid)]
        return [pid for pid in found if pid not in self.suspended and self.workers(pid)]

    def workers(self, manager: int) -> list[int]:
        return [pid for pid in children(manager) if "cnflow/worker" in command_of(pid)]

    def containers(self) -> list[str]:
        if not self._label:
            return []
        command = ["docker", "ps", "--quiet", "--filter", f"label={LABEL}={self._label}", "--filter", "status=running"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()

    def tasks_at(self, *, worker: int = 0, manager: int = 0, host: str = HERE) -> list[int]:
        """Tasks that run in this worker, under this manager, or on this host; an empty host is any."""
        self.ledger.read_new()

        def is_there(place: Place) -> bool:
            runs = place.host != HERE or is_running(place.worker)
            return runs and host in {"", place.host} and worker in {0, place.worker} and manager in {0, place.manager}

        return [task for task, place in self.ledger.running.items() if is_there(place)]

    def tasks_on(self, node: Node) -> list[int]:
        """Tasks that run on *node*."""
        pids = node.pids()
        return [task for manager in self.managers() if manager in pids for task in self.tasks_at(manager=manager)]

    def schedule(self, seconds: float, action) -> None:
        """Call *action* after *seconds*, in a thread."""
        timer = threading.Timer(seconds, action)
        timer.start()
        self._timers.append(timer)

    def wait_for_scheduled(self) -> None:
        """Wait until all scheduled actions were called."""
        for timer in self._timers:
            timer.join()


def children(pid: int) -> list[int]:
    found = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    except OSError:
        return []  # it has ended
    return [child for child in found if is_running(child)]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; return False if the process does not exist."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition, seconds: float) -> bool:
    """Wait until *condition* is true; return False after *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
