"""`AppFuture.provenance`: where and when a task ran, and in what."""

import os
import platform
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import DependencyError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import LocalProvider


def here(tmp_path):
    return HighThroughputExecutor(
        label="htex", max_workers=1, provider=LocalProvider(init_blocks=1, max_blocks=1), address="127.0.0.1"
    )


@python_app
def double(x):
    return 2 * x


@python_app
def rest(seconds):
    import time

    time.sleep(seconds)


@python_app
def fail():
    raise ValueError("no")


@pytest.fixture
def load(tmp_path):
    def start(executor, **options):
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"), **options))

    return start


def test_a_task_of_a_block_says_where_and_when_it_ran(load, tmp_path):
    before = time.time()
    with load(here(tmp_path)):
        future = rest(0.2)
        future.result()
        second = double(2)
        second.result()
    after = time.time()
    ran, other = future.provenance, second.provenance
    assert (ran.task, ran.app, ran.executor) == (0, "rest", "htex")
    assert (ran.image, ran.digest, ran.image_id) == ("", "", "")
    assert ran.host == platform.node()
    assert (ran.block, other.block) == ("0", "0")
    assert ran.manager
    assert ran.manager == other.manager
    assert ran.run == other.run
    assert ran.python == platform.python_version()
    assert len(ran.packages) == 16
    assert before <= ran.submitted <= ran.started <= ran.ended <= after
    assert 0.2 <= ran.ended - ran.started < 5
    assert (ran.attempts, ran.is_cached) == (1, False)


def test_a_task_of_a_thread_says_that_it_ran_in_the_driver(load):
    with load(ThreadPoolExecutor(label="threads")):
        future = rest(0.1)
        future.result()
    ran = future.provenance
    assert (ran.executor, ran.host, ran.block, ran.manager) == ("threads", platform.node(), "", "")
    assert ran.python == platform.python_version()
    assert ran.packages
    assert ran.submitted <= ran.started <= ran.ended
    assert ran.ended - ran.started >= 0.1


def test_packages_are_the_same_in_the_driver_and_in_local_blocks(load, tmp_path):
    with load(here(tmp_path)):
        block = double(1)
        block.result()
    with load(ThreadPoolExecutor()):
        thread = double(1)
        thread.result()
    assert block.provenance.packages == thread.provenance.packages


def test_a_task_that_has_not_ended_says_what_is_known(load, tmp_path):
    with load(ThreadPoolExecutor(label="threads", max_threads=1)):
        first, second = rest(0.5), rest(0)
        waiting = double(first)
        ran = waiting.provenance
        first.result()
    assert (ran.executor, ran.attempts, ran.started, ran.ended, ran.host) == ("threads", 0, None, None, "")
    assert ran.submitted <= time.time()
    assert second.provenance.attempts == 1


@pytest.mark.parametrize("executor", ["threads", "htex"])
def test_attempts_are_counted_and_the_last_one_is_described(load, tmp_path, executor):
    with load(ThreadPoolExecutor(label="threads") if executor == "threads" else here(tmp_path), retries=2):
        failed = fail()
        failed.exception()
        dependent = double(failed)
        with pytest.raises(DependencyError):
            dependent.result()
    assert failed.provenance.attempts == 3
    assert failed.provenance.host == platform.node()
    assert failed.provenance.ended
    assert dependent.provenance.attempts == 0
    assert dependent.provenance.host == ""


def test_a_part_of_a_result_has_the_provenance_of_the_whole(load):
    @python_app
    def both():
        return {"a": 1}

    with load(ThreadPoolExecutor()):
        whole = both()
        part = whole["a"]
        assert part.result() == 1
    ran = part.provenance
    assert (ran.task, ran.started, ran.ended) == (0, whole.provenance.started, whole.provenance.ended)
    assert ran.host == platform.node()


def test_a_value_of_provenance_is_plain(load):
    import json

    with load(ThreadPoolExecutor()):
        future = double(1)
        future.result()
    assert json.loads(json.dumps(future.provenance.to_dict()))["app"] == "double"
    assert isinstance(future.provenance, cnflow.Provenance)


def test_a_remembered_result_says_where_it_came_from(load, tmp_path):
    @python_app(cache=True)
    def slow(x):
        return os.getpid() * 0 + x

    with load(here(tmp_path), checkpoint_mode="task_exit"):
        first = slow(3)
        first.result()
        again = slow(3)
        again.result()
    assert not first.provenance.is_cached
    assert again.provenance.is_cached
    assert again.provenance.task == 1
    for field in ("run", "executor", "host", "block", "manager", "python", "packages", "started", "ended", "attempts"):
        assert getattr(again.provenance, field) == getattr(first.provenance, field), field
    with load(ThreadPoolExecutor(label="threads"), checkpoint_files=[str(tmp_path / "runinfo" / "000")]):
        later = slow(3)
        later.result()
    assert later.provenance.is_cached
    for field in ("run", "executor", "host", "block", "manager", "python", "packages", "attempts"):
        assert getattr(later.provenance, field) == getattr(first.provenance, field), field
    assert later.provenance.ended == pytest.approx(first.provenance.ended)
    assert later.provenance.submitted > first.provenance.ended
