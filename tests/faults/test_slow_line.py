"""Large arguments and results over a slow line: control messages and small tasks pass, whatever breaks meanwhile.

The manager runs in a network namespace whose line carries few bytes a second. `make slow-line` sends 2 GB.
"""

import hashlib
import os
import pickle
import signal
import statistics
import time
from pathlib import Path

import pytest

from cnflow import python_app
from cnflow.config import LocalProvider
from tests.namespaces import Node

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

MB = 10**6
THRESHOLD = {"heartbeat_period": 1, "heartbeat_threshold": 6}
ARGUMENT = int(os.environ.get("CNFLOW_SLOW_LINE_MB", "200")) * MB


@python_app
def digest_of(data, *rest):
    import hashlib

    return hashlib.sha256(data).hexdigest(), len(rest)


@python_app
def pattern(size, path=""):
    if path:
        with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
            file.write("ran\n")
    return bytes(range(256)) * (size // 256)


@python_app
def small(number):
    return number


class Array:
    """Pickled with its content out of band, as NumPy arrays are."""

    def __init__(self, content):
        self.content = content

    def __reduce_ex__(self, protocol):
        return bytes, (pickle.PickleBuffer(self.content),)


def noise(size):
    return os.urandom(MB) * (size // MB)


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def load_on(load, node):
    def make(rate, **settings):
        dfk = load(
            LocalProvider(python=str(node.python)),
            address=node.address,
            **{**THRESHOLD, "max_workers": 2, "share_memory": False, **settings},
        )
        small(0).result(60)
        if rate:
            node.limit_rate(rate)
        return dfk

    return make


def latencies_until(future, pause=0.02):
    """Round trips of small tasks, one after the other, until *future* is done."""
    found = []
    while not future.done():
        begin = time.monotonic()
        assert small(len(found)).result(60) == len(found)
        found.append(time.monotonic() - begin)
        time.sleep(pause)
    return found


def quantile(latencies, share):
    return sorted(latencies)[int(len(latencies) * share)]


def describe(latencies):
    p50, p90, p99 = (quantile(latencies, share) for share in (0.5, 0.9, 0.99))
    return f"{len(latencies)} small tasks: p50 {p50:.3f} s, p90 {p90:.3f} s, p99 {p99:.3f} s, most {max(latencies):.3f}"


def carried(node):
    """Bytes that the cable has carried to the node."""
    return int(Path(f"/sys/class/net/{node.cable}/statistics/tx_bytes").read_text())


def logs(tmp_path, name):
    return "\n".join(file.read_text() for file in (tmp_path / "runinfo").rglob(name))


def blocks(dfk):
    return dfk.executors["htex"].connected_blocks()


def assert_nothing_is_left(dfk, tmp_path):
    """Nobody keeps a blob that no task needs."""
    assert len(dfk.executors["htex"]._bulk) == 0
    dfk.cleanup()
    assert "were left" not in logs(tmp_path, "interchange.log")
    assert "were left" not in logs(tmp_path, "block-*.log")


def test_small_tasks_and_heartbeats_pass_while_a_large_argument_travels(load_on, node, tmp_path):
    dfk = load_on(10 * MB)
    data = noise(ARGUMENT)
    expected = hashlib.sha256(data).hexdigest()
    begin = time.monotonic()
    future = digest_of(data)
    found = latencies_until(future)
    seconds = time.monotonic() - begin
    print(f"{ARGUMENT / MB:.0f} MB in {seconds:.1f} s; {describe(found)}")  # noqa: T201 - figures of the report
    assert future.result() == (expected, 0)
    assert seconds > ARGUMENT / (12 * MB), "the line is not as slow as it should be"
    assert seconds < ARGUMENT / (5 * MB) + 10
    assert statistics.median(found) < 0.05, describe(found)
    assert quantile(found, 0.9) < 0.1, describe(found)
    assert quantile(found, 0.99) < 0.25, describe(found)
    assert blocks(dfk) == ["0"]
    assert_nothing_is_left(dfk, tmp_path)


def test_result_that_travels_for_longer_than_the_threshold_arrives(load_on, tmp_path):
    dfk = load_on(1 * MB)
    future = pattern(16 * MB, str(tmp_path / "ledger"))
    found = latencies_until(future)
    assert future.result() == bytes(range(256)) * (16 * MB // 256)
    assert (tmp_path / "ledger").read_text() == "ran\n"
    assert statistics.median(found) < 0.2, describe(found)
    assert blocks(dfk) == ["0"]
    assert_nothing_is_left(dfk, tmp_path)


def test_argument_of_many_tasks_does_not_travel_for_each(load_on, node, tmp_path):
    dfk = load_on(None)
    data = noise(20 * MB)
    before = carried(node)
    results = [future.result(120) for future in [digest_of(Array(data), n) for n in range(40)]]
    assert set(results) == {(hashlib.sha256(data).hexdigest(), 1)}
    assert digest_of(Array(data)).result(60)[1] == 0, "and again, after all of them have ended"
    # A second time if the first task had ended before the second was submitted: nothing was compared until then.
    assert carried(node) - before < 2.5 * len(data)
    assert_nothing_is_left(dfk, tmp_path)


@pytest.mark.parametrize("fault", ["reset", pytest.param("forget", marks=pytest.mark.long), "interchange"])
def test_fault_in_the_middle_of_an_argument_costs_no_more_than_what_was_on_its_way(
    load_on, node, tmp_path, processes, fault
):
    dfk = load_on(5 * MB)
    data = noise(40 * MB)
    before = carried(node)
    future = digest_of(data)
    _wait_for(lambda: carried(node) - before > 10 * MB)
    _break(node, processes, fault)
    assert future.result(120) == (hashlib.sha256(data).hexdigest(), 0)
    assert carried(node) - before < 60 * MB
    assert blocks(dfk) == ["0"]
    assert_nothing_is_left(dfk, tmp_path)


@pytest.mark.parametrize("fault", ["reset", pytest.param("forget", marks=pytest.mark.long), "interchange"])
def test_fault_in_the_middle_of_a_result_runs_nothing_again(load_on, node, tmp_path, processes, fault):
    dfk = load_on(5 * MB)
    future = pattern(40 * MB, str(tmp_path / "ledger"))
    _wait_for((tmp_path / "ledger").exists)
    time.sleep(3)
    assert not future.done()
    _break(node, processes, fault)
    assert future.result(120) == bytes(range(256)) * (40 * MB // 256)
    assert (tmp_path / "ledger").read_text() == "ran\n"
    assert blocks(dfk) == ["0"]
    assert_nothing_is_left(dfk, tmp_path)


def test_task_runs_again_if_its_manager_is_killed_while_its_result_travels(load_on, node, tmp_path, processes):
    dfk = load_on(5 * MB, config={"retries": 1})
    future = pattern(40 * MB, str(tmp_path / "ledger"))
    _wait_for((tmp_path / "ledger").exists)
    time.sleep(3)
    assert not future.done()
    for pid in node.pids():
        processes.kill(pid)
    assert future.result(120) == bytes(range(256)) * (40 * MB // 256)
    assert (tmp_path / "ledger").read_text() == "ran\nran\n"
    assert_nothing_is_left(dfk, tmp_path)


def test_cancelled_task_stops_the_travel_of_its_argument(load_on, node, tmp_path):
    dfk = load_on(5 * MB)
    before = carried(node)
    future = digest_of(noise(100 * MB))
    _wait_for(lambda: carried(node) - before > 10 * MB)
    assert future.cancel()
    _wait_for(future.done)
    time.sleep(2)  # what is on its way arrives
    after = carried(node)
    assert small(1).result(30) == 1
    time.sleep(2)
    assert carried(node) - after < MB
    assert_nothing_is_left(dfk, tmp_path)


def test_cancelled_task_stops_the_travel_of_its_result(load_on, node, tmp_path):
    dfk = load_on(5 * MB)
    future = pattern(100 * MB, str(tmp_path / "ledger"))
    _wait_for((tmp_path / "ledger").exists)
    time.sleep(3)
    assert not future.done()
    assert future.cancel()
    assert small(1).result(30) == 1
    assert_nothing_is_left(dfk, tmp_path)


def _break(node, processes, fault):
    if fault == "interchange":
        (interchange,) = [pid for pid in processes.children() if "cnflow.interchange" in processes.command(pid)]
        processes.kill(interchange, signal.SIGKILL)
    else:
        getattr(node, fault)()


def _wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
