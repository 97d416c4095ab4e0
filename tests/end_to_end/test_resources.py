"""Tasks with `resources` on real workers."""

import threading
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import TaskDoesNotFitError
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider


@pytest.fixture
def run(tmp_path):
    def load(**settings):
        settings = {"max_workers": 4, "cores_per_worker": 0.5, **settings}
        return cnflow.load(Config(executors=[HighThroughputExecutor(**settings)], run_dir=str(tmp_path)))

    return load


@python_app
def span(seconds):
    """Return start, end, and the accelerators of the task."""
    import os
    import time

    begin = time.time()
    time.sleep(seconds)
    return begin, time.time(), os.environ.get("CUDA_VISIBLE_DEVICES")


def max_concurrency(spans):
    return max(sum(begin <= start < end for begin, end, _ in spans) for start, _, _ in spans)


def test_tasks_take_the_cores_that_they_request(run, monkeypatch):
    monkeypatch.setenv("CNFLOW_CORES", "2")
    with run():
        big = [span(0.2, resources={"cores": 1}) for _ in range(4)]
        assert max_concurrency([future.result(60) for future in big]) == 2
        whole = [span(0.05, resources={"cores": 2}) for _ in range(3)]
        assert max_concurrency([future.result(60) for future in whole]) == 1


def test_each_task_sees_its_accelerators_alone(run):
    with run(available_accelerators=["a", "b", "c", "d"]):
        pairs = [span(0.2, resources={"gpus": 2}) for _ in range(4)]
        others = [span(0.05) for _ in range(8)]
        none = span(0.05, resources={"gpus": 0})
        seen = [(*future.result(60)[:2], set(future.result()[2].split(","))) for future in [*pairs, *others]]
        assert [len(names) for _, _, names in seen] == [2] * 4 + [1] * 8
        assert none.result(60)[2] == ""
        for number, (begin, end, names) in enumerate(seen):
            beside = [other for start, stop, other in seen[number + 1 :] if start < end and begin < stop]
            assert all(names.isdisjoint(other) for other in beside)


@python_app(resources={"memory": "4000TB"})
def huge():
    return 1


def test_task_that_fits_no_node_fails_with_the_sizes_of_the_nodes(run):
    with run():
        with pytest.raises(TaskDoesNotFitError, match=r"Task 0 \(huge\) asks for memory=4000 TB, which no") as caught:
            huge().result(60)
        assert "cores=" in str(caught.value)
        assert huge(resources={"cores": 1}).result(60) == 1


@python_app
def note(number):
    import time

    return time.time(), number


def test_task_of_lower_priority_number_runs_first(run):
    with run(max_workers=1, provider=LocalProvider(init_blocks=1)):
        gate = span(1.0)
        futures = [note(number, resources={"priority": -number % 7}) for number in range(20)]
        last = note(-1)
        gate.result(60)
        order = [number for _, number in sorted(future.result(60) for future in [*futures, last])]
    assert order == [*sorted(range(20), key=lambda number: (-number % 7, number)), -1]


def test_big_tasks_are_not_starved_by_a_stream_of_small_ones(run):
    with run(max_workers=2, cores_per_worker=1) as dfk:
        stop = threading.Event()
        done = []

        def stream():
            while not stop.is_set():
                done.append(span(0.03))
                time.sleep(0.01)

        thread = threading.Thread(target=stream)
        thread.start()
        try:
            time.sleep(0.5)
            whole = span(0.05, resources={"cores": 2})
            whole.result(30)
        finally:
            stop.set()
            thread.join()
        cnflow.wait_for_current_tasks()
        assert dfk.task_counts()
        assert all(future.exception() is None for future in done)


def test_resources_is_an_argument_where_the_function_has_such_a_parameter(run):
    @python_app
    def count(resources):
        return len(resources)

    with run():
        assert count(resources=["a", "b"]).result(60) == 2
