"""`PoolExecutor` keeps the contract of `concurrent.futures.Executor`, on threads and on processes."""

import asyncio
import concurrent.futures
import functools
import itertools
import operator
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config
from cnflow.errors import ConfigurationError, NoDataFlowKernelError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.pool import PoolExecutor


def add(a, b=0):
    return a + b


def nap(seconds):
    time.sleep(seconds)
    return seconds


def invert(number):
    return 1 / number


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.01)
    return path


def two(outputs, stdout, *, walltime):
    return outputs, stdout, walltime


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def times(self, number):
        return self.factor * number


@pytest.fixture(params=["threads", "processes"])
def config(request, tmp_path):
    executors = {
        "threads": ThreadPoolExecutor(max_threads=2),
        "processes": HighThroughputExecutor(max_workers=2, cores_per_worker=0.5),
    }
    return Config(executors=[executors[request.param]], run_dir=str(tmp_path / "runs"))


@pytest.fixture
def pool(config):
    with PoolExecutor(config) as made:
        yield made


@pytest.fixture
def threads(tmp_path):
    with PoolExecutor(Config(run_dir=str(tmp_path / "runs"))) as made:
        yield made


class Numbers:
    """Endless iterator that counts the numbers taken from it."""

    def __init__(self):
        self.given = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.given += 1
        return self.given - 1


def test_submit_gives_the_result_or_the_exception(pool):
    assert isinstance(pool, concurrent.futures.Executor)
    future = pool.submit(add, 1, b=2)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(30) == 3
    with pytest.raises(ZeroDivisionError):
        pool.submit(invert, 0).result(30)


def test_lambdas_methods_partials_and_builtins_can_be_submitted(pool):
    scale = Scale(2)
    assert pool.submit(lambda x: x + 1, 1).result(30) == 2
    assert pool.submit(scale.times, 3).result(30) == 6
    scale.factor = 5
    assert pool.submit(scale.times, 3).result(30) == 15
    assert pool.submit(functools.partial(operator.add, 3), 4).result(30) == 7
    assert pool.submit(max, 3, 4).result(30) == 4


def test_special_keywords_are_ordinary_arguments_in_a_pool(pool):
    assert pool.submit(two, outputs=1, stdout=-1, walltime=0).result(30) == (1, -1, 0)


def test_future_is_an_argument_of_another_call(pool):
    assert pool.submit(add, pool.submit(add, 1, 2), b=pool.submit(add, 3, 4)).result(30) == 10


def test_wait_and_as_completed_work(pool):
    futures = {pool.submit(add, number): number for number in range(20)}
    assert {futures[done]: done.result() for done in concurrent.futures.as_completed(futures, 30)} == {
        number: number for number in range(20)
    }
    assert concurrent.futures.wait(futures, 30).not_done == set()


def test_asyncio_runs_calls_in_the_pool(pool):
    async def main():
        loop = asyncio.get_running_loop()
        called = [loop.run_in_executor(pool, add, number, 1) for number in range(20)]
        wrapped = asyncio.wrap_future(pool.submit(invert, 0))
        results = await asyncio.wait_for(asyncio.gather(*called, wrapped, return_exceptions=True), 30)
        assert results[:20] == list(range(1, 21))
        assert isinstance(results[20], ZeroDivisionError)

    asyncio.run(main())


@pytest.mark.parametrize("chunksize", [1, 3, 100])
@pytest.mark.parametrize("buffersize", [None, 1, 4])
def test_map_gives_results_in_order_and_ends_with_the_shortest(pool, chunksize, buffersize):
    results = pool.map(add, range(10), itertools.count(100), chunksize=chunksize, buffersize=buffersize)
    assert list(results) == [100 + 2 * number for number in range(10)]
    assert list(pool.map(add, [], chunksize=chunksize, buffersize=buffersize)) == []


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_raises_where_the_failed_result_is_asked_for(pool, chunksize):
    results = pool.map(invert, [1, 2, 0, 4], chunksize=chunksize)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("chunksize", [1, 5])
