"""Drivers that are killed, and two drivers on one machine."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """\
import sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.dataflow.memo.checkpoint_paths import get_all_checkpoints
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

@python_app(cache=True)
def work(number, path):
    import os, time
    time.sleep(0.05)
    with open(path, "a") as file:
        file.write(f"{number}\\n")
    return number * number, os.getppid()

@python_app
def child():
    import subprocess
    return subprocess.Popen(["sleep", "600"]).pid

count, ran = int(sys.argv[1]), sys.argv[2]
executor = HighThroughputExecutor(
    provider=LocalProvider(init_blocks=2, max_blocks=2), max_workers=1, heartbeat_period=0.5, heartbeat_threshold=2
)
with cnflow.load(
    Config(executors=[executor], checkpoint_mode="task_exit", checkpoint_files=get_all_checkpoints(), retries=1)
):
    if "child" in sys.argv:
        print("child", child().result(), flush=True)
    futures = [work(number, ran) for number in range(count)]
    for number, future in enumerate(futures):
        value, _ = future.result()
        assert value == number * number
        print("done", number, flush=True)
print("all", flush=True)
"""


@pytest.fixture
def start(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    started = []

    def make(count, *more, folder=tmp_path):
        arguments = [sys.executable, str(script), str(count), str(folder / "ran"), *more]
        process = subprocess.Popen(
            arguments, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)}
        )
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_killed_driver_leaves_no_process_and_the_next_run_continues(start, tmp_path, processes, until):
    first = start(60, "child")
    child = int(first.stdout.readline().split()[1])
    lines = [first.stdout.readline() for _ in range(10)]
    family = [*processes.descendants(first.pid), child]
    assert len(family) >= 6, "an interchange, two managers, two workers and a child of a task"
    first.send_signal(signal.SIGKILL)
    lines += first.communicate()[0].splitlines()
    done = [int(line.split()[1]) for line in lines if line.startswith("done")]
    until(lambda: not any(processes.is_running(pid) for pid in family))
    assert not [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("cnflow-")]

    before = set(map(int, (tmp_path / "ran").read_text().split()))
    assert set(done) <= before
    (tmp_path / "ran").unlink()
    assert start(60).communicate(timeout=60)[0].splitlines()[-1] == "all"
    again = list(map(int, (tmp_path / "ran").read_text().split()))
    assert set(again).isdisjoint(done), "a result that the first run reported was run again"
    assert len(again) == len(set(again))
    assert before | set(again) == set(range(60))
    assert len(before & set(again)) <= 2 * 3, "tasks ran twice that were not running at the kill"


def test_two_drivers_on_one_machine_do_not_disturb_each_other(start, tmp_path, processes, until):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (start(100, folder=folder) for folder in folders)
    assert one.stdout.readline() == two.stdout.readline() == "done 0\n"
    family = processes.descendants(two.pid)
    one.send_signal(signal.SIGKILL)
    assert two.communicate(timeout=60)[0].splitlines()[-1] == "all"
    assert two.returncode == 0
    assert sorted(map(int, (folders[1] / "ran").read_text().split())) == list(range(100))
    until(lambda: not any(processes.is_running(pid) for pid in family))
    shared = start(30, folder=folders[0])  # beside another in the same folder
    beside = start(30, folder=folders[0])
    assert [driver.communicate(timeout=60)[0].splitlines()[-1] for driver in (shared, beside)] == ["all", "all"]
