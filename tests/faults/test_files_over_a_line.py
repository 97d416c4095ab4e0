"""Files over the one connection of the tasks, to a node that shares none: whatever breaks, they arrive whole, once.

The manager runs in a network namespace. `make files-over-a-line` sends 1 GB.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cnflow import File, python_app
from cnflow.config import LocalProvider
from cnflow.errors import StagingError
from cnflow.staging import BuiltInStaging
from tests.faults.test_slow_line import carried
from tests.namespaces import Node
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

MB = 10**6
SIZE = int(os.environ.get("CNFLOW_FILES_MB", "64")) * MB
RATE = SIZE / 4
"""Bytes per second: a file takes four seconds."""

THRESHOLD = {"heartbeat_period": 1, "heartbeat_threshold": 6}


@python_app
def turned(path, ledger, outputs=()):
    """Write the input's bytes, the last first, to the output."""
    with open(ledger, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
        file.write("ran\n")
    with open(path, "rb") as source:  # noqa: PTH123
        data = source.read()
    for output in outputs:
        with open(output, "wb") as target:  # noqa: PTH123
            target.write(data[::-1])
    return len(data)


@python_app
def small(number):
    return number


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = Node(tmp_path_factory.mktemp("node"))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def data():
    return os.urandom(MB) * (SIZE // MB)


@pytest.fixture
def load_on(load, node, tmp_path, monkeypatch):
    loaded = []

    def make(**settings):
        (tmp_path / "node").mkdir()
        dfk = load(
            LocalProvider(python=str(node.python)),
            address=node.address,
            working_dir=str(tmp_path / "node"),
            storage_access=[BuiltInStaging()],
            **{**THRESHOLD, "max_workers": 2, **settings},
        )
        loaded.append(dfk)
        assert small(0).result(60) == 0
        return dfk

    monkeypatch.chdir(tmp_path)
    yield make
    node.limit_rate(None)
    for dfk in loaded:
        dfk.cleanup()
    node.inside("iptables", "-F")


def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def partial_files(folder):
    return [path for path in folder.rglob("*.part") if path.is_file()]


def test_file_arrives_whole_both_ways_through_lost_packets_cut_connections_and_a_killed_interchange(
    load_on, node, tmp_path, data, processes
):
    (tmp_path / "in").write_bytes(data)
    dfk = load_on()
    faults = [node.reset, lambda: _kill_interchange(processes), node.reset]
    node.limit_rate(RATE)
    node.drop(0.005)
    before, resting = carried(node), memory()
    future = turned(File("in"), str(tmp_path / "ledger"), outputs=[File("sub/out")])
    highest, slowest = 0, 0.0
    while not future.done():
        begin = time.monotonic()
        assert small(1).result(60) == 1
        slowest = max(slowest, time.monotonic() - begin)
        highest = max(highest, memory())
        if faults and carried(node) - before > SIZE / 4 * (4 - len(faults)):
            faults.pop(0)()
        time.sleep(0.05)
    assert future.result() == SIZE
    assert (tmp_path / "sub/out").read_bytes() == data[::-1]
    assert (tmp_path / "ledger").read_text() == "ran\n"
    assert not faults
    assert carried(node) - before < 1.6 * SIZE
    assert highest - resting < 80 * MB
    assert slowest < 30
    assert Path(future.outputs[0].result().filepath).samefile(tmp_path / "sub/out")
    dfk.cleanup()
    assert not partial_files(tmp_path)


def test_task_runs_again_if_its_manager_is_killed_while_its_output_travels(load_on, node, tmp_path, data, processes):
    (tmp_path / "in").write_bytes(data)
    load_on(config={"retries": 1})
    future = turned(File("in"), str(tmp_path / "ledger"), outputs=[File("out")])
    wait_until((tmp_path / "ledger").exists)
    node.limit_rate(RATE)
    wait_until(lambda: partial_files(tmp_path) or future.done())
    assert not future.done()
    assert not future.outputs[0].done()
    for pid in node.pids():
        processes.kill(pid)
    node.limit_rate(None)
    assert future.result(120) == SIZE
    assert (tmp_path / "out").read_bytes() == data[::-1]
    assert (tmp_path / "ledger").read_text() == "ran\nran\n"


def test_cancelled_task_and_the_end_of_a_run_leave_no_part_of_an_output(load_on, node, tmp_path, data):
    (tmp_path / "in").write_bytes(data)
    dfk = load_on()
    first, second = (turned(File("in"), str(tmp_path / f"ledger{n}"), outputs=[File(f"out{n}/file")]) for n in range(2))
    wait_until(lambda: all((tmp_path / f"ledger{n}").exists() for n in range(2)))
    node.limit_rate(RATE)
    wait_until(lambda: len(partial_files(tmp_path)) == 2 or first.done() or second.done())
    assert first.cancel()
    wait_until(lambda: len(partial_files(tmp_path)) < 2)
    threading.Thread(target=dfk.cleanup).start()
    assert second.outputs[0].exception(60) is not None
    wait_until(lambda: not partial_files(tmp_path))
    assert not (tmp_path / "out0/file").exists()


def test_file_that_is_changed_while_it_travels_and_a_full_disk_fail_with_words(load_on, node, tmp_path, data):
    (tmp_path / "in").write_bytes(data)
    (tmp_path / "small").write_bytes(data[: 8 * MB])
    load_on()
    (tmp_path / "full").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", tmp_path / "full"], check=True)
    try:
        full = turned(File("small"), str(tmp_path / "ledger"), outputs=[File("full/out")])
        with pytest.raises(StagingError, match=r"full/out cannot be written in the driver: .*No space left on device"):
            full.result(60)
        assert not list((tmp_path / "full").iterdir())
    finally:
        subprocess.run(["umount", tmp_path / "full"], check=True)
    node.limit_rate(RATE)
    before = carried(node)
    future = turned(File("in"), str(tmp_path / "ledger"))
    wait_until(lambda: carried(node) - before > SIZE / 8)
    with (tmp_path / "in").open("ab") as file:
        file.write(b"more")
    with pytest.raises(StagingError, match="was changed after it was passed to a task"):
        future.result(60)


def _kill_interchange(processes):
    (interchange,) = [pid for pid in processes.children() if "cnflow.interchange" in processes.command(pid)]
    processes.kill(interchange, signal.SIGKILL)
