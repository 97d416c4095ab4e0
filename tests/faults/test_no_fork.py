"""Scripts need no ``if __name__ == "__main__"``, and no process with threads forks."""

import os
import subprocess
import sys

import pytest

# A sitecustomize module: runs first in every process that starts with its folder in PYTHONPATH.
RECORDER = """\
import os, sys, threading

def record():
    tasks = len(os.listdir("/proc/self/task"))
    with open(os.environ["FORKS"], "a") as file:
        file.write(f"{os.getpid()} forks with {tasks} threads: {' '.join(sys.orig_argv)}\\n")

os.register_at_fork(before=record)
with open(os.environ["STARTS"], "a") as file:
    file.write(f"{' '.join(sys.orig_argv)}\\n")
"""

SCRIPT = """\
import os
import cnflow
from cnflow import Config, bash_app, join_app, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

print("once")  # printed again if a process imported this script

class Value:
    def __init__(self, number):
        self.number = number

@python_app
def double(value):
    return Value(2 * value.number)

@python_app(executors=["threads"])
def triple(value):
    return Value(3 * value.number)

@bash_app
def say(text, stdout=None):
    return f"echo {text}"

@join_app
def both(value):
    return triple(double(value))

@python_app(walltime=0.3)
def too_long():
    while True:
        pass

executors = [HighThroughputExecutor(max_workers=1, heartbeat_period=0.3), ThreadPoolExecutor()]
cnflow.load(Config(executors=executors, strategy="simple", checkpoint_mode="task_exit"))
print(both(Value(7)).result().number)
print(say("hello", stdout="echoed").result(), open("echoed").read().strip())
too_long().exception()
"""


@pytest.fixture
def outcome(tmp_path):
    """Output of the script, command lines of all processes, and lines of those that forked."""
    (tmp_path / "recorder").mkdir()
    (tmp_path / "recorder" / "sitecustomize.py").write_text(RECORDER)
    (tmp_path / "script.py").write_text(SCRIPT)
    files = {"FORKS": str(tmp_path / "forks"), "STARTS": str(tmp_path / "starts")}
    environment = {**os.environ, **files, "PYTHONPATH": str(tmp_path / "recorder")}
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    forks = tmp_path / "forks"
    return done.stdout, (tmp_path / "starts").read_text(), forks.read_text() if forks.exists() else ""


def test_script_without_a_guard_runs_once_and_no_process_forks(outcome):
    printed, starts, forks = outcome
    assert printed == "once\n42\n0 hello\n"
    for part in ("script.py", "cnflow.interchange", "cnflow/manager/__main__.py", "cnflow/worker/__main__.py"):
        assert part in starts, "the recorder missed a process"
    assert forks == ""


def test_recorder_detects_a_fork(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "FORKS": str(tmp_path / "forks"), "STARTS": os.devnull}
    code = "import os\nif not os.fork(): os._exit(0)\nos.wait()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert "forks with 1 threads" in (tmp_path / "forks").read_text()
