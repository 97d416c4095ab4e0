"""Checkpoints of a driver that is killed at any moment hold every result that was written."""

import random
import signal
import subprocess
import sys
import threading

import pytest

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
