"""Fixtures of the fault tests: a run with short heartbeats, a ledger of tasks, the processes of this machine."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

THRESHOLD = 1.5
"""Heartbeat threshold in seconds."""


@pytest.fixture
def load(tmp_path):
    """Function that loads a run of one worker per block; keywords are the executor's, *config* has those of Config."""

    def make(provider=None, blocks=1, config=None, **settings):
        provider = provider or LocalProvider(init_blocks=blocks, max_blocks=blocks)
        timing = {"heartbeat_period": THRESHOLD / 4, "heartbeat_threshold": THRESHOLD}
        executor = HighThroughputExecutor(provider=provider, **{"max_workers": 1, **timing, **settings})
        return cnflow.load(Config(executors=[executor], **{"run_dir": str(tmp_path / "runinfo"), **(config or {})}))

    return make


@pytest.fixture
def ledger(tmp_path):
    """File to which tasks append a line when they end; ``ledger.app(number, seconds)`` submits one."""

    @python_app
    def append_line(path, number, seconds):
        import os
        import time

        time.sleep(seconds)
        with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
            file.write(f"{number}\n")
        return number, os.getpid(), os.getppid()

    class Ledger:
        path = tmp_path / "ledger"

        def app(self, number, seconds):
            return append_line(str(self.path), number, seconds)

        def runs(self):
            """Count of finished tries of each task."""
            lines = self.path.read_text().split() if self.path.exists() else []
            return {int(line): lines.count(line) for line in lines}

    return Ledger()


class Processes:
    """Processes of this machine."""

    def is_running(self, pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def children(self, pid="self"):
        found = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found += [int(child) for child in (thread / "children").read_text().split()]
        return found

    def command(self, pid):
        """Command line of *pid*; empty if it has ended."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def descendants(self, pid):
        """All running descendants of *pid*."""
        found = []
        for child in self.children(pid):
            found += [child, *self.descendants(child)] if self.is_running(child) else []
        return found

    def kill(self, pid, number=signal.SIGKILL):
        os.kill(pid, number)


@pytest.fixture
def processes():
    return Processes()
