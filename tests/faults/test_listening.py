"""Managers that listen: the node's firewall lets no connection out, and faults hit the ones that come in."""

import socket
import time
from pathlib import Path

import pytest

from cnflow import python_app
from cnflow.config import LocalProvider
from cnflow.errors import BlockError
from cnflow.executors import DialIn, Listen
from tests.namespaces import Node

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    made.refuse_new_connections()
    yield made
    made.remove()


@pytest.fixture
def load_on(load, node):
    def make(**settings):
        timing = {"heartbeat_period": 1, "heartbeat_threshold": 6}
        return load(LocalProvider(python=str(node.python)), **{"way": Listen(), **timing, **settings})

    return make


@python_app
def doubled(data):
    return data + data


def managers(dfk):
    return dfk.executor_status()[0].managers


def test_manager_that_may_not_connect_says_which_way_to_choose(load_on, node):
    with load_on(way=DialIn(), address=node.address, address_probe_timeout=0.5):
        error = doubled(1).exception(60)
    assert isinstance(error, BlockError)
    assert f"the interchange answers at none of {node.address}" in str(error)
    assert "set way=Listen()" in str(error)


def test_large_arguments_and_results_travel_to_a_manager_that_listens(load_on, node, tmp_path):
    data = bytes(range(256)) * 80_000
    with load_on() as dfk:
        assert doubled(data).result(60) == data + data
        assert managers(dfk) == 1
        (file,) = tmp_path.glob("runinfo/*/htex/addresses/*.address")
        assert node.far_address in file.read_text()
    assert not list(tmp_path.glob("runinfo/*/htex/addresses"))


@pytest.mark.parametrize("fault", ["reset", "forget"])
def test_fault_of_connections_loses_and_doubles_nothing(load_on, ledger, node, until, fault):
    with load_on() as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        before = set(node.accepted())
        futures = [ledger.app(n, 0.1) for n in range(1, 30)]
        time.sleep(0.3)
        getattr(node, fault)()
        results = [future.result(60) for future in futures]
        assert managers(dfk) == 1
        until(lambda: len(set(node.accepted()) - before) == 2)
    assert [number for number, _, _ in results] == list(range(1, 30))
    assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(30), 1)


def test_large_result_survives_a_reset(load_on, node):
    with load_on():
        assert doubled(b"x").result(60) == b"xx"
        node.limit_rate(20e6)
        futures = [doubled(bytes([n]) * 5_000_000) for n in range(3)]
        time.sleep(0.5)
        node.reset()
        node.limit_rate(None)
        assert [future.result(60) for future in futures] == [bytes([n]) * 10_000_000 for n in range(3)]


def test_restarted_interchange_connects_to_managers_again(load_on, ledger, node, processes):
    with load_on() as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        futures = [ledger.app(n, 0.1) for n in range(1, 20)]
        time.sleep(0.3)
        processes.kill(dfk.executors["htex"]._client._connection._process.pid)
        results = [future.result(60) for future in futures]
        assert managers(dfk) == 1
    assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(20), 1)


def test_manager_whose_node_gets_another_address_is_found_again(load_on, ledger, node):
    with load_on() as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        futures = [ledger.app(n, 0.1) for n in range(1, 30)]
        time.sleep(0.3)
        node.change_far_address()
        results = [future.result(60) for future in futures]
        assert managers(dfk) == 1
    assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(30), 1)


def test_strangers_who_connect_to_a_manager_change_nothing(load_on, ledger, node):
    with load_on() as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        futures = [ledger.app(n, 0.05) for n in range(1, 20)]
        for _ in range(20):
            for port in node.listening():
                with socket.create_connection((node.far_address, port), 5) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        results = [future.result(60) for future in futures]
        assert managers(dfk) == 1
    assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(20), 1)


def test_ports_are_those_of_the_range(load_on, node):
    with load_on(way=Listen(ports=(45100, 45101), interface=node.far)):
        assert doubled(1).result(60) == 2
        assert node.listening() == [45100, 45101]


def test_range_of_which_a_port_is_taken_is_named(load_on, node):
    with node.taken_port(45111), load_on(way=Listen(ports=(45110, 45111))):
        error = doubled(1).exception(60)
    assert "No port from 45110 to 45111 is free" in str(error)
    assert "set a longer range in Listen(ports=...)" in str(error)


def test_manager_that_cannot_be_reached_is_named_with_its_addresses(load, node):
    node.drop_all_that_comes_in()
    provider = LocalProvider(python=str(node.python), startup_timeout=4)
    with load(provider, way=Listen(), heartbeat_period=5, heartbeat_threshold=30) as dfk:
        error = doubled(1).exception(60)
        log = (Path(dfk.run_dir) / "htex" / "interchange.log").read_text()
    assert isinstance(error, BlockError)
    assert f"the interchange gets no connection to any of {node.far_address}:" in str(error)
    assert f"the interchange gets no connection to any of {node.far_address}:" in log


def test_manager_that_nobody_connects_to_ends_itself(load, node, tmp_path):
    node.drop_all_that_comes_in()
    provider = LocalProvider(python=str(node.python))
    with load(provider, way=Listen(), heartbeat_period=0.5, heartbeat_threshold=2):
        error = doubled(1).exception(60)
    assert "no interchange has connected within 2 s to this manager, which listens at" in str(error)
