"""Nodes as they are: kernels without pidfd_open, low limits of open files."""

import errno
import os
import resource
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor


@python_app
def one():
    return 1


@python_app
def open_file_limit():
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.fixture
def load(tmp_path):
    def load(**settings):
        return cnflow.load(Config(executors=[HighThroughputExecutor(**settings)], run_dir=str(tmp_path)))

    return load


@pytest.fixture
def no_pidfd(monkeypatch):
    """The driver of a kernel before Linux 5.3."""

    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)


@pytest.fixture
def few_files():
    """An eighth of the usual soft limit, so that a node of 32 workers stands for one of 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    yield 128
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("no_pidfd")
def test_executor_works_where_the_kernel_has_no_pidfd(load):
    with load(max_workers=1):
        assert one().result(30) == 1


@pytest.mark.usefixtures("no_pidfd")
def test_death_of_the_interchange_is_seen_where_the_kernel_has_no_pidfd(load, processes):
    def interchanges():
        return [
            pid
            for pid in processes.children()
            if processes.is_running(pid) and b"cnflow.interchange" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    with load(max_workers=1):
        assert one().result(30) == 1
        [before] = interchanges()
        processes.kill(before)
        assert one().result(60) == 1
        [after] = interchanges()
        assert after != before


def test_node_with_many_workers_works_within_a_low_limit_which_its_tasks_keep(load, few_files):
    with load(max_workers=32, cores_per_worker=0.01):
        assert one().result(60) == 1
        assert {open_file_limit().result(60) for _ in range(8)} == {few_files}
