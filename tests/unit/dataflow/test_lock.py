"""The graph's lock is free while the user's code runs, files are written and executors start.

Each test looks from a second thread, in the moment in question, whether that can submit and count tasks: one that must
wait for the first thread would wait for ever where the first waits for its task.
"""

import threading
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor as Threads

import pytest

import cnflow
from cnflow.config import Config, ThreadPoolExecutor
from cnflow.dataflow.call_options import AUTO_LOGNAME, AppOptions, CallOptions
from cnflow.dataflow.memo import Checkpointer, CheckpointStore
from cnflow.dataflow.memo.cache import ResultCache
from cnflow.errors import CnflowError, DependencyError
from cnflow.model.image import Image
from cnflow.model.task import AppFunction

CACHED = AppOptions(cache=True)


def add(a, b=0):
    return a + b


class Probe:
    """Notes whether a second thread can submit a task and count tasks while the first is inside `look`."""

    def __init__(self):
        self.found = []
        self.dfk = None

    def look(self):
        threads = Threads(1)
        submitted = threads.submit(lambda: (self.dfk.submit(AppFunction(add), (1,), {}), self.dfk.task_counts()))
        try:
            submitted.result(3)
        except TimeoutError:
            self.found.append("locked")
        else:
            self.found.append("free")
        threads.shutdown(wait=False)


@pytest.fixture
def probe():
    return Probe()


def test_retry_handler_runs_without_the_lock(make_dfk, executor, probe):
    dfk = probe.dfk = make_dfk(retries=1, retry_handler=lambda error, record: probe.look() or 1)
    future = dfk.submit(AppFunction(lambda: 1 / 0), (), {})
    executor.run()
    executor.run()
    assert isinstance(future.exception(0), ZeroDivisionError)
    assert probe.found == ["free", "free"]


def test_std_autopath_runs_without_the_lock(make_dfk, probe):
    dfk = probe.dfk = make_dfk(std_autopath=lambda record, name: probe.look() or f"{name}.txt")
    future = dfk.submit(AppFunction(add), (1,), {}, call_options=CallOptions(stdout=AUTO_LOGNAME))
    assert future.stdout == "stdout.txt"
    assert probe.found == ["free"]


def test_task_that_std_autopath_submits_comes_before_its_own(make_dfk, executor):
    def autopath(record, name):
        dfk.submit(AppFunction(add), (7,), {})
        return f"{record.id}.{name}"

    dfk = make_dfk(std_autopath=autopath)
    future = dfk.submit(AppFunction(add), (1,), {}, call_options=CallOptions(stderr=AUTO_LOGNAME))
    assert [task.args for task in executor.taken] == [(7,), (1,)]
    assert future.stderr == "0.stderr"


class Value:
    """Looks while it is pickled, and while it is loaded."""

    probe = None

    def __reduce__(self):
        self.probe.look()
        return Value.load, ()

    @classmethod
    def load(cls):
        cls.probe.look()
        return cls()


def test_cached_results_are_pickled_and_loaded_without_the_lock(make_dfk, executor, probe, monkeypatch):
    monkeypatch.setattr(Value, "probe", probe)
    dfk = probe.dfk = make_dfk()
    app = AppFunction(Value)
    first = dfk.submit(app, (), {}, CACHED)
    waiting = dfk.submit(app, (), {}, CACHED)
    executor.run()
    assert first.result(0) is not waiting.result(0)
    assert len(probe.found) >= 2
    assert set(probe.found) == {"free"}


@pytest.fixture
def slow_disk(monkeypatch):
    """Event that lets writes end; the first one sets `slow_disk.begun`."""
    may_end = threading.Event()
    may_end.begun = threading.Event()
    append = CheckpointStore.append

    def append_slowly(self, entries):
        may_end.begun.set()
        assert may_end.wait(20)
        append(self, entries)

    monkeypatch.setattr(CheckpointStore, "append", append_slowly)
    yield may_end
    may_end.set()


@pytest.mark.parametrize("mode", ["task_exit", "manual"])
def test_threads_submit_while_a_checkpoint_is_written(make_dfk, executor, probe, slow_disk, tmp_path, mode):
    dfk = probe.dfk = make_dfk(results=ResultCache(None, Checkpointer(tmp_path, mode)))
    future = dfk.submit(AppFunction(add), (1,), {}, CACHED)
    writer = threading.Thread(target=lambda: (executor.run(), dfk.checkpoint()), daemon=True)
    writer.start()
    assert slow_disk.begun.wait(20)
    probe.look()
    assert probe.found == ["free"]
    assert future.done() == (mode == "manual"), "in mode task_exit a result that is seen is in the file"
    slow_disk.set()
    writer.join(20)
    assert future.result(20) == 1


