"""Managers that reach the interchange through a tunnel that somebody else keeps."""

import socket

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.executors import Tunnel as TunnelWay
from tests.tunnel import Tunnel


@python_app
def doubled(data):
    return data + data


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def tunnel(port):
    made = Tunnel(port)
    yield made
    made.close()


@pytest.fixture
def load(tmp_path, port):
    def make(near, **settings):
        way = TunnelWay(address=f"127.0.0.1:{near}")
        executor = HighThroughputExecutor(max_workers=1, way=way, worker_port_range=(port, port), **settings)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path)))

    return make


def test_tasks_run_through_a_tunnel_and_after_it_broke(load, tunnel):
    with load(tunnel.port, heartbeat_period=1, heartbeat_threshold=10):
        assert doubled(b"x" * 3_000_000).result(60) == b"x" * 6_000_000
        assert tunnel.count >= 2, "control messages and blobs"
        tunnel.cut()
        assert doubled("a").result(60) == "aa"


def test_tunnel_that_is_not_there_is_named(load, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        near = taken.getsockname()[1]
        with load(near, address_probe_timeout=0.3):
            error = doubled("a").exception(60)
    assert f"the near end of the tunnel, 127.0.0.1:{near} on this node, accepts no connection" in str(error)
    assert "let Tunnel(command=...) do that" in str(error)
