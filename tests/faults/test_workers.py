"""Workers that die while they run a task: that task alone fails, with the cause."""

import os
import random
import signal
from pathlib import Path

import pytest

from cnflow import python_app
from cnflow.blocks.backoff import LIMIT_BEFORE_USE
from cnflow.config import DockerProvider, LocalProvider
from cnflow.errors import BlockError, WorkerLost

GROUPS = Path("/sys/fs/cgroup")
MEBIBYTE = 2**20


@python_app
def kill_itself(number):
    import os

    os.kill(os.getpid(), number)


@python_app
def exit_with(code):
    import sys

    sys.stderr.write("that was all\n")
    sys.exit(code)


@python_app
def hog(mebibytes):
    import time

    held = [bytes([1]) * 2**20 for _ in range(mebibytes)]
    time.sleep(0.1)
    return len(held)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_signal_fails_one_task_only_and_is_named(load, ledger, number):
    with load(max_workers=2, cores_per_worker=0.1):
        others = [ledger.app(n, 0.3) for n in range(6)]
        lost = kill_itself(number)
        more = [ledger.app(n, 0) for n in range(6, 12)]
        assert number.name in str(lost.exception(30))
        assert isinstance(lost.exception(30), WorkerLost)
        assert lost.exception().exitcode == -number
        assert [future.result(30)[0] for future in (*others, *more)] == list(range(12))
    assert ledger.runs() == dict.fromkeys(range(12), 1)


def test_exit_is_reported_with_its_code_and_the_last_lines_of_stderr(load):
    with load():
        error = exit_with(3).exception(30)
        assert isinstance(error, WorkerLost)
        assert "exited with code 3" in str(error)
        assert "that was all" in str(error)


def test_killed_worker_is_replaced_and_its_task_is_retried(load, ledger):
    with load(config={"retries": 1}):
        _, worker, manager = ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.5) for n in range(1, 4)]
        os.kill(worker, signal.SIGKILL)
        results = [future.result(30) for future in futures]
    assert [number for number, _, _ in results] == [1, 2, 3]
    assert {parent for _, _, parent in results} == {manager}
    assert worker not in {pid for _, pid, _ in results}


@pytest.fixture
def group(until):
    """Control group with a limit of 200 MiB; yields the file to which process ids are written."""
    first = GROUPS / "memory"
    folder = (first if first.is_dir() else GROUPS) / f"cnflow-test-{os.getpid()}"
    folder.mkdir()
    limit = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
    try:
        if not (folder / limit).exists():
            pytest.skip("Memory is not controlled here. Run: echo +memory > /sys/fs/cgroup/cgroup.subtree_control")
        (folder / limit).write_text(str(200 * MEBIBYTE))
        if (folder / "memory.swap.max").exists():
            (folder / "memory.swap.max").write_text("0")
        yield folder / "cgroup.procs"
    finally:
        until(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


@pytest.mark.root
def test_error_reports_that_the_kernel_killed_a_worker_for_its_memory(load, group):
    with load(LocalProvider(max_blocks=1, worker_init=f"echo $$ > {group}")):
        error = hog(400).exception(60)
        assert isinstance(error, WorkerLost)
        assert "out of memory (OOM)" in str(error)
        assert "its block may use 200 MiB" in str(error)
        assert hog(1).result(60) == 1
        assert "OOM" not in str(kill_itself(signal.SIGKILL).exception(30)), (
            "a worker killed by a signal is reported as out of memory"
        )


@pytest.mark.docker
def test_error_reports_out_of_memory_in_a_container_with_a_limit(load, image_base):
    provider = DockerProvider(max_blocks=1, memory="200M")
    with load(provider, image=image_base, heartbeat_period=1, heartbeat_threshold=10):
        error = hog(400).exception(60)
        assert isinstance(error, WorkerLost)
        assert "out of memory (OOM)" in str(error)
        assert hog(1).result(60) == 1


def test_tasks_fail_with_the_words_of_workers_that_die_as_they_start(load, tmp_path, monkeypatch):
    """As with a missing licence, a wrong PYTHONHOME of an image, a broken library."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'worker' in ' '.join(sys.orig_argv):\n"
        "    sys.stderr.write('no licence\\n')\n"
        "    sys.stderr.flush()\n"
        "    os._exit(3)\n"
    )
    monkeypatch.setattr(random.Random, "uniform", lambda self, low, high: low)  # the shortest delays between blocks
    with load(provider=LocalProvider(environment={"PYTHONPATH": str(tmp_path)}, max_blocks=1)) as dfk:
        error = exit_with(0).exception(60)
        blocks = list(Path(dfk.run_dir, "htex").glob("block-*.log"))
    assert isinstance(error, BlockError)
    assert "no licence" in str(error)
    assert len(blocks) == LIMIT_BEFORE_USE
