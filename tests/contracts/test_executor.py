"""`ExecutorContract` on every executor of cnflow."""

import concurrent.futures
import itertools
import multiprocessing
import uuid

import pytest

from cnflow.config import FuturesExecutor, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.executors.engines.pools import make_futures
from cnflow.executors.high_throughput import make_backend
from cnflow.executors.threads.executor import ThreadPoolBackend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.testing.contracts.executor import ExecutorContract


class TestThreadPool(ExecutorContract):
    @pytest.fixture
    def make_executor(self):
        return lambda: ThreadPoolBackend(ThreadPoolExecutor(max_threads=2))


class TestHighThroughput(ExecutorContract):
    @pytest.fixture
    def settings(self):
        return {}

    @pytest.fixture
    def make_executor(self, tmp_path, settings):
        runs = itertools.count()

        def make():
            made = HighThroughputExecutor(max_workers=2, cores_per_worker=0.5, **settings)
            return make_backend(made, RunContext(RunId(uuid.uuid4().hex), tmp_path / str(next(runs))))

        return make


class TestHighThroughputOverTCP(TestHighThroughput):
    @pytest.fixture
    def settings(self):
        return {"address": "127.0.0.1", "encrypted": True}


class TestPoolOfThreads(ExecutorContract):
    stops_tasks = False

    @pytest.fixture
    def make_executor(self, tmp_path):
        settings = FuturesExecutor(pool=concurrent.futures.ThreadPoolExecutor, arguments={"max_workers": 2})
        return lambda: make_futures(settings, RunContext(RunId("test"), tmp_path))


class TestPoolOfProcesses(ExecutorContract):
    stops_tasks = False

    @pytest.fixture
    def make_executor(self, tmp_path):
        spawned = {"max_workers": 2, "mp_context": multiprocessing.get_context("forkserver")}
        settings = FuturesExecutor(pool=concurrent.futures.ProcessPoolExecutor, arguments=spawned)
        return lambda: make_futures(settings, RunContext(RunId("test"), tmp_path))
