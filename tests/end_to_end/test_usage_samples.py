"""What tasks use reaches the database: at their end, while they run, and of workers that were killed."""

import contextlib
import os
import signal
import sqlite3
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.config import MonitoringHub
from cnflow.executors import HighThroughputExecutor

MIB = 2**20


@python_app
def nothing():
    return 1


@python_app
def fill(size, seconds):
    import time

    memory = bytearray(b"x") * size
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return len(memory)


@bash_app
def command(size):
    return f"python3 -c \"x = b'x' * {size}\""


@python_app
def fill_and_die(size):
    memory = bytearray(b"x") * size
    os.kill(os.getpid(), signal.SIGKILL)
    return len(memory)


@pytest.mark.timeout(180)
def test_samples_of_tasks_and_nodes_are_in_the_database(tmp_path):
    pytest.importorskip("sqlalchemy")
    hub = MonitoringHub(resource_monitoring_interval=0.5)
    executor = HighThroughputExecutor(max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path), monitoring=hub)):
        first = nothing()
        long = fill(200 * MIB, 2.0)
        assert (first.result(60), long.result(60)) == (1, 200 * MIB)
        small, printed = nothing(), command(150 * MIB)
        assert (small.result(60), printed.result(60)) == (1, 0)
        killed = fill_and_die(500 * MIB)
        assert killed.exception(60) is not None
    with contextlib.closing(sqlite3.connect(Path(tmp_path, "monitoring.db"))) as database:
        finals = ask(database, "SELECT task_id, memory_peak, psutil_process_time_user FROM resource WHERE is_final")
        assert sorted(task for task, _, _ in finals) == [first.tid, long.tid, small.tid, printed.tid, killed.tid]
        peaks = {task: peak for task, peak, _ in finals}
        assert peaks[long.tid] > 200 * MIB
        assert peaks[small.tid] < 150 * MIB  # not that of the task before it in the same worker
        assert peaks[printed.tid] > 150 * MIB
        assert peaks[killed.tid] > 500 * MIB
        seconds = {task: user for task, _, user in finals}
        assert 0.1 < seconds[long.tid] < 10
        looks = ask(
            database,
            "SELECT psutil_process_memory_resident, psutil_process_time_user, psutil_process_status FROM resource "
            f"WHERE task_id = {long.tid} AND NOT is_final ORDER BY timestamp",
        )
        assert looks
        assert max(resident for resident, _, _ in looks) > 200 * MIB
        assert [user for _, user, _ in looks] == sorted(user for _, user, _ in looks)
        nodes = ask(database, "SELECT cpu_percent, memory_bytes, busy_workers FROM node_resource")
        assert any(percent > 0 and memory > 0 and busy == 1 for percent, memory, busy in nodes)


def ask(database, query):
    return database.execute(query).fetchall()
