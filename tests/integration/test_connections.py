"""Addresses, ports and keys, with real sockets."""

import os
import socket
import time
from pathlib import Path

import pytest
import zmq

import cnflow
from cnflow import Config, python_app
from cnflow.addresses import addresses_of_this_machine, first_reachable
from cnflow.errors import BlockError, InterchangeLostError, SerializationError
from cnflow.executors import HighThroughputExecutor
from cnflow.ids import BlockId
from cnflow.model.manager_settings import PROTOCOL
from cnflow.providers import LocalProvider
from cnflow.wire import manager_messages, serialization, sockets
from cnflow.wire import messages as msg
from cnflow.wire.keys import Keyring
from cnflow.wire.session import Session, new_identity


@python_app
def add(a, b):
    return a + b


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_with(tmp_path, adoptable_for=0, retries=0, **settings):
    executor = HighThroughputExecutor(max_workers=1, **settings)
    return cnflow.load(
        Config(executors=[executor], run_dir=str(tmp_path), adoptable_for=adoptable_for, retries=retries)
    )


def outside_address():
    address = addresses_of_this_machine()[0]
    if address == "127.0.0.1":
        pytest.skip("This machine has no address but loopback. Run: ip addr add 192.0.2.7/32 dev lo")
    return address


def test_interchange_listens_in_the_given_port_range(tmp_path):
    port = free_port()
    with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port)):
        assert add(1, 2).result(30) == 3
        with socket.create_connection(("127.0.0.1", port), 5):
            pass


def test_error_names_a_port_range_without_a_free_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port)):
            error = add(1, 2).exception(30)
    assert isinstance(error, InterchangeLostError)
    assert f"No port from {port} to {port} is free" in str(error)


def test_tasks_run_over_an_encrypted_connection_beyond_loopback(tmp_path):
    with run_with(tmp_path, address=outside_address()):
        assert add(b"x" * 500_000, b"y").result(30) == b"x" * 500_000 + b"y"


def test_peer_without_a_key_of_the_run_gets_no_task_and_no_reply(tmp_path):
    port, address = free_port(), outside_address()
    with run_with(tmp_path, address=address, worker_port_range=(port, port)):
        assert add(1, 2).result(30) == 3
        context = sockets.new_context()
        own = sockets.new_key_pair()
        server = sockets.new_key_pair()[0]
        for curve in (None, (server, *own)):
            peer = sockets.connect_dealer(context, f"tcp://{address}:{port}", b"peer", curve)
            info = manager_messages.ManagerInfo(PROTOCOL, "0.1.0", "3.11", "evil", "0", "", 8, 1)
            peer.raw.send_multipart([msg.encode(msg.Register(info))])
            peer.raw.send_multipart([msg.encode(msg.Done(8, []))])
            assert [add(n, 1).result(30) for n in range(20)] == list(range(1, 21))
            assert peer.raw.poll(300) == 0, "the interchange replied to a peer without a key"
            peer.close()
        context.term()


def keys_of(dfk):
    """Public keys of the blocks, and the secret key, in the settings of the run's interchange."""
    made = dfk.executors["htex"]._client._make_settings("", 0)
    return made.blocks, made.secret_key


def test_each_block_has_its_own_key(tmp_path):
    provider = LocalProvider(init_blocks=2, min_blocks=2, max_blocks=2)
    with run_with(tmp_path, address="127.0.0.1", encrypted=True, provider=provider) as dfk:
        wait_until(lambda: dfk.executor_status()[0].managers == 2)
        assert len(set(keys_of(dfk)[0].values())) == 2


def test_key_of_a_block_is_admitted_until_the_block_is_gone(tmp_path):
    port = free_port()
    with run_with(tmp_path, address="127.0.0.1", encrypted=True, worker_port_range=(port, port)) as dfk:
        assert add(1, 2).result(30) == 3
        client, keys, log = dfk.executors["htex"]._client, keyring_of(dfk), dfk.run_dir / "htex" / "interchange.log"
        late = sockets.new_key_pair()
        context = sockets.new_context()

        peers = []

        def is_logged_after_a_message(words, since=0):
            """The interchange may read a peer's key before the order that comes first; so each try is another peer."""
            curve = (keys.server.public, *late)
            peers.append(sockets.connect_dealer(context, f"tcp://127.0.0.1:{port}", b"peer-%d" % len(peers), curve))
            peers[-1].send([b"malformed"])
            time.sleep(0.2)
            return words in log.read_text()[since:]

        client.order(msg.Admit("late", late[0]))
        wait_until(lambda: is_logged_after_a_message("malformed"))
        client.order(msg.BlockGone("late", "as a test"))
        before = len(log.read_text())
        wait_until(lambda: is_logged_after_a_message("rejected a connection from 127.0.0.1", before))
        for peer in peers:
            peer.close()
        context.term()


def test_rejected_peer_is_logged_and_no_key_is_on_disk_or_in_a_command_line(tmp_path):
    port = free_port()
    settings = {"address": "127.0.0.1", "encrypted": True, "worker_port_range": (port, port)}
    with run_with(tmp_path, **settings) as dfk:
        assert add(1, 2).result(30) == 3
        secrets = [keys_of(dfk)[1], *(pair.secret for pair in keyring_of(dfk)._blocks.values())]
        context = sockets.new_context()
        curve = (keyring_of(dfk).server.public, *sockets.new_key_pair())
        peer = sockets.connect_dealer(context, f"tcp://127.0.0.1:{port}", b"x", curve)
        log = dfk.run_dir / "htex" / "interchange.log"
        wait_until(lambda: "rejected a connection from 127.0.0.1" in log.read_text())
        peer.close()
        context.term()
        assert dfk.run_dir.stat().st_mode & 0o777 == 0o700
        assert len(secrets) == 2
        for place in [*(file for file in tmp_path.rglob("*") if file.is_file()), *own_processes()]:
            content = place.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], place
    assert "connections rejected: " in log.read_text()


