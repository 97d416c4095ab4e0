"""A wall clock that is set during a run. Every process of the run reads the wall clock through a preloaded library."""

import os
import subprocess
import sys

import pytest

from tests import clock_shift

SCRIPT = """\
import struct, sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.errors import AppTimeout
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

@python_app
def clock(seconds=0.0):
    import os, time
    time.sleep(seconds)
    return time.time(), os.getppid()

@python_app(walltime=0.5)
def too_long():
    while True:
        pass

def shift(seconds):
    with open(sys.argv[1], "r+b") as file:  # in place, because it is mapped
        file.write(struct.pack("l", seconds))

executor = HighThroughputExecutor(max_workers=1, heartbeat_period=0.3, heartbeat_threshold=1.2)
with cnflow.load(Config(executors=[executor], retries=0)) as dfk:
    before, manager = clock().result(30)
    running = [clock(0.3) for _ in range(5)]
    shift(-3600)
    after = [future.result(30) for future in running]
    time.sleep(2)                                   # longer than the threshold: no manager may be lost
    late = clock().result(30)
    assert late[0] < before - 3000, "the clock was not set back, so that the test proves nothing"
    assert time.time() < before - 3000
    assert {parent for _, parent in [*after, late]} == {manager}, "the manager was lost"
    assert isinstance(too_long().exception(30), AppTimeout)
    shift(7200)
    assert clock(0.5).result(30)[1] == manager
    assert dfk.executor_status()[0].managers == 1
print("all")
"""


@pytest.mark.cc
def test_setting_the_clock_back_and_forward_does_not_affect_a_run(tmp_path):
    shift, script, library = tmp_path / "shift", tmp_path / "script.py", clock_shift.build(tmp_path)
    clock_shift.write_shift(shift, 0)
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(shift)],
        cwd=tmp_path,
        env={**os.environ, "LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("all\n", 0), done.stderr
