"""Shutdown of a high-throughput executor from several threads."""

import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnflow.config import HighThroughputExecutor
from cnflow.executors.high_throughput.bulk_line import BulkLine
from cnflow.executors.high_throughput.executor import HighThroughputBackend
from cnflow.executors.high_throughput.executor_events import ExecutorEvents
from cnflow.executors.high_throughput.serialization import TaskSerializer


class Parts:
    """Parts of an executor; the provisioner's `join` takes until `release` is set."""

    def __init__(self):
        self.joining, self.release = threading.Event(), threading.Event()
        nothing = lambda: None  # noqa: E731 - four names for it
        bulk = BulkLine(print, float)
        client = SimpleNamespace(stop=nothing, cancel=lambda _: [], thread=threading.Thread(), bulk=bulk)
        managers = SimpleNamespace(close=nothing, places={})
        provisioner = SimpleNamespace(
            adopted_tasks=None,
            events=ExecutorEvents("htex", None),
            digest=Future(),
            image_now=lambda: None,
            log_dir=Path(),
            places=("", None),
            thread=threading.Thread(target=self.shutdown_as_the_provisioner),
            close=nothing,
            stop_blocks=nothing,
            join=self.join,
        )
        self.provisioner = provisioner
        self.executor = HighThroughputBackend(
            HighThroughputExecutor(), TaskSerializer(), client, managers, provisioner, None
        )

    def join(self):
        self.joining.set()
        assert self.release.wait(20)

    def shutdown_as_the_provisioner(self):
        self.executor.shutdown()


@pytest.fixture
def parts():
    made = Parts()
    first = threading.Thread(target=made.executor.shutdown)
    first.start()
    assert made.joining.wait(20)
    yield made
    made.release.set()
    first.join(20)


def test_a_second_shutdown_from_another_thread_waits_for_the_first(parts):
    ended = threading.Event()
    second = threading.Thread(target=lambda: (parts.executor.shutdown(), ended.set()))
    second.start()
    assert not ended.wait(0.2)
    parts.release.set()
    assert ended.wait(20)
    second.join(20)


def test_a_second_shutdown_from_a_thread_that_the_first_waits_for_returns_at_once(parts):
    parts.provisioner.thread.start()
    parts.provisioner.thread.join(20)
    assert not parts.provisioner.thread.is_alive()
