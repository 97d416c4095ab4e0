"""A network that is cut or loses packets: the manager runs in a network namespace behind a virtual cable."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from cnflow.config import LocalProvider

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


class Node:
    """Network namespace with one end of a virtual cable; this machine has the other end."""

    def __init__(self, folder):
        self.name = f"cnf{os.getpid()}"
        net = f"10.213.{os.getpid() % 250}"
        self.address, self.cable = f"{net}.1", f"cnfa{os.getpid()}"
        far = f"cnfb{os.getpid()}"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", far, "netns", self.name)
        run("ip", "addr", "add", f"{self.address}/24", "dev", self.cable)
        run("ip", "link", "set", self.cable, "up")
        self.inside("ip", "addr", "add", f"{net}.2/24", "dev", far)
        self.inside("ip", "link", "set", far, "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.python = folder / "python"
        self.python.write_text(f'#!/bin/sh\nexec {shutil.which("ip")} netns exec {self.name} {sys.executable} "$@"\n')
        self.python.chmod(0o755)

    def inside(self, *command):
        run("ip", "netns", "exec", self.name, *command)

    def cut(self):
        run("ip", "link", "set", self.cable, "down")

    def reconnect(self):
        run("ip", "link", "set", self.cable, "up")

    def silence(self):
        """Drop all packets that the node sends; it still receives."""
        self.inside("iptables", "-I", "OUTPUT", "-j", "DROP")

    def unsilence(self):
        self.inside("iptables", "-D", "OUTPUT", "-j", "DROP")

    def drop(self, share):
        """Drop *share* of the packets, each way."""
        for chain in ("INPUT", "OUTPUT"):
            rule = ["-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP"]
            self.inside("iptables", "-A", chain, *rule)

    def remove(self):
        run("ip", "link", "del", self.cable)
        run("ip", "netns", "del", self.name)


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
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
