"""The end of a pool of `concurrent.futures`: no result is lost, and a wait has words."""

import concurrent.futures
import threading

import pytest

from cnflow.executors.engines import futures
from cnflow.executors.engines.engine import EngineCall
from cnflow.executors.engines.futures import FuturesEngine
from cnflow.ids import TaskId


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool


class Calls:
    """An engine whose one task runs until `go` is set, and whose report takes until `heard` is set."""

    def __init__(self, pool, monkeypatch):
        self.go, self.reported, self.heard = threading.Event(), threading.Event(), threading.Event()
        self.events = []
        monkeypatch.setattr(futures, "run_task", lambda *_: self.go.wait(10) and ())
        self.engine = FuturesEngine("pool", None, pool)
        self.engine.start(self.on_ends)
        self.engine.submit([EngineCall(TaskId(1), "task 1", (), (), 0, None)])
        self.closing = threading.Thread(target=self.close)

    def on_ends(self, ends):
        self.reported.set()
        self.heard.wait(10)
        self.events += [end for _, end in ends]

    def close(self):
        self.engine.close()
        self.events.append("closed")


def test_end_of_a_pool_comes_after_the_last_report(pool, monkeypatch):
    calls = Calls(pool, monkeypatch)
    calls.go.set()
    calls.reported.wait(10)
    calls.closing.start()
    calls.closing.join(0.2)
    calls.heard.set()
    calls.closing.join(10)
    assert calls.events == [(), "closed"]


def test_end_that_waits_for_a_task_that_no_pool_can_stop_logs_a_warning(pool, monkeypatch, caplog):
    monkeypatch.setattr(futures, "_PATIENCE", 0.05)
    calls = Calls(pool, monkeypatch)
    calls.heard.set()
    calls.closing.start()
    calls.closing.join(0.5)
    assert calls.events == []
    calls.go.set()
    calls.closing.join(10)
    assert calls.events == [(), "closed"]
    assert "executor pool waits for 1 running tasks: a pool stops none" in caplog.text
