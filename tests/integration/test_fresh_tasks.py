"""Tasks that get a process of their own on the bare node: the same machinery as for containers, without an engine."""

import os
import time

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.errors import AppTimeout, BashExitFailure, ConfigurationError, WorkerLost
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import LocalProvider


def pids():
    """Process ids of the worker and its manager."""
    import os

    return os.getpid(), os.getppid()


@pytest.fixture
def run(tmp_path):
    """Loads an executor of the bare node, of at most 3 blocks."""

    def load(**options):
        provider = LocalProvider(init_blocks=0, max_blocks=2)
        executor = HighThroughputExecutor(label="bare", provider=provider, max_workers=2)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "run"), **options))

    return load


def test_each_task_has_a_manager_and_a_worker_of_its_own(run):
    with run():
        futures = [python_app(fresh=True)(pids)() for _ in range(6)]
        found = [future.result() for future in futures]
    assert len({worker for worker, _ in found}) == len({manager for _, manager in found}) == 6


def test_tasks_without_it_share_workers_beside(run):
    with run():
        fresh = [python_app(fresh=True)(pids)() for _ in range(2)]
        shared = [python_app(pids)() for _ in range(6)]
        managers = {future.result()[1] for future in shared}
        assert len(managers) < 6
        assert not managers & {future.result()[1] for future in fresh}


def test_a_task_that_fails_is_tried_again_in_another_process(run, tmp_path):
    def fail_once(path):
        import os

        with path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(path.read_text().split()) == 1:
            os._exit(9)
        return os.getpid()

    path = tmp_path / "tries"
    with run(retries=1):
        last = python_app(fail_once).options(fresh=True)(path).result()
    first, second = path.read_text().split()
    assert second == str(last) != first


def test_a_worker_that_dies_fails_its_task_alone(run):
    def die():
        import os

        os._exit(3)

    with run():
        lost = python_app(fresh=True)(die)()
        others = [python_app(fresh=True)(pids)() for _ in range(3)]
        with pytest.raises(WorkerLost):
            lost.result()
        assert len({future.result() for future in others}) == 3


def test_a_task_beyond_its_walltime_is_stopped_and_the_next_one_runs(run):
    with run():
        late = python_app(fresh=True, walltime=0.5)(time.sleep)(60)
        with pytest.raises(AppTimeout):
            late.result()
        assert python_app(fresh=True)(pids)().result()


def test_tasks_are_cancelled_while_they_wait_and_while_they_run(run, tmp_path, until):
    def nap(folder, number):
        import time

        (folder / str(number)).touch()
        time.sleep(60)

    folder = tmp_path / "started"
    folder.mkdir()
    with run():
        futures = [python_app(fresh=True)(nap)(folder, number) for number in range(6)]
        until(lambda: any(folder.iterdir()))
        for future in futures:
            future.cancel()
        assert python_app(fresh=True)(pids)().result()
        assert all(future.cancelled() for future in futures)


def test_bash_apps_have_a_process_of_their_own_and_bring_their_output_back(run, tmp_path):
    @bash_app(fresh=True)
    def speak(word, stdout=None):
        return f"echo {word}"

    @bash_app(fresh=True)
    def fail():
        return "exit 7"

    with run():
        speak("hello", stdout=str(tmp_path / "out")).result()
        with pytest.raises(BashExitFailure, match="code 7"):
            fail().result()
    assert (tmp_path / "out").read_text() == "hello\n"


def test_an_interchange_that_is_killed_loses_and_doubles_no_fresh_task(run, tmp_path):
    def note(path, number):
        import time

        with path.open("a") as file:
            file.write(f"{number}\n")
        time.sleep(0.3)
        return number

    path = tmp_path / "notes"
    with run() as dfk:
        futures = [python_app(fresh=True)(note)(path, number) for number in range(8)]
        futures[0].result()
        os.kill(dfk.executors["bare-fresh"]._client._connection._process.pid, 9)
        assert [future.result() for future in futures] == list(range(8))
    assert sorted(map(int, path.read_text().split())) == list(range(8))


def test_a_configured_executor_of_fresh_blocks_runs_all_its_tasks_so(tmp_path):
    provider = LocalProvider(init_blocks=0, warm_blocks=1, max_blocks=2)
    executor = HighThroughputExecutor(provider=provider, fresh=True)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        futures = [python_app(pids)() for _ in range(4)]
        assert len({future.result() for future in futures}) == 4


def test_threads_are_refused_in_words(tmp_path):
    words = "cannot run each task in a container or process of its own"
    config = Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path))
    with cnflow.load(config), pytest.raises(ConfigurationError, match=words):
        python_app(fresh=True)(pids)()
