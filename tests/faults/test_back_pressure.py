"""`max_pending` bounds the number of unfinished tasks, and with it the memory."""

import subprocess
import sys
import threading
import time

import pytest

import cnflow
from cnflow import Config, join_app, python_app
from cnflow.config import ThreadPoolExecutor

SCRIPT = """\
import resource, sys, threading
from pathlib import Path
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

COUNT, SIZE, PENDING = 1000, 10 * 2**20, 8

@python_app
def large(number):
    return bytes([number % 256]) * SIZE

def interchange():
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            if "cnflow.interchange" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid

def peak(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

seen = []
def take(future):
    value = future.result()
    seen.append((len(value), value[0]))

executor = HighThroughputExecutor(provider=LocalProvider(), max_workers=2, cores_per_worker=0.5)
with cnflow.load(Config(executors=[executor], max_pending=PENDING)):
    for number in range(COUNT):
        large(number).add_done_callback(take)
    cnflow.wait_for_current_tasks()
    print(peak("self"), peak(interchange()))
assert sorted(seen) == sorted((SIZE, number % 256) for number in range(COUNT))
"""


@pytest.mark.long
@pytest.mark.timeout(180)
def test_results_larger_than_memory_are_read_within_a_few_hundred_mb(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    driver, interchange = map(int, done.stdout.split())
    assert driver < 500, "MiB"
    assert interchange < 400, "MiB"


@pytest.fixture
def threads(tmp_path):
    def load(**options):
        return cnflow.load(Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path), **options))

    return load


@python_app
def wait_for(event):
    event.wait(30)


def test_call_beyond_the_limit_blocks_until_a_task_is_done(threads, until):
    go_on, entered = threading.Event(), []

    def submit():
        for number in range(5):
            wait_for(go_on)
            entered.append(number)

    with threads(max_pending=3):
        thread = threading.Thread(target=submit)
        thread.start()
        until(lambda: len(entered) == 3)
        time.sleep(0.2)
        assert len(entered) == 3
        go_on.set()
        thread.join(20)
        assert len(entered) == 5


def test_blocked_call_raises_when_the_run_ends(threads, until):
    go_on, errors = threading.Event(), []

    def submit():
        try:
            for _ in range(5):
                wait_for(go_on)
        except cnflow.errors.CnflowError as error:
            errors.append(str(error))

    with threads(max_pending=2, exit_mode="cleanup") as dfk:
        thread = threading.Thread(target=submit)
        thread.start()
        until(lambda: dfk.task_count == 2)
        threading.Timer(0.3, go_on.set).start()
    thread.join(20)
    assert "after its run had ended" in errors[0]


def test_tasks_submitted_by_join_apps_and_callbacks_do_not_block(threads):
    @python_app
    def one(number):
        return number

    @join_app
    def many(count):
        return [one(number) for number in range(count)]

    chained = []
    with threads(max_pending=1):
        assert many(20).result(20) == list(range(20))
        one(1).add_done_callback(lambda _: chained.append(one(2)))
        until_chained = time.monotonic() + 20
        while not chained:
            assert time.monotonic() < until_chained
            time.sleep(0.01)
        assert chained[0].result(20) == 2


def test_submission_has_no_limit_without_max_pending(threads):
    go_on = threading.Event()
    with threads():
        futures = [wait_for(go_on) for _ in range(1000)]
        go_on.set()
        assert [future.result(20) for future in futures] == [None] * 1000


def test_callbacks_that_are_slower_than_tasks_hold_up_submission(threads):
    may_end, submitted = threading.Event(), []

    def submit():
        with threads(max_pending=3):
            for number in range(30):
                one(number).add_done_callback(lambda _: may_end.wait(30))
                submitted.append(number)

    thread = threading.Thread(target=submit)
    thread.start()
    thread.join(1.0)
    so_far = len(submitted)
    may_end.set()
    thread.join(30)
    assert so_far < 10, "results that callbacks have yet to take are in memory"
    assert len(submitted) == 30


@python_app
def one(number):
    return number
