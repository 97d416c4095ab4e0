"""A network that is cut or loses packets: the manager runs in a network namespace behind a virtual cable."""

import time

import pytest

from cnflow.config import LocalProvider
from tests.namespaces import Node

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def load_on(load, node):
    def make(**settings):
        return load(LocalProvider(python=str(node.python)), address=node.address, **settings)

    return make


def managers(dfk):
    return dfk.executor_status()[0].managers


def test_cut_shorter_than_the_threshold_loses_no_manager(load_on, ledger, node):
    with load_on(heartbeat_period=1, heartbeat_threshold=10) as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        futures = [ledger.app(n, 0.2) for n in range(1, 12)]
        node.cut()
        time.sleep(1.5)
        assert not all(future.done() for future in futures), "results arrived through the cut"
        node.reconnect()
        results = [future.result(60) for future in futures]
        assert managers(dfk) == 1
    assert [number for number, _, _ in results] == list(range(1, 12))
    assert {parent for _, _, parent in results} == {manager}
    assert ledger.runs() == dict.fromkeys(range(12), 1)


def test_tasks_run_again_on_a_new_manager_after_a_longer_cut(load_on, ledger, node, until):
    with load_on() as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        futures = [ledger.app(n, 0.4) for n in range(1, 12)]
        node.cut()
        until(lambda: managers(dfk) == 0)
        node.reconnect()
        results = [future.result(60) for future in futures]
    assert [number for number, _, _ in results] == list(range(1, 12))
    assert manager not in {parent for _, _, parent in results[1:]}


def test_late_results_of_a_lost_node_are_dropped(load_on, ledger, node, until, processes):
    with load_on(config={"retries": 0}) as dfk:
        _, _, manager = ledger.app(0, 0).result(60)
        future = ledger.app(1, 0.5)
        time.sleep(0.2)
        node.silence()
        until(lambda: managers(dfk) == 0)
        until(lambda: ledger.runs().get(1, 0) >= 1)  # it finished there, and its result is on its way
        node.unsilence()
        number, _, parent = future.result(60)
        until(lambda: not processes.is_running(manager))
        assert ledger.app(2, 0).result(60)[0] == 2
    assert (number, parent != manager) == (1, True)
    assert ledger.runs()[1] == 2, "the task was not run again"


def test_packet_loss_costs_only_time(load_on, ledger, node):
    node.drop(0.15)
    with load_on(heartbeat_period=2, heartbeat_threshold=30) as dfk:
        futures = [ledger.app(n, 0) for n in range(300)]
        assert [future.result(90)[0] for future in futures] == list(range(300))
        assert managers(dfk) == 1
    assert ledger.runs() == dict.fromkeys(range(300), 1)