def test_ledger_of_an_adoptable_run_is_the_only_file_with_a_secret_key_and_private(tmp_path):
    with run_with(tmp_path, adoptable_for=60, address="127.0.0.1", encrypted=True) as dfk:
        assert add(1, 2).result(30) == 3
        secrets = [keys_of(dfk)[1], *(pair.secret for pair in keyring_of(dfk)._blocks.values())]
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        found = [file for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]
        assert found == [dfk.run_dir / "ledger"]
        assert found[0].stat().st_mode & 0o777 == 0o600
    assert not found[0].exists()


def keyring_of(dfk):
    make = dfk.executors["htex"]._client._make_settings
    return next(cell.cell_contents for cell in make.__closure__ if isinstance(cell.cell_contents, Keyring))


def own_processes():
    """Command lines and environments of this process and its descendants."""
    found, todo = [], [str(os.getpid())]
    while todo:
        pid = todo.pop()
        found += [Path("/proc", pid, name) for name in ("cmdline", "environ")]
        for task in Path("/proc", pid, "task").iterdir():
            todo += (task / "children").read_text().split()
    return found


def test_oversized_result_fails_its_task_and_not_its_manager(tmp_path):
    with run_with(tmp_path, address="127.0.0.1", max_result_size=2**20) as dfk:
        error = add(b"x" * 2**20, b"y").exception(30)
        assert isinstance(error, SerializationError)
        assert "max_result_size" in str(error)
        assert len(add(b"x" * 2**19, b"y").result(30)) == 2**19 + 1
        assert dfk.executor_status()[0].managers == 1


def test_peer_that_sends_an_oversized_frame_is_disconnected(tmp_path):
    port = free_port()
    with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port), max_result_size=2**20):
        assert add(1, 2).result(30) == 3
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            raw.settimeout(20)
            # ZMTP 3.0 without a mechanism, then a READY command, then the header of a frame of 2**40 bytes.
            raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" + bytes(31))
            raw.sendall(bytes([4, len(READY)]) + READY)
            raw.sendall(b"\x02" + (2**40).to_bytes(8, "big") + b"x" * 1000)
            while raw.recv(1000):
                pass
        assert add(3, 4).result(30) == 7


READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_malformed_message_is_dropped_and_the_run_continues(tmp_path):
    port = free_port()
    with run_with(tmp_path, address="127.0.0.1", worker_port_range=(port, port)) as dfk:
        assert add(1, 2).result(30) == 3
        context = sockets.new_context()
        broken = sockets.connect_dealer(context, f"tcp://127.0.0.1:{port}", b"broken")
        for frames in ([b""], [b"garbage"], [b"\x93\xa4Done\x01\xc0"], [b"a", b"b", b"c"], [b"\xff" * 1000]):
            broken.raw.send_multipart(frames)
        assert [add(n, 1).result(30) for n in range(20)] == list(range(1, 21))
        broken.close()
        context.term()
        log = (dfk.run_dir / "htex" / "interchange.log").read_text()
    assert log.count("malformed") == 5


def test_manager_whose_numbered_message_is_unreadable_is_refused_and_its_tasks_run_elsewhere(tmp_path):
    port = free_port()
    with run_with(tmp_path, retries=1, address="127.0.0.1", worker_port_range=(port, port)) as dfk:
        assert add(1, 2).result(30) == 3
        context = sockets.new_context()
        broken = sockets.connect_dealer(context, f"tcp://127.0.0.1:{port}", b"broken")
        session = Session(new_identity())
        info = manager_messages.ManagerInfo(
            PROTOCOL, cnflow.__version__, serialization.MINOR, "h", BlockId("0"), "", 50, 0
        )
        broken.send(session.send([msg.encode(msg.Register(info))]))
        broken.send(session.send([msg.encode(msg.Done(50, []))]))
        wait_until(lambda: dfk.executors["htex"].connected_workers > 50)
        futures = [add(n, 1) for n in range(100)]
        wait_until(lambda: any(session.on_received(frames) for frames in broken.receive()))
        broken.send(session.send([b"garbage"]))
        assert [future.result(30) for future in futures] == list(range(1, 101))
        broken.close()
        context.term()


def test_unreachable_address_is_reported_with_all_that_were_tried(tmp_path):
    with run_with(tmp_path, address="192.0.2.1", heartbeat_period=0.5, heartbeat_threshold=1):
        error = add(1, 2).exception(30)
    assert isinstance(error, (BlockError, InterchangeLostError))
    assert "192.0.2.1" in str(error)


def test_first_address_that_accepts_is_taken_beside_silent_ones():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        begin = time.monotonic()
        found = first_reachable(["192.0.2.1", "127.0.0.1"], listening.getsockname()[1], 5)
        assert (found, time.monotonic() - begin < 2) == ("127.0.0.1", True)


def test_unknown_host_name_is_skipped():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert first_reachable(["no-such-host.invalid", "127.0.0.1"], listening.getsockname()[1], 5) == "127.0.0.1"


def test_zeromq_is_built_with_curve():
    assert zmq.has("curve")
