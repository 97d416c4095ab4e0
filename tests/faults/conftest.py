"""What tests of faults share: a run of short heartbeats, and a look at the processes of this machine."""

import os
import signal
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

THRESHOLD = 1.5
"""Seconds of silence after which one side gives the other up."""


@pytest.fixture
def load(tmp_path):
    """Loads a run of one worker for each block; the provider's options come by name, Config's in ``config``."""

    def make(provider=None, blocks=1, config=None, **settings):
        provider = provider or LocalProvider(init_blocks=blocks, max_blocks=blocks)
        timing = {"heartbeat_period": THRESHOLD / 4, "heartbeat_threshold": THRESHOLD}
        executor = HighThroughputExecutor(provider=provider, **{"max_workers": 1, **timing, **settings})
        return cnflow.load(Config(executors=[executor], **{"run_dir": str(tmp_path / "runinfo"), **(config or {})}))

    return make


@pytest.fixture
def ledger(tmp_path):
    """A file in which tasks write when they end: ``ledger.app(number, seconds)`` returns a future of the number."""

    @python_app
    def noted(path, number, seconds):
        import os
        import time

        time.sleep(seconds)
        with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
            file.write(f"{number}\n")
        return number, os.getpid(), os.getppid()

    class Ledger:
        path = tmp_path / "ledger"

        def app(self, number, seconds):
            return noted(str(self.path), number, seconds)

        def runs(self):
            """Number of a task -> how often it ran to its end."""
            lines = self.path.read_text().split() if self.path.exists() else []
            return {int(line): lines.count(line) for line in lines}

    return Ledger()


class Processes:
    """Those of this machine."""

    def is_running(self, pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def children(self, pid="self"):
        found = []
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
        return found

    def below(self, pid):
        """Its children, theirs, and so on."""
        found = []
        for child in self.children(pid):
            found += [child, *self.below(child)] if self.is_running(child) else []
        return found

    def kill(self, pid, number=signal.SIGKILL):
        os.kill(pid, number)


@pytest.fixture
def processes():
    return Processes()
