import socket

import pytest

from cnflow.ids import ManagerId
from cnflow.manager.errors import CannotListenError
from cnflow.manager.listener import Listener
from cnflow.model.listening_address import ListeningAddress
from cnflow.model.manager_settings import ListenSettings
from cnflow.wire import sockets

MANAGER = ManagerId(b"\xab" * 6)


@pytest.fixture
def context():
    made = sockets.new_context()
    yield made
    made.term()


@pytest.fixture
def opened(context):
    """Function that opens a listener; its sockets are closed at the end."""
    closed = []

    def open_(listener):
        control, monitor, bulk = listener.open(context, None)
        closed.extend([monitor, control, bulk])
        return control, bulk

    yield open_
    for each in closed:
        each.close()


def address_in(folder):
    (file,) = folder.iterdir()
    return ListeningAddress.from_json(file.read_bytes())


def listener_in(folder, **settings):
    return Listener(ListenSettings(folder=str(folder), **settings), "7", MANAGER)


def test_address_is_written_once_listening_and_removed_at_the_end(opened, tmp_path):
    listener = listener_in(tmp_path, interface="lo")
    opened(listener)
    address = address_in(tmp_path)
    assert (address.manager, address.block, address.hosts) == (MANAGER.hex(), "7", ("127.0.0.1",))
    for port in address.ports:
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
    listener.close()
    assert not list(tmp_path.iterdir())


def test_address_that_somebody_removed_is_written_again(opened, tmp_path):
    listener = listener_in(tmp_path, interface="lo")
    opened(listener)
    before = address_in(tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    listener.announce()
    assert address_in(tmp_path) == before


def test_loopback_is_named_only_by_a_node_without_another_address(opened, tmp_path):
    opened(listener_in(tmp_path))
    hosts = address_in(tmp_path).hosts
    assert hosts == ("127.0.0.1",) or "127.0.0.1" not in hosts


def test_interchange_connects_and_both_ends_can_send(context, opened, tmp_path, until):
    control, _ = opened(listener_in(tmp_path, interface="lo"))
    control.send([b"nobody hears this"])
    router, port = sockets.bind_router(context, "")
    assert port == 0
    endpoint = f"tcp://127.0.0.1:{address_in(tmp_path).ports[0]}"
    try:
        for number in range(3):
            router.connect(endpoint)
            until(lambda: _echo(router, control, b"%d" % number))  # noqa: B023 - called at once
            router.disconnect(endpoint)
    finally:
        router.close()


def _echo(router, control, text):
    control.send([text])
    received = [frames for frames in router.receive() if frames == [MANAGER, text]]
    if received:
        router.send([MANAGER, text])
        until_received = control.raw.poll(5000)
        assert until_received
        assert [text] in [list(frames) for frames in control.receive()]
    return bool(received)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"interface": "nosuch0"}, "the network interface 'nosuch0' of this node has no IPv4 address"),
        ({"folder": "/nosuch/folder", "interface": "lo"}, r"Set Listen\(folder=...\) to a folder that this node"),
    ],
)
def test_listener_that_cannot_be_found_says_why(opened, tmp_path, settings, words):
    listener = Listener(ListenSettings(**{"folder": str(tmp_path), **settings}), "7", MANAGER)
    with pytest.raises(CannotListenError, match=words):
        opened(listener)
