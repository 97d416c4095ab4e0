"""What a soak sees of its run: processes below this one, containers, and what tasks wrote as they began and ended."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

LABEL = "cnflow.chaos"
HERE = socket.gethostname()


class Place(NamedTuple):
    """Where a task runs: its host, or container; its worker; the worker's manager."""

    host: str
    worker: int
    manager: int


class Ledger:
    """The file to which every task appends a line as it begins and one as it ends, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        path.chmod(0o666)  # tasks in containers may be somebody else
        self.running: dict[int, Place] = {}
        """Task -> where it began last and was not seen to end."""

        self.started: dict[int, list[float]] = {}
        self.ended: dict[int, list[str]] = {}
        """Task -> the token of each try that came to its end."""

        self._read = 0
        self._lock = threading.Lock()

    def look(self) -> None:
        with self._lock, self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.decode().splitlines():
                self._note(*line.split())

    def _note(self, what: str, task: str, at: str, *rest: str) -> None:
        number = int(task)
        place = Place(rest[0], int(rest[1]), int(rest[2]))
        if what == "begin":
            self.started.setdefault(number, []).append(float(at))
            self.running[number] = place
        else:
            self.ended.setdefault(number, []).append(rest[3])
            if self.running.get(number) == place:
                del self.running[number]


class World:
    """Everything that a fault may strike at.

    Args:
        ledger: of the tasks.
        threshold: seconds of silence after which a manager is given up.
        label: of this run's containers; empty when it has none.
    """

    def __init__(self, ledger: Ledger, threshold: float, label: str = "") -> None:
        self.ledger = ledger
        self.threshold = threshold
        self._label = label
        self._later: list[threading.Timer] = []
        self.stopped: set[int] = set()

    def interchanges(self) -> list[int]:
        return [pid for pid in children(os.getpid()) if "cnflow.interchange" in command_of(pid)]

    def managers(self) -> list[int]:
        """Those outside containers that have workers and were not stopped."""
        found = [pid for pid in children(os.getpid()) if "cnflow/manager" in command_of(pid)]
        return [pid for pid in found if pid not in self.stopped and self.workers(pid)]

    def workers(self, manager: int) -> list[int]:
        return [pid for pid in children(manager) if "cnflow/worker" in command_of(pid)]

    def containers(self) -> list[str]:
        if not self._label:
            return []
        command = ["docker", "ps", "--quiet", "--filter", f"label={LABEL}={self._label}", "--filter", "status=running"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()

    def hit(self, *, worker: int = 0, manager: int = 0, host: str = HERE) -> list[int]:
        """The tasks that run in this worker, under this manager, or on this host; "" is all."""
        self.ledger.look()

        def is_there(place: Place) -> bool:
            runs = place.host != HERE or is_running(place.worker)
            return runs and host in {"", place.host} and worker in {0, place.worker} and manager in {0, place.manager}

        return [task for task, place in self.ledger.running.items() if is_there(place)]

    def later(self, seconds: float, what) -> None:
        timer = threading.Timer(seconds, what)
        timer.start()
        self._later.append(timer)

    def settle(self) -> None:
        """Return when all that was to happen later has happened."""
        for timer in self._later:
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
    """Whether it was there to be signalled."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def until(condition, seconds: float) -> bool:
    """Whether *condition* came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
