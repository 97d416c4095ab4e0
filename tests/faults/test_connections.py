"""Connections between manager and interchange that break and are made anew: no task is lost, and none runs twice."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cnflow import python_app
from cnflow.executors.high_throughput.interchange_start import InterchangeStarter
from cnflow.providers import LocalProvider
from tests.namespaces import Node
from tests.tunnel import Tunnel

pytestmark = pytest.mark.timeout(120)

PERIOD, THRESHOLD = 1.0, 6.0


@pytest.fixture
def tunnels(monkeypatch):
    """Tunnels through which the managers of the runs of a test connect, in the order of the runs."""
    made, start = [], InterchangeStarter.start

    def start_behind_tunnel(self, hosts, keys, owner):
        start(self, hosts, keys, owner)
        made.append(Tunnel(self._client.port))
        return f"tcp://{{host}}:{made[-1].port}"

    monkeypatch.setattr(InterchangeStarter, "start", start_behind_tunnel)
    yield made
    for tunnel in made:
        tunnel.close()


@pytest.fixture(params=["plain", "encrypted"])
def load_behind_tunnel(load, tunnels, request):
    """Loads a run of one worker whose manager connects through a tunnel; returns it after its first task."""

    def make(**settings):
        return load(
            address="127.0.0.1",
            encrypted=request.param == "encrypted",
            heartbeat_period=PERIOD,
            heartbeat_threshold=THRESHOLD,
            **settings,
        )

    return make


def the_manager(dfk):
    (manager,) = dfk.executors["htex"].connected_managers()
    return manager["manager"]


def assert_done(futures, dfk, timeout=40):
    """Wait for *futures*; name those that are not done, and what the interchange says, instead of a bare timeout."""
    deadline = time.monotonic() + timeout
    while (missing := [n for n, future in enumerate(futures) if not future.done()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not missing, f"{len(missing)} of {len(futures)} are not done: {dfk.executors['htex'].connected_managers()}"
    return [future.result() for future in futures]


def test_tasks_and_results_that_were_on_their_way_when_the_connection_broke_arrive(load_behind_tunnel, tunnels, ledger):
    with load_behind_tunnel(prefetch=0) as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        (tunnel,) = tunnels
        tunnel.is_down = True
        futures = [ledger.app(n, 0.3) for n in range(1, 9)]
        time.sleep(0.5)  # the first runs
        tunnel.cut()
        time.sleep(1.0)  # it ends while nobody can be sent its result; far less than the threshold
        tunnel.is_down = False
        assert {parent for _, _, parent in assert_done(futures, dfk)} == {manager}
    assert ledger.runs() == dict.fromkeys(range(9), 1)


def test_connection_that_is_reset_again_and_again_loses_none_of_many_tasks(load_behind_tunnel, tunnels, ledger):
    with load_behind_tunnel() as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        (tunnel,) = tunnels
        futures, is_over = [], threading.Event()

        def cut_repeatedly():
            while not is_over.wait(0.4):
                tunnel.cut()

        cutter = threading.Thread(target=cut_repeatedly)
        cutter.start()
        try:
            for number in range(1, 3001):
                futures.append(ledger.app(number, 0))
                time.sleep(0.0005)
            results = assert_done(futures, dfk)
        finally:
            is_over.set()
            cutter.join()
        assert tunnel.count > 4
        assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(3001), 1)


def test_connection_that_is_forgotten_at_the_managers_side_alone_is_made_anew(load_behind_tunnel, tunnels, ledger):
    """The interchange still has the old connection when the second one of the same manager comes."""
    with load_behind_tunnel() as dfk:
        ledger.app(0, 0).result(30)
        before = the_manager(dfk)
        tunnels[0].cut(both=False)
        assert assert_done([ledger.app(1, 0)], dfk, THRESHOLD / 2)
        assert the_manager(dfk) == before
    assert ledger.runs() == {0: 1, 1: 1}


def test_connection_that_stands_still_is_replaced_before_the_threshold(load_behind_tunnel, tunnels, ledger):
    """Half-open: no end hears of it, and TCP would try for a quarter of an hour."""
    with load_behind_tunnel() as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        before = tunnels[0].count
        tunnels[0].stall()
        futures = [ledger.app(n, 0) for n in range(1, 50)]
        assert {parent for _, _, parent in assert_done(futures, dfk, THRESHOLD)} == {manager}
        assert tunnels[0].count > before
    assert ledger.runs() == dict.fromkeys(range(50), 1)


def test_bytes_of_an_earlier_connection_that_come_late_do_no_harm(load_behind_tunnel, tunnels, ledger):
    with load_behind_tunnel() as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        (tunnel,) = tunnels
        futures = [ledger.app(n, 0.01) for n in range(1, 60)]
        time.sleep(0.2)
        tunnel.stall()
        results = assert_done(futures, dfk, THRESHOLD + 2)
        tunnel.release()
        results += assert_done([ledger.app(n, 0) for n in range(60, 100)], dfk)
        assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(100), 1)


def test_interchange_that_is_stopped_for_less_than_the_threshold_loses_nobody(load_behind_tunnel, ledger):
    with load_behind_tunnel() as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.05) for n in range(1, 60)]
        interchange = dfk.executors["htex"]._client._connection._process.pid
        os.kill(interchange, signal.SIGSTOP)
        time.sleep(THRESHOLD * 0.4)  # longer than it takes the manager to search for another way; not yet replaced
        os.kill(interchange, signal.SIGCONT)
        assert {parent for _, _, parent in assert_done(futures, dfk)} == {manager}
    assert ledger.runs() == dict.fromkeys(range(60), 1)


def test_manager_that_is_stopped_for_less_than_the_threshold_is_kept(load_behind_tunnel, ledger):
    with load_behind_tunnel() as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        futures = [ledger.app(n, 0.05) for n in range(1, 40)]
        os.kill(manager, signal.SIGSTOP)
        time.sleep(THRESHOLD * 0.7)
        os.kill(manager, signal.SIGCONT)
        assert {parent for _, _, parent in assert_done(futures, dfk)} == {manager}
    assert ledger.runs() == dict.fromkeys(range(40), 1)


@python_app
def large(path, number):
    import time
    from pathlib import Path

    while not Path(path + "-gate").exists():
        time.sleep(0.01)
    with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
        file.write(f"{number}\n")
    return bytes(300_000)


def test_results_that_the_driver_does_not_have_are_not_lost_with_the_interchange(load_behind_tunnel, ledger, until):
    """The interchange has them when it is killed: the driver does not read, and its socket takes less."""
    with load_behind_tunnel(prefetch=20) as dfk:
        ledger.app(0, 0).result(30)
        client = dfk.executors["htex"]._client
        futures = [large(str(ledger.path), n) for n in range(1, 21)]
        until(lambda: dfk.executors["htex"].connected_managers()[0]["tasks"] == 20)
        with client._write_lock:
            ledger.path.with_name(ledger.path.name + "-gate").touch()
            until(lambda: len(ledger.runs()) == 21)
            time.sleep(0.5)  # the last results leave the manager
            os.kill(client._connection._process.pid, signal.SIGKILL)
        assert_done(futures, dfk)
    assert ledger.runs() == dict.fromkeys(range(21), 1)


def test_manager_that_leaves_waits_for_its_results_to_arrive_and_not_for_a_heartbeat(load, ledger, until, processes):
    with load(heartbeat_period=30, heartbeat_threshold=120, drain_period=2):
        _, _, manager = ledger.app(0, 0.1).result(30)
        until(lambda: not processes.is_running(manager), timeout=12)
        assert ledger.app(1, 0).result(30)[0] == 1, "a new block is started"


SCRIPT = """\
import os, sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

