"""Addresses, ports and keys, with real sockets."""

import socket
import time

import pytest
import zmq

import cnflow
from cnflow import Config, python_app
from cnflow.addresses import addresses_of_this_machine, first_reachable
from cnflow.errors import BlockError, InterchangeLostError
from cnflow.executors import HighThroughputExecutor
from cnflow.model.settings import PROTOCOL
from cnflow.wire import managers, sockets
from cnflow.wire import messages as msg


@python_app
def add(a, b):
    return a + b


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_with(tmp_path, **settings):
    executor = HighThroughputExecutor(max_workers=1, **settings)
    return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path)))


def outside_address():
    address = addresses_of_this_machine()[0]
    if address == "127.0.0.1":
        pytest.skip("this machine has no address but loopback; give it one: ip addr add 192.0.2.7/32 dev lo")
    return address


def test_workers_connect_over_tcp_in_the_ports_that_were_given(tmp_path):
    port = free_port()
    with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port)):
        assert add(1, 2).result(30) == 3
        with socket.create_connection(("127.0.0.1", port), 5):
            pass


def test_a_port_range_that_is_taken_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port)):
            error = add(1, 2).exception(30)
    assert isinstance(error, InterchangeLostError)
    assert f"no port from {port} to {port} is free" in str(error)


def test_beyond_loopback_the_line_is_encrypted_and_works(tmp_path):
    with run_with(tmp_path, address=outside_address()):
        assert add(b"x" * 500_000, b"y").result(30) == b"x" * 500_000 + b"y"


def test_who_has_no_key_of_this_run_is_turned_away(tmp_path):
    port, address = free_port(), outside_address()
    with run_with(tmp_path, address=address, worker_port_range=(port, port)):
        assert add(1, 2).result(30) == 3
        context = sockets.context()
        own = sockets.new_key_pair()
        server = sockets.new_key_pair()[0]
        for curve in (None, (server, *own)):
            stranger = sockets.connect(context, f"tcp://{address}:{port}", b"stranger", curve)
            info = managers.ManagerInfo(PROTOCOL, "0.1.0", "3.11", "evil", "0", "", 8, 1)
            stranger.raw.send_multipart([msg.encode(msg.Register(info))])
            stranger.raw.send_multipart([msg.encode(msg.Done(8, []))])
            assert [add(n, 1).result(30) for n in range(20)] == list(range(1, 21))
            assert stranger.raw.poll(300) == 0, "a stranger was answered"
            stranger.close()
        context.term()


def test_a_malformed_message_is_dropped_and_the_run_goes_on(tmp_path):
    port = free_port()
    with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port)) as dfk:
        assert add(1, 2).result(30) == 3
        context = sockets.context()
        broken = sockets.connect(context, f"tcp://127.0.0.1:{port}", b"broken")
        for frames in ([b""], [b"garbage"], [b"\x93\xa4Done\x01\xc0"], [b"a", b"b", b"c"], [b"\xff" * 1000]):
            broken.raw.send_multipart(frames)
        assert [add(n, 1).result(30) for n in range(20)] == list(range(1, 21))
        broken.close()
        context.term()
        log = (dfk.run_dir / "htex" / "interchange.log").read_text()
    assert log.count("malformed") == 5


def test_an_address_where_nobody_answers_is_reported_with_what_was_tried(tmp_path):
    with run_with(tmp_path, address="192.0.2.1", heartbeat_period=0.5, heartbeat_threshold=1):
        error = add(1, 2).exception(30)
    assert isinstance(error, (BlockError, InterchangeLostError))
    assert "192.0.2.1" in str(error)


def test_the_first_address_that_answers_wins_however_many_are_silent():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        begin = time.monotonic()
        found = first_reachable(["192.0.2.1", "127.0.0.1"], listening.getsockname()[1], 5)
        assert (found, time.monotonic() - begin < 2) == ("127.0.0.1", True)


def test_a_name_that_nobody_knows_is_passed_over():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert first_reachable(["no-such-host.invalid", "127.0.0.1"], listening.getsockname()[1], 5) == "127.0.0.1"


def test_curve_is_in_this_build_of_zeromq():
    assert zmq.has("curve")