def test_results_are_reported_while_another_thread_writes_a_checkpoint(make_dfk, executor, slow_disk, tmp_path):
    dfk = make_dfk(results=ResultCache(None, Checkpointer(tmp_path, "manual")))
    dfk.submit(AppFunction(add), (1,), {}, CACHED)
    executor.run()
    writer = threading.Thread(target=dfk.checkpoint, daemon=True)
    writer.start()
    assert slow_disk.begun.wait(20)
    second = dfk.submit(AppFunction(add), (2,), {}, CACHED)
    reporter = threading.Thread(target=executor.run, daemon=True)
    reporter.start()
    assert second.result(5) == 2
    slow_disk.set()
    writer.join(20)
    reporter.join(20)
    assert dfk.submit(AppFunction(add), (2,), {}, CACHED).result(0) == 2


def test_identical_call_does_not_see_a_result_before_it_is_written(make_dfk, executor, slow_disk, tmp_path):
    dfk = make_dfk(results=ResultCache(None, Checkpointer(tmp_path, "task_exit")))
    app = AppFunction(add)
    dfk.submit(app, (1,), {}, CACHED)
    writer = threading.Thread(target=executor.run, daemon=True)
    writer.start()
    assert slow_disk.begun.wait(20)
    second = dfk.submit(app, (1,), {}, CACHED)
    assert not second.done()
    slow_disk.set()
    writer.join(20)
    assert second.result(5) == 1
    assert executor.taken == []


def test_executor_is_started_without_the_lock(make_dfk, executor, probe, factory):
    factory.on_start = probe.look
    dfk = probe.dfk = make_dfk()
    dfk.submit(AppFunction(list), (), {}, AppOptions(image=Image("app:1")))
    assert probe.found == ["free"]
    assert [task.app.name for task in executor.taken] == ["add"]


def test_executor_that_is_started_while_the_run_ends_is_ended_with_it(make_dfk, factory):
    begun, may_end = threading.Event(), threading.Event()
    factory.on_start = lambda: (begun.set(), may_end.wait(20))
    dfk = make_dfk()
    errors = []

    def submit():
        try:
            dfk.submit(AppFunction(add), (1,), {}, AppOptions(image=Image("app:1")))
        except CnflowError as error:
            errors.append(error)

    submitter = threading.Thread(target=submit, daemon=True)
    submitter.start()
    assert begun.wait(20)
    ending = threading.Thread(target=dfk.cleanup, daemon=True)
    ending.start()
    ending.join(0.2)
    assert ending.is_alive(), "it waits for the executor, or it could not end it"
    may_end.set()
    submitter.join(20)
    ending.join(20)
    assert [made.is_shut_down for made in factory.made] == [True]
    assert "after its run had ended" in str(errors[0])


class Foreign(Future):
    """Future of another library, which takes a lock of its own for each call."""

    def __init__(self, probe):
        super().__init__()
        self.look = probe.look

    def done(self):
        self.look()
        return super().done()

    def exception(self, timeout=None):
        self.look()
        return super().exception(timeout)

    def add_done_callback(self, fn):
        self.look()
        super().add_done_callback(fn)


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_futures_of_other_libraries_are_asked_without_the_lock(make_dfk, executor, probe, is_done, fails):
    dfk = probe.dfk = make_dfk()
    foreign = Foreign(probe)
    settle = (lambda: foreign.set_exception(KeyError("k"))) if fails else (lambda: foreign.set_result(4))
    if is_done:
        settle()
    future = dfk.submit(AppFunction(add), (foreign, 1), {})
    if not is_done:
        settle()
    executor.run()
    assert set(probe.found) == {"free"}
    assert isinstance(future.exception(0), DependencyError) if fails else future.result(0) == 5


def test_retry_handler_may_wait_for_a_task_on_another_executor(tmp_path):
    repaired = cnflow.python_app(add, executors="two")
    waited = []

    def handler(error, record):
        waited.append(repaired(1).result(10))
        return 1

    attempts = []

    @cnflow.python_app(executors="one")
    def fail_once(attempts=attempts):
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError
        return 1

    executors = [ThreadPoolExecutor(label=label, max_threads=1) for label in ("one", "two")]
    config = Config(executors=executors, run_dir=str(tmp_path), retries=1, retry_handler=handler)
    with cnflow.load(config):
        assert fail_once().result(20) == 1
    assert waited == [1]
