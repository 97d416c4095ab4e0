"""Blocks that a driver leaves, and the command that cancels them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.ledger import FILE

SCRIPT = """\
import sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

@python_app
def manager():
    import os
    return os.getppid()

provider = LocalProvider(init_blocks=2, max_blocks=2)
cnflow.load(Config(executors=[HighThroughputExecutor(provider=provider, max_workers=1, encrypted=True)]))
managers = set()
while len(managers) < 2:
    managers |= {future.result() for future in [manager() for _ in range(4)]}
print(*managers, flush=True)
time.sleep(600)
"""


@pytest.fixture
def driver(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        yield process
        process.kill()


def clean(folder):
    command = [sys.executable, "-m", "cnflow.cli", "clean", "runinfo/000"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_clean_cancels_the_blocks_that_a_killed_driver_left(driver, tmp_path, processes, until):
    managers = [int(pid) for pid in driver.stdout.readline().split()]
    family = processes.descendants(driver.pid)
    refused = clean(tmp_path)
    assert refused.returncode != 0
    assert f"The driver of the run in runinfo/000 lives: process {driver.pid} on " in refused.stderr
    # Both at once, as when their control group is killed: nobody is left to stop the managers.
    interchange = next(pid for pid in family if "cnflow.interchange" in processes.command(pid))
    os.kill(driver.pid, signal.SIGSTOP)
    os.kill(interchange, signal.SIGKILL)
    driver.kill()
    driver.wait()
    assert all(processes.is_running(pid) for pid in managers)
    done = clean(tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        "executor htex: 2 blocks were cancelled, nothing is left\n",
    ), done.stderr
    until(lambda: not any(processes.is_running(pid) for pid in family))
    assert "left nothing to take over" in clean(tmp_path).stderr


@python_app
def one():
    return 1


@pytest.mark.parametrize("settings", [ThreadPoolExecutor(), HighThroughputExecutor(max_workers=1)])
def test_a_run_that_ends_in_order_leaves_no_ledger(settings, tmp_path):
    with cnflow.load(Config(executors=[settings], run_dir=str(tmp_path))) as dfk:
        assert one().result() == 1
        ledger = Path(dfk.run_dir) / FILE
        assert ledger.exists() == isinstance(settings, HighThroughputExecutor)
    assert not ledger.exists()