@python_app
def parent(number):
    import os
    return os.getppid()

executor = HighThroughputExecutor(provider=LocalProvider(), max_workers=1, heartbeat_period=0.5, heartbeat_threshold=2)
with cnflow.load(Config(executors=[executor])) as dfk:
    manager = parent(0).result(60)
    process = lambda: dfk.executors["htex"]._client._connection._process.pid
    interchange = process()
    print(os.getpid(), interchange, manager, flush=True)
    sys.stdin.readline()
    assert {parent(n).result(60) for n in range(50)} == {manager}
    assert process() == interchange
    print("done", flush=True)
"""


@pytest.mark.parametrize("turn", [1, -1], ids=["driver continues first", "manager continues first"])
def test_machine_that_slept_for_many_thresholds_loses_nobody(tmp_path, turn):
    """Driver, interchange and manager are suspended together, as when a laptop is closed."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        pids = [int(pid) for pid in script.stdout.readline().split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(7)
        for pid in pids[::turn]:
            os.kill(pid, signal.SIGCONT)
        assert script.communicate("\n", timeout=90)[0] == "done\n"
        assert script.returncode == 0


# In a network namespace


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def load_on(load, node):
    def make(**settings):
        timing = {"heartbeat_period": PERIOD, "heartbeat_threshold": THRESHOLD}
        return load(LocalProvider(python=str(node.python)), **{"address": node.address, **timing, **settings})

    return make


@pytest.mark.root
@pytest.mark.parametrize("fault", ["forget", "reset", "reset one end", "change the address"])
def test_manager_finds_its_way_after_a_fault_of_the_network(load_on, ledger, node, fault):
    address = node.host if fault == "change the address" else node.address
    with load_on(address=address) as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        futures = [ledger.app(n, 0.1) for n in range(1, 60)]
        time.sleep(0.5)
        if fault == "forget":
            node.forget()
        elif fault == "change the address":
            node.change_address()
        else:
            node.reset(both=fault == "reset")
        assert {parent for _, _, parent in assert_done(futures, dfk)} == {manager}
    assert ledger.runs() == dict.fromkeys(range(60), 1)
