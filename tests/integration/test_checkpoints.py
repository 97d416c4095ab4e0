"""Checkpoints of a driver that is killed at any moment hold every result that was written."""

import random
import signal
import subprocess
import sys
import threading

import pytest

import cnflow
from cnflow.dataflow.memo import CheckpointReader, InMemoryResults
from cnflow.dataflow.memo.checkpoint_paths import get_last_checkpoint

WRITER = """
import sys, threading
from pathlib import Path
from cnflow.dataflow.memo import Checkpointer
from cnflow.dataflow.memo.in_memory import pickle_result

checkpointer, run = Checkpointer(Path(sys.argv[1]), "task_exit"), int(sys.argv[2])
output = threading.Lock()

def work(part):
    for n in range(part, 1_000_000, 3):
        key = run.to_bytes(4, "big") + n.to_bytes(28, "big")
        size = n % 7 * (40_000 if n % 50 == 0 else 400)
        checkpointer.record(key, pickle_result([n] * size), "app")
        with output:
            print(n, flush=True)

for part in range(3):
    threading.Thread(target=work, args=(part,)).start()
"""


@pytest.mark.parametrize("seed", range(3))
def test_every_written_entry_is_found_after_a_kill(tmp_path, seed):
    chance = random.Random(seed)
    for run in range(4):
        written = kill_a_writer(tmp_path / f"{run:03}", run, chance)
        loaded = CheckpointReader(get_last_checkpoint(tmp_path))
        memo = InMemoryResults(loaded)
        for n in written:
            key = run.to_bytes(4, "big") + n.to_bytes(28, "big")
            assert memo.find(key) == (True, [n] * (n % 7 * (40_000 if n % 50 == 0 else 400)))
        loaded.close()


def test_run_killed_at_its_start_leaves_a_loadable_checkpoint(tmp_path):
    chance = random.Random(5)
    for run in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / f"{run:03}", "0"], stdout=subprocess.PIPE
        ) as writer:
            while not (tmp_path / f"{run:03}").exists():
                assert writer.poll() is None
            threading.Event().wait(chance.random() * 0.01)
            writer.kill()
        CheckpointReader(get_last_checkpoint(tmp_path)).close()


def kill_a_writer(folder, run, chance):
    """Start a driver that writes, and kill it at a random moment; return the numbers that it reported as written."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, folder, str(run)], stdout=subprocess.PIPE, text=True
    ) as writer:
        first = writer.stdout.readline()
        killer = threading.Timer(chance.random() * 0.7, writer.kill)
        killer.start()
        printed = first + writer.stdout.read()
        killer.join()
    assert writer.returncode == -signal.SIGKILL
    lines = printed.splitlines(keepends=True)
    return [int(line) for line in lines if line.endswith("\n")]


def test_checkpoint_without_a_mode_has_the_results_so_far_and_then_the_new_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @cnflow.python_app(cache=True)
    def doubled(x):
        with open("calls", "a") as calls:  # noqa: PTH123 - a list of the test would be part of the key
            calls.write(str(x))
        return [2 * x] if x % 2 else 2 * x

    with cnflow.load() as dfk:
        assert [doubled(x).result() for x in range(3)] == [0, [2], 4]
        folder = dfk.checkpoint()
        doubled(3).result()
        assert dfk.checkpoint() == folder
        doubled(4).result()  # after the last call, and written by nobody
    with cnflow.load(cnflow.Config(checkpoint_files=[folder])):
        assert [doubled(x).result() for x in range(5)] == [0, [2], 4, [6], 8]
    assert (tmp_path / "calls").read_text() == "012344"


def test_run_without_a_call_of_checkpoint_writes_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load() as dfk:
        cnflow.python_app(cache=True)(abs)(-1).result()
    assert not (dfk.run_dir / "checkpoint").exists()
