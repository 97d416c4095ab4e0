"""Runs whose managers connect over IPv6."""

import socket

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.addresses import is_own
from cnflow.executors import HighThroughputExecutor

pytestmark = pytest.mark.skipif(not is_own("::1"), reason="needs IPv6. Run: sysctl net.ipv6.conf.lo.disable_ipv6=0")


@python_app
def add(a, b):
    return a + b


def run_with(tmp_path, **settings):
    executor = HighThroughputExecutor(max_workers=1, **settings)
    return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path)))


def test_manager_connects_to_an_interchange_that_listens_on_ipv6_loopback_only(tmp_path):
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    with run_with(tmp_path, address="::1", worker_port_range=(port, port)):
        assert add(1, 2).result(60) == 3
        with socket.create_connection(("::1", port), 5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)


def test_manager_reports_the_addresses_that_it_tried_and_for_how_long(tmp_path):
    with run_with(tmp_path, address="2001:db8::1", address_probe_timeout=0.5):
        error = add(1, 2).exception(60)
    assert "answers at none of 2001:db8::1, port" in str(error)
    assert "within 0.5 s" in str(error)
