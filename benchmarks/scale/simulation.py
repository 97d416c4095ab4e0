"""Simulates the driver of one interchange with many managers."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from benchmarks.scale.limits import cpu_seconds, resident
from benchmarks.scale.managers import Settings
from cnflow.ids import FunctionId, TaskId
from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.wire import messages as msg
from cnflow.wire import serialization
from cnflow.wire.function_messages import Function
from cnflow.wire.keys import Keyring
from cnflow.wire.session_stream import SessionStream
from cnflow.wire.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = Function(FunctionId(b"f" * 16), "noop", 0, "", b"")
SESSION = b"simulate"
BATCH = 5_000
"""Tasks in a message, as the driver's client sends them."""

_SILENCE = 120.0
"""Seconds without a message after which the simulation is given up."""


class Plan(NamedTuple):
    """Parameters of a simulation."""

    tasks: int
    slots: int = 64
    window: int = 128
    period: float = 5.0
    """Seconds between heartbeats; 30 in a real manager."""

    processes: int = 2
    encrypted: bool = False


class Row(NamedTuple):
    """Results of a simulation."""

    managers: int
    tasks: int
    registered_s: float
    per_s: float
    cpu_us: float
    """CPU time of the interchange for each task."""

    messages: float
    """Tasks in one message of results to the driver, on average."""

    idle_mb: float
    """Memory of the interchange with all managers registered."""

    manager_kb: float
    """Part of `idle_mb` for each manager."""

    peak_mb: float
    beat_us: float
    """CPU time of the interchange for one heartbeat each way with one manager."""


class Simulation:
    """Processes of a simulation, and the driver's end of the stream."""

    def __init__(self, managers: int, plan: Plan, folder: Path) -> None:
        self._managers, self._plan, self._folder = managers, plan, folder
        self._keys = Keyring() if plan.encrypted else None
        ours, self._theirs = socket.socketpair()
        self._stream = SessionStream(SESSION)
        self._stream.connect(Stream(ours))
        self._received: deque[msg.ToDriver] = deque()
        self._interchange = self._start_interchange()
        self._simulators: list[subprocess.Popen[bytes]] = []

    def run(self) -> Row:
        """Register the managers, wait for heartbeats, run the tasks; return the figures."""
        pid = self._interchange.pid
        port = next(message.port for message in self._messages() if isinstance(message, msg.Bound))
        bare = resident(pid)
        begin = time.perf_counter()
        self._start_managers(port)
        registered = self._all_up(begin)
        idle = resident(pid)
        beat = self._heartbeats(pid)
        before, begin = cpu_seconds(pid), time.perf_counter()
        count = self._tasks()
        seconds, cpu = time.perf_counter() - begin, cpu_seconds(pid) - before
        tasks = self._plan.tasks
        return Row(
            self._managers,
            tasks,
            registered,
            tasks / seconds,
            cpu / tasks * 1e6,
            tasks / count,
            idle / 1e6,
            (idle - bare) / self._managers / 1e3,
            resident(pid, peak=True) / 1e6,
            beat * 1e6,
        )

    def stop(self) -> None:
        """End all processes."""
        for simulator in self._simulators:
            assert simulator.stdin is not None
            simulator.stdin.close()
            simulator.wait()
        self._stream.disconnect()
        self._interchange.wait()

    def _start_interchange(self) -> subprocess.Popen[bytes]:
        settings = InterchangeSettings(
            session=SESSION.hex(),
            folder=str(self._folder),
            manager_endpoint="tcp://127.0.0.1",
            secret_key=self._keys.server.secret if self._keys else "",
            blocks={"0": self._keys.block_keys("0").public if self._keys else ""},
            heartbeat_period=self._plan.period,
            heartbeat_threshold=600.0,
        )
        assert self._stream.stream is not None
        self._stream.stream.send_line(msgspec.json.encode(settings))
        with self._theirs:
            return _start("cnflow.interchange", self._theirs.fileno(), self._folder)

    def _start_managers(self, port: int) -> None:
        keys = self._keys
        processes = min(self._plan.processes, self._managers)
        for n in range(processes):
            settings = Settings(
                endpoint=f"tcp://127.0.0.1:{port}",
                count=self._managers // processes + (n < self._managers % processes),
                slots=self._plan.slots,
                window=self._plan.window,
                period=self._plan.period,
                curve=(keys.server.public, *keys.block_keys("0")) if keys else None,
            )
            simulator = _start("benchmarks.scale.managers", subprocess.PIPE, self._folder)
            assert simulator.stdin is not None
            simulator.stdin.write(msgspec.json.encode(settings) + b"\n")
            simulator.stdin.flush()
            self._simulators.append(simulator)

    def _all_up(self, begin: float) -> float:
        missing = self._managers
        for message in self._messages():
            missing -= isinstance(message, msg.ManagerUp)
            if not missing:
                break
        return time.perf_counter() - begin

    def _heartbeats(self, pid: int) -> float:
        time.sleep(1.0)  # managers have sent their windows
        before = cpu_seconds(pid)
        time.sleep(2 * self._plan.period)
        return (cpu_seconds(pid) - before) / 2 / self._managers

    def _tasks(self) -> int:
        """Send all tasks and wait for their results; return the number of messages with results.

        Raises:
            RuntimeError: a task has two results.
        """
        body, tasks = serialization.NO_ARGUMENTS.body, self._plan.tasks
        for first in range(0, tasks, BATCH):
            batch = [msg.Task(TaskId(n), FUNCTION.id, body) for n in range(first, min(first + BATCH, tasks))]
            self._stream.send([msg.encode(msg.Work([FUNCTION] if first == 0 else [], batch))])
        seen = bytearray(tasks)
        missing, count = tasks, 0
        for message in self._messages():
            if isinstance(message, msg.Results):
                count += 1
                for result in message.results:
                    if seen[result.id]:
                        raise RuntimeError(f"task {result.id} has two results")
                    seen[result.id] = 1
                missing -= len(message.results)
            if not missing:
                break
        return count

    def _messages(self) -> Iterator[msg.ToDriver]:
        while True:
            while self._received:
                message = self._received.popleft()
                assert not isinstance(message, msg.ManagerDown), f"A manager was lost: {message.reason}"
                yield message
            sock = self._stream.source
            ended = [simulator.returncode for simulator in self._simulators if simulator.poll() is not None]
            if ended:
                raise RuntimeError(f"A process of managers ended with code {ended[0]}: {self._log()}")
            readable, writable, _ = select.select([sock], [sock] if self._stream.has_unsent else [], [], _SILENCE)
            self._stream.flush()
            if readable:
                messages = (msg.decode_to_driver(head) for head, *_ in self._stream.receive())
                self._received.extend(message for message in messages if not isinstance(message, msg.Heartbeat))
            if self._is_closed or not (readable or writable):
                raise TimeoutError(f"The interchange ended, or was silent for {_SILENCE:.0f} s: {self._log()}")

    @property
    def _is_closed(self) -> bool:
        return self._stream.stream is None or self._stream.stream.is_closed

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]


def _start(module: str, stdin: int, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=stdin,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def simulate(managers: int, plan: Plan) -> Row:
    """Run one simulation, and remove its files."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        simulation = Simulation(managers, plan, Path(folder))
        try:
            return simulation.run()
        finally:
            simulation.stop()
