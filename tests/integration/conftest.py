"""Executors without a DataFlowKernel: a test submits tasks and reads the outcomes."""

import contextlib
import itertools
import threading
from pathlib import Path

import pytest

from cnflow.config import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.executors.high_throughput import make_backend
from cnflow.executors.threads.executor import ThreadPoolBackend
from cnflow.ids import RunId, TaskId
from cnflow.interfaces import RunContext
from cnflow.model.task import NO_OPTIONS, AppFunction, AppKind, RunOptions, TaskToRun


class Driver:
    """Stand-in for the DataFlowKernel: submits and cancels tasks, and keeps every outcome."""

    def __init__(self, executor):
        self.executor = executor
        self._ids = itertools.count()
        self._outcomes = {}
        self._reported = threading.Condition()
        self.reported_twice = []
        executor.start(self._report)

    def _report(self, outcomes):
        with self._reported:
            self.reported_twice += [outcome.id for outcome in outcomes if outcome.id in self._outcomes]
            self._outcomes.update((outcome.id, outcome) for outcome in outcomes)
            self._reported.notify_all()

    def python(self, function, *args, **options):
        return self._submit(AppKind.PYTHON, function, args, options)

    def bash(self, command, **options):
        return self._submit(AppKind.BASH, lambda: command, (), options)

    def _submit(self, kind, function, args, options):
        task = TaskId(next(self._ids))
        chosen = RunOptions(**options) if options else NO_OPTIONS
        self.executor.submit([TaskToRun(task, AppFunction(function, kind), args, {}, chosen)])
        return task

    def cancel(self, *tasks):
        self.executor.cancel(tasks)

    def outcome(self, task, timeout=30):
        with self._reported:
            assert self._reported.wait_for(lambda: task in self._outcomes, timeout), f"no outcome of {task}"
            return self._outcomes[task]

    def error(self, task, timeout=30):
        return self.outcome(task, timeout).error

    def value(self, task, timeout=30):
        outcome = self.outcome(task, timeout)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def is_reported(self, task):
        return task in self._outcomes


@contextlib.contextmanager
def drive(executor):
    try:
        driver = Driver(executor)
        yield driver
    finally:
        executor.shutdown()
    assert driver.reported_twice == [], "a task was reported twice"


def high_throughput(folder, make_provider=None, **settings):
    made = HighThroughputExecutor(**settings)
    return make_backend(made, RunContext(RunId("test"), folder), make_provider)


@pytest.fixture
def processes(tmp_path):
    """Driver of two worker processes."""
    with drive(high_throughput(tmp_path / "run", max_workers=2, cores_per_worker=0.5)) as driver:
        yield driver


@pytest.fixture
def one_process(tmp_path):
    """Driver of a single worker process, in which tasks run one after another."""
    with drive(high_throughput(tmp_path / "run", max_workers=1)) as driver:
        yield driver


@pytest.fixture
def no_block(tmp_path):
    """Driver of an executor whose provider is not ready before the test ends."""
    ended = threading.Event()

    def make_provider():
        ended.wait(60)
        raise TimeoutError

    with drive(high_throughput(tmp_path / "run", make_provider, max_workers=1)) as driver:
        yield driver
        ended.set()


@pytest.fixture
def threads():
    """Driver of two threads."""
    with drive(ThreadPoolBackend(ThreadPoolExecutor(max_threads=2))) as driver:
        yield driver


@pytest.fixture(params=["threads", "processes"])
def anywhere(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def is_running():
    def look(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return look
