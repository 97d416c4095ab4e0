"""``python ROOT/cnflow/vm_agent/__main__.py FOLDER``: starts the manager of a virtual machine, and stays until it ends.

::

    FOLDER/order/order.json ──BootOrder──> files, engine and image ──> OUTPUT, the manager ──> EXIT_CODE
                                               │ BootError                 ▲ signals
                                               ▼                           │
    FOLDER/boot.log  <── all output        report, end            Course <── notices, SIGTERM, time

The script that started the agent ends the machine after it. ``started`` and ``ended`` in the folder show that script
how far it came.
"""

from __future__ import annotations

import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Union

if __name__ == "__main__":  # no package is installed on the machine
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent.parent)

from cnflow.model.boot_order import BOOT_FAILED, EXIT_CODE, OUTPUT, PREEMPTED, BootOrder
from cnflow.units import Seconds
from cnflow.vm_agent.boot_report import send_report
from cnflow.vm_agent.engine import BootError, prepare_engine
from cnflow.vm_agent.notices import Notice, watch
from cnflow.vm_agent.state import Course

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAIL = 16384
"""Bytes of the log that are reported."""


class Ended:
    """The command has ended."""


class Ordered:
    """The agent was told to end, by SIGTERM."""


Event = Union[Notice, Ended, Ordered]


class Agent:
    """Runs one order.

    Args:
        folder: see the module.
        order: what is started.
        nonce: by which the boot server knows this machine.
    """

    def __init__(self, folder: pathlib.Path, order: BootOrder, nonce: str) -> None:
        self._folder = folder
        self._order = order
        self._nonce = nonce
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def run(self) -> None:
        """Start the command, and return when it has ended and was reported, or could not be started."""
        try:
            command = self._prepared()
            process = self._start(command)
        except (BootError, OSError) as error:
            self._print(BOOT_FAILED.format(error))
        else:
            (self._folder / "started").touch()
            code = self._follow(process)
            self._print(EXIT_CODE.format(code if code >= 0 else 128 - code))
        self._report()
        (self._folder / "ended").touch()

    def _prepared(self) -> Sequence[str]:
        for path, content in self._order.files.items():
            _write(pathlib.Path(path), content, self._order.owner)
        return self._order.commands[prepare_engine(self._order) if self._order.image else "bare"]

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        working_dir = self._order.working_dir or str(self._folder)
        pathlib.Path(working_dir).mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self._order.environment}
        self._print(OUTPUT)
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=environment, cwd=working_dir, start_new_session=True
        )

    def _follow(self, process: subprocess.Popen[bytes]) -> int:
        signal.signal(signal.SIGTERM, lambda *_: self._events.put(Ordered()))
        threading.Thread(target=self._wait_for, args=(process,), daemon=True).start()
        if self._order.notices:
            threading.Thread(target=watch, args=(self._order.notices, self._events.put), daemon=True).start()
        course = Course(_now(), self._order.grace_period, self._order.life, drains=self._order.drains)
        while True:
            event = self._next(course.next_step_at)
            if isinstance(event, Ended):
                return process.wait()
            for number in self._signals(event, course):
                _signal(process, number)

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._events.put(Ended())

    def _next(self, until: float) -> Event | None:
        try:
            return self._events.get(timeout=min(max(0.0, until - _now()), threading.TIMEOUT_MAX))
        except queue.Empty:
            return None

    def _signals(self, event: Event | None, course: Course) -> list[signal.Signals]:
        if isinstance(event, Notice):
            self._print(PREEMPTED.format(event.words))
            signals = course.on_notice(event.left, _now())
            threading.Thread(target=self._report, daemon=True).start()  # now: the machine may end without a word
            return signals
        return course.on_order(_now()) if isinstance(event, Ordered) else course.on_tick(_now())

    def _report(self) -> None:
        if not self._order.hosts:
            return  # the driver has brought the order, and reads the console
        words = send_report(self._order, self._nonce, _tail(self._folder / "boot.log"))
        if words:
            self._print(f"cnflow: the boot server takes no report: {words}")

    def _print(self, line: str) -> None:
        print(line, flush=True)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the command; SIGKILL to all of its session, whose first process may be a shell."""
    try:
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except ProcessLookupError:
        return  # it ends just now


def _write(path: pathlib.Path, content: bytes, owner: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)  # the agent runs with a umask that lets nobody else in
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    if owner:
        user, _, group = owner.partition(":")
        os.chown(path, int(user), int(group or -1))


def _tail(log: pathlib.Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        return file.read()


def _now() -> Seconds:
    return Seconds(time.monotonic())


def main(folder: pathlib.Path) -> int:
    """Run the order in *folder*."""
    file = folder / "order" / "order.json"
    order = BootOrder.from_json(file.read_bytes())
    file.unlink()  # it holds keys
    Agent(folder, order, (folder / "nonce").read_text().strip()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
