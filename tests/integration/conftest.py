"""Executors without a DataFlowKernel: a test submits tasks and reads the outcomes."""

import contextlib
import fcntl
import subprocess
import threading
import uuid
from pathlib import Path

import pytest

from cnflow.config import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.executors.high_throughput import make_backend
from cnflow.executors.threads.executor import ThreadPoolBackend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.testing.task_driver import TaskDriver


@contextlib.contextmanager
def drive(executor):
    try:
        driver = TaskDriver(executor, patience=30)
        yield driver
    finally:
        executor.shutdown()
    assert driver.reported_twice == [], "a task was reported twice"


def high_throughput(folder, make_provider=None, **settings):
    made = HighThroughputExecutor(**settings)
    run = RunId(
        f"test-{uuid.uuid4().hex[:12]}"
    )  # processes of a block are found, and killed, by run, executor and block
    return make_backend(made, RunContext(run, folder), make_provider)


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


@pytest.fixture(scope="session")
def driver_python(pythons, tmp_path_factory):
    """Function that returns an interpreter of a minor version in which cnflow is installed; shared by all processes."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared  # the processes of pytest-xdist

    def python_of(minor):
        folder = shared / f"driver-{minor}"
        with Path(f"{folder}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "made").exists():
                subprocess.run([pythons[minor], "-m", "venv", folder], check=True)
                install = [folder / "bin" / "python", "-m", "pip", "install", "-q", Path(__file__).parents[2]]
                subprocess.run(install, check=True)
                (folder / "made").touch()
        return folder / "bin" / "python"

    return python_of
