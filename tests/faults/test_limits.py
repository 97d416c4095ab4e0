"""Limits of processes and of open files that are reached while tasks run, and pass."""

import os
import resource
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor


@python_app
def die():
    import os

    os._exit(7)


@python_app
def own_pid():
    import os

    return os.getpid()


@pytest.fixture
def load(tmp_path):
    def load(**settings):
        executor = HighThroughputExecutor(heartbeat_period=0.3, heartbeat_threshold=3, **settings)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path)))

    return load


@pytest.fixture
def pids_group():
    """Control group that limits the number of processes; of version 1 or 2, as this machine has it."""
    folder = next(path for path in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup") if Path(path, "cgroup.procs").exists())
    group = Path(folder, f"cnflow-test-{os.getpid()}")
    group.mkdir()
    yield group
    (group / "pids.max").write_text("max")
    group.rmdir()


def open_files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def managers(processes):
    return [pid for pid in processes.children() if "cnflow/manager" in processes.command(pid)]


@pytest.mark.root
def test_worker_is_replaced_once_processes_can_be_started_again(load, processes, pids_group, until):
    with load(max_workers=2, cores_per_worker=0.1) as dfk:
        assert own_pid().result(30)
        [manager] = managers(processes)
        for pid in (manager, *processes.children(manager)):
            (pids_group / "cgroup.procs").write_text(str(pid))
        (pids_group / "pids.max").write_text("1")
        log = next(Path(dfk.run_dir, "htex").glob("block-*.log"))
        assert die().exception(30) is not None
        until(lambda: "cannot be started now" in log.read_text())
        (pids_group / "pids.max").write_text("max")
        until(lambda: len(processes.children(manager)) == 2)
        assert own_pid().result(30)
        assert managers(processes) == [manager], "the block was replaced"


def test_worker_is_replaced_once_files_can_be_opened_again(load, processes, until):
    with load(max_workers=1) as dfk:
        first = own_pid().result(30)
        [manager] = managers(processes)
        limits = resource.prlimit(manager, resource.RLIMIT_NOFILE)
        resource.prlimit(manager, resource.RLIMIT_NOFILE, (12, limits[1]))  # more than it polls, fewer than it has
        log = next(Path(dfk.run_dir, "htex").glob("block-*.log"))
        assert die().exception(30) is not None
        until(lambda: "cannot be started now" in log.read_text())
        resource.prlimit(manager, resource.RLIMIT_NOFILE, limits)
        assert own_pid().result(30) != first
        assert managers(processes) == [manager], "the block was replaced"


def test_interchange_without_free_descriptors_serves_the_managers_that_it_has(load, processes, until):
    """A manager that comes later connects once descriptors are free; ZeroMQ tries again by itself."""
    with load(max_workers=1, address="127.0.0.1") as dfk:
        assert own_pid().result(30)
        [interchange] = [pid for pid in processes.children() if "cnflow.interchange" in processes.command(pid)]
        limits = resource.prlimit(interchange, resource.RLIMIT_NOFILE)
        resource.prlimit(interchange, resource.RLIMIT_NOFILE, (open_files(interchange), limits[1]))
        assert len({own_pid().result(30) for _ in range(20)}) == 1
        [manager] = managers(processes)
        processes.kill(manager)  # its successor needs a new connection
        future = own_pid()
        until(lambda: managers(processes) not in ([manager], []))
        resource.prlimit(interchange, resource.RLIMIT_NOFILE, limits)
        assert future.result(30)
        assert dfk.executor_status()[0].managers == 1
