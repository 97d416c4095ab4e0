"""A run that makes a new function for each task: the memory of all processes is bounded, and each result is right."""

import json
import subprocess
import sys

import pytest

SCRIPT = """\
import json, sys
from pathlib import Path
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

COUNT, SIZE, PENDING = 500, 2**20, 8

def processes(pid="self"):
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes(child)

def now(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))

def make(number):
    code = number.to_bytes(2, "big") * (SIZE // 2)
    return python_app(lambda: (len(code), code[:2]))

seen, grown = [], {}
executor = HighThroughputExecutor(provider=LocalProvider(), max_workers=1)
with cnflow.load(Config(executors=[executor], max_pending=PENDING)):
    first = make(0)
    first().result()
    before = {pid: now(pid) for pid in processes()}
    for number in range(COUNT):
        make(number)().add_done_callback(lambda future: seen.append(future.result()))
        if number % 20 == 0:
            for pid in before:
                grown[pid] = max(grown.get(pid, 0), now(pid) - before[pid])
    cnflow.wait_for_current_tasks()
    assert first().result() == (SIZE, bytes(2))
    assert set(processes()) == set(before)
assert sorted(seen) == sorted((SIZE, number.to_bytes(2, "big")) for number in range(COUNT))
print(json.dumps([grown["self"], *sorted(size for pid, size in grown.items() if pid != "self")]))
"""


@pytest.mark.timeout(180)
def test_five_hundred_functions_of_a_megabyte_fill_the_memory_of_no_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    driver, *others = json.loads(done.stdout)
    assert driver < 150, "MiB more than with one function"
    assert len(others) >= 3, "interchange, manager and worker"
    assert others[-1] < 220, f"MiB more than with one function: {others}"
    assert others[-2] < 160, f"MiB more than with one function: {others}"