def test_map_of_an_endless_iterable_reads_only_a_buffer_ahead(pool, chunksize):
    numbers = Numbers()
    results = pool.map(add, numbers, chunksize=chunksize, buffersize=3)
    assert numbers.given == 3 * chunksize
    for expected in range(200):
        assert next(results) == expected
        assert numbers.given == (expected // chunksize + 1 + 3) * chunksize  # those returned, and three chunks ahead
    results.close()
    given = numbers.given
    pool.submit(add, 1).result(30)
    assert numbers.given == given


def test_map_raises_timeout_error_for_a_late_result(pool, tmp_path):
    late = tmp_path / "late"
    results = pool.map(wait_for, [tmp_path, late], timeout=10)
    assert next(results) == tmp_path
    with pytest.raises(concurrent.futures.TimeoutError):
        next(pool.map(wait_for, [late], timeout=0.01))
    late.touch()
    assert next(results) == late


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"chunksize": 0}, "chunksize=0 must be at least 1"), ({"buffersize": 0}, "buffersize=0 must be at least 1")],
)
def test_sizes_below_one_are_refused(threads, sizes, message):
    with pytest.raises(ValueError, match=message):
        threads.map(add, [1], **sizes)


def test_shutdown_waits_for_submitted_calls(config):
    pool = PoolExecutor(config)
    futures = [pool.submit(nap, 0.05) for _ in range(8)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [0.05] * 8
    pool.shutdown()
    with pytest.raises(RuntimeError, match="add was submitted after the PoolExecutor was shut down"):
        pool.submit(add, 1)
    with pytest.raises(RuntimeError):
        pool.map(add, [1])


def test_shutdown_without_wait_returns_at_once_and_calls_still_end(config, tmp_path):
    others = set(threading.enumerate())
    pool = PoolExecutor(config)
    future = pool.submit(wait_for, tmp_path / "go")
    pool.shutdown(wait=False)
    assert not future.done()
    with pytest.raises(RuntimeError):
        pool.submit(add, 1)
    (tmp_path / "go").touch()
    assert future.result(30) == tmp_path / "go"
    pool.shutdown(wait=True)
    deadline = time.monotonic() + 10  # threads that called the provider end by themselves
    while left := [each.name for each in {*threading.enumerate()} - others if each.name.startswith("cnflow")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_shutdown_cancels_unfinished_calls_with_cancel_futures(tmp_path):
    pool = PoolExecutor(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path / "runs")))
    pool.submit(add, 1).result(30)
    futures = [pool.submit(nap, 60) for _ in range(5)]
    begin = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - begin < 20
    assert all(future.cancelled() for future in futures)


def test_exception_in_the_with_block_ends_unfinished_calls(tmp_path):
    config = Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path / "runs"))
    futures = []
    begin = time.monotonic()

    def run():
        with PoolExecutor(config) as pool:
            pool.submit(add, 1).result(30)
            futures.append(pool.submit(nap, 60))
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert time.monotonic() - begin < 20
    assert futures[0].done()
    assert futures[0].exception()


def test_pool_is_independent_of_the_loaded_run_and_of_other_pools(tmp_path):
    config = Config(run_dir=str(tmp_path))
    with PoolExecutor(config) as one, PoolExecutor(config) as other:
        with pytest.raises(NoDataFlowKernelError):
            cnflow.dfk()
        with cnflow.load(config) as loaded:
            assert one.submit(add, 1).result(30) + other.submit(add, 2).result(30) == 3
            assert cnflow.dfk() is loaded
            assert loaded.task_count == 0
        assert one.dfk.run_dir != other.dfk.run_dir
        assert one.submit(add, 3).result(30) == 3


def test_pool_leaves_no_process(tmp_path):
    config = Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path))
    with PoolExecutor(config) as pool:
        worker = pool.submit(os.getpid).result(30)
        assert worker != os.getpid()
    assert not Path(f"/proc/{worker}").exists()


SCRIPT = """
import sys, time
from cnflow import Config
from cnflow.executors import HighThroughputExecutor
from cnflow.pool import PoolExecutor

def write(path):
    import os, time
    time.sleep(0.3)
    with open(path, "w") as file:
        file.write(str(os.getpid()))

pool = PoolExecutor(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=sys.argv[1]))
pool.submit(write, sys.argv[2])
"""


def test_interpreter_waits_for_calls_at_its_exit(tmp_path):
    script, written = tmp_path / "script.py", tmp_path / "written"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "runs", written], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(f"/proc/{written.read_text()}").exists()


def test_dict_as_config_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"PoolExecutor\(\) takes a Config or the path of a file with one, not dict"
    ):
        PoolExecutor({"retries": 1})


def test_unknown_executor_is_refused_at_the_call(tmp_path):
    with (
        PoolExecutor(Config(run_dir=str(tmp_path)), executors="htex") as pool,
        pytest.raises(ConfigurationError, match="htex"),
    ):
        pool.submit(add, 1)
