"""Large arguments and results in shared memory: nothing is left of them after any process was killed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import WorkerLost
from cnflow.executors import HighThroughputExecutor
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

MEMORY = Path("/dev/shm")


def values_of(pid):
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:
            continue
    return [link for link in links if "memfd:cnflow-arguments" in link]


def results_of(pid):
    return [path.name for path in MEMORY.glob(f"cnflow-result-*-{pid}-*")]


@python_app
def changed(array):
    array[0] = -1.0
    return array


@python_app
def where(array):
    from pathlib import Path

    return "memfd:cnflow-arguments" in Path("/proc/self/maps").read_text()


@python_app
def killed(array):
    import os

    os.kill(os.getpid(), 9)


def test_large_arrays_pass_by_memory_and_a_killed_worker_leaves_none(tmp_path):
    array = np.arange(1_000_000.0)
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=2)], run_dir=str(tmp_path))):
        assert where(0).result(60) is False
        assert where(array).result(60) is True
        futures = [changed(array) for _ in range(10)]
        for future in futures:
            result = future.result(60)
            assert result[0] == -1.0
            result[1] = 5.0
            assert (result[2:] == array[2:]).all()
        assert array[0] == 0.0
        assert isinstance(killed(array).exception(60), WorkerLost)
        text = "x" * 2_000_000
        assert changed([text, text]).result(60) == [-1.0, text]
        del future, futures, result
        wait_until(lambda: not values_of(os.getpid()))
        assert results_of(os.getpid()) == []


SCRIPT = """
    import sys, numpy as np, cnflow
    from cnflow import Config, python_app
    from cnflow.executors import HighThroughputExecutor

    @python_app
    def made(number):
        import os
        return np.zeros(1_000_000)

    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=2)], run_dir=sys.argv[1])) as run:
        made(0).result()
        futures = [made(number) for number in range(300)]
        print("ready", flush=True)
        sys.stdin.read()
"""


def test_killed_driver_leaves_no_memory(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    driver = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "runs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert driver.stdout.readline() == "ready\n"
        driver.send_signal(signal.SIGSTOP)  # results are written, and nobody maps them
        wait_until(lambda: len(results_of(driver.pid)) > 2)
    finally:
        driver.kill()
        driver.wait()
        driver.stdin.close()
        driver.stdout.close()
    wait_until(lambda: not results_of(driver.pid))
