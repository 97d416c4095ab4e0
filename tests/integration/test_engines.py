"""Apps on pools of others: options, errors, own modules and losses, as on our own workers."""

import concurrent.futures
import multiprocessing
import os
import signal
import sys
import threading
import time

import pytest

import cnflow
from cnflow.errors import AppTimeout, BlockError, ConfigurationError, ManagerLost, SerializationError
from cnflow.executors import FuturesExecutor

SPAWNED = {"max_workers": 2, "mp_context": multiprocessing.get_context("forkserver")}


@pytest.fixture
def load(tmp_path):
    """Loads a run with one pool: ``load(pool, **arguments)``."""

    def start(pool=concurrent.futures.ProcessPoolExecutor, arguments=None, **config):
        executor = FuturesExecutor(pool=pool, arguments=SPAWNED if arguments is None else arguments)
        return cnflow.load(cnflow.Config(executors=[executor], run_dir=str(tmp_path / "runs"), **config))

    return start


@cnflow.python_app
def process():
    return os.getpid()


@cnflow.python_app(walltime=0.5)
def asleep():
    time.sleep(60)


def test_options_of_a_call_hold_in_a_pool_of_processes(load, tmp_path):
    @cnflow.python_app
    def say(stdout=None):
        os.write(1, b"from C\n")
        sys.stdout.write("from Python\n")
        return "done"

    @cnflow.bash_app
    def command(stdout=None):
        return "echo $((6 * 7))"

    with load():
        assert say(stdout=str(tmp_path / "said")).result() == "done"
        assert (tmp_path / "said").read_text() == "from C\nfrom Python\n"
        assert command(stdout=str(tmp_path / "out")).result() == 0
        assert (tmp_path / "out").read_text() == "42\n"
        assert isinstance(asleep().exception(), AppTimeout)
        assert process().result() != os.getpid()


def test_tasks_in_a_pool_of_threads_keep_their_output_apart(load, tmp_path):
    @cnflow.python_app
    def say(what, stdout=None):
        sys.stdout.write(f"{what}\n")
        return os.getpid(), threading.current_thread() is threading.main_thread()

    with load(concurrent.futures.ThreadPoolExecutor, {"max_workers": 2}):
        calls = [say(f"line {number}", stdout=str(tmp_path / str(number))) for number in range(4)]
        assert {call.result() for call in calls} == {(os.getpid(), False)}
        assert [(tmp_path / str(number)).read_text() for number in range(4)] == [f"line {n}\n" for n in range(4)]


def test_own_pool_is_left_to_its_owner():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with cnflow.load(cnflow.Config(executors=[FuturesExecutor(pool=pool)])):
            assert process().result() == os.getpid()
        assert pool.submit(int, "7").result() == 7


def test_what_a_dead_worker_held_is_tried_again_in_a_new_pool(load, tmp_path):
    @cnflow.python_app
    def die_once(mark):
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    with load():
        assert die_once(tmp_path / "mark").result() == "alive"


def test_own_pool_that_broke_says_what_to_do():
    @cnflow.python_app
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        concurrent.futures.ProcessPoolExecutor(**SPAWNED) as pool,
        cnflow.load(cnflow.Config(executors=[FuturesExecutor(pool=pool)])),
    ):
        error = die().exception()
    assert isinstance(error, BlockError)
    assert "give a function that makes it" in str(error)


def test_task_that_always_kills_its_worker_ends_in_the_loss(load):
    @cnflow.python_app
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    with load():
        error = die().exception()
        assert isinstance(error, ManagerLost)
        assert "(die) was in the pool of executor 'futures' when a worker of that died" in str(error)


def test_pool_gives_no_resources_and_runs_in_no_image(load):
    with load(), pytest.raises(ConfigurationError, match=r"knows no resources \(gpus\)"):
        cnflow.python_app(lambda: 1, resources={"gpus": 1})().result()
    with pytest.raises(ConfigurationError, match="cannot put them into an image"):
        FuturesExecutor(pool=concurrent.futures.ThreadPoolExecutor, image="python:3.12")


def test_pool_that_is_none_is_refused_at_load(load):
    with pytest.raises(ConfigurationError, match=r"executor 'futures': pool=7 is no concurrent.futures.Executor"):
        load(7)
    with pytest.raises(ConfigurationError, match="which does not exist"):
        load("concurrent.futures:ProcesPool")


def test_what_cannot_be_pickled_is_named(load):
    with load():
        error = cnflow.python_app(lambda lock: 1)(lock=threading.Lock()).exception()
        assert isinstance(error, SerializationError)
        assert "Argument 'lock'" in str(error)
        back = cnflow.python_app(threading.Lock)().exception()
        assert "its result cannot be pickled" in str(back)
