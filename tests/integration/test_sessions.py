"""Both links of the connection between manager and interchange, with real sockets and a peer that a test plays."""

import time

import msgspec
import pytest

from cnflow.interchange.manager_link import ManagerLink
from cnflow.manager.interchange_link import InterchangeLink
from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.model.manager_settings import PROTOCOL, ManagerSettings
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.manager_messages import ManagerInfo
from cnflow.wire.session import Session, identity_of, new_identity

INFO = ManagerInfo(PROTOCOL, "0.1.0", "3.11", "host", "0", "", 1, 1)
A = b"manager-a"
WAIT = 10_000
"""Milliseconds."""


class Interchange:
    """A `ManagerLink`, and what it has passed on."""

    def __init__(self):
        self.link = ManagerLink(
            InterchangeSettings(session="00" * 8, folder="", manager_endpoint="tcp://127.0.0.1", heartbeat_period=1)
        )
        self.messages = []
        self._poller = sockets.Poller()
        for source in self.link.sources:
            self._poller.register(source, sockets.READABLE)

    def turn(self):
        """Wait for messages, and handle them and those that follow at once; return them, without heartbeats."""
        before, wait = len(self.messages), WAIT
        while ready := dict(self._poller.poll(wait)):
            self.link.receive(ready, self._handle, 0.0)
            wait = 200
        return [message for _, message in self.messages[before:]]

    def _handle(self, manager, message, attached, now):
        if not isinstance(message, msg.Heartbeat):
            self.messages.append((manager, message))
        return []


class Peer:
    """A manager's DEALER and session."""

    def __init__(self, context, port, identity=A):
        self.dealer = sockets.connect_dealer(context, f"tcp://127.0.0.1:{port}", identity)
        self.session = Session(new_identity())

    def send(self, *messages):
        for message in messages:
            self.dealer.send(self.session.send([msg.encode(message)]))

    def receive(self):
        """Wait for messages of this peer's session, and return them and those that follow at once; send what is due."""
        found, wait = [], WAIT
        while self.dealer.raw.poll(wait):
            wait = 200
            for frames in self.dealer.receive():
                payload = self.session.on_received(frames)
                if payload is not None:
                    found.append(msg.decode_to_manager(payload[0]))
        self.send_due()
        return found

    def send_due(self):
        for frames in self.session.take_due():
            self.dealer.send(frames)


@pytest.fixture
def interchange():
    made = Interchange()
    yield made
    made.link.close()


@pytest.fixture
def connect(interchange):
    context, peers = sockets.new_context(), []

    def make(identity=A):
        peers.append(Peer(context, interchange.link.port, identity))
        return peers[-1]

    yield make
    for peer in peers:
        peer.dealer.close()
    context.term()


def test_message_of_an_unknown_session_requests_a_new_one(interchange, connect):
    peer = connect()
    peer.session.send([b"lost"])
    peer.send(msg.Done(1, []))
    assert interchange.turn() == []
    assert peer.receive() == [msg.RegisterAgain()]
    peer.session = Session(new_identity())
    peer.send(msg.Register(INFO), msg.Done(1, []))
    assert interchange.turn() == [msg.Register(INFO), msg.Done(1, [])]


def test_rest_of_a_connection_that_was_taken_over_begins_no_session(interchange, connect):
    """ZeroMQ passes it on with a routing id of its own, as it gives one to a peer without any."""
    rest = connect(b"")
    rest.send(msg.Register(INFO))
    assert interchange.turn() == []
    assert not rest.dealer.raw.poll(200)


def test_session_begins_with_register_only(interchange, connect):
    peer = connect()
    peer.send(msg.Done(1, []))
    assert interchange.turn() == []
    assert not peer.dealer.raw.poll(200)


def test_newest_connection_of_a_manager_takes_over_and_the_session_goes_on(interchange, connect):
    old = connect()
    old.send(msg.Register(INFO))
    interchange.turn()
    new = connect()
    new.session = old.session
    new.session.send([msg.encode(msg.Draining("lost on the old connection"))])
    interchange.link.send(A, msg.Drain("0"))  # goes to the old connection
    new.session.on_connected()
    new.send_due()
    interchange.turn()
    assert new.receive() == [msg.Drain("0")]
    assert interchange.turn() == [msg.Draining("lost on the old connection")]


def test_late_message_of_a_replaced_session_begins_none(interchange, connect):
    peer = connect()
    first = peer.session.send([msg.encode(msg.Register(INFO))])
    peer.dealer.send(first)
    interchange.turn()
    peer.session = Session(new_identity())
    peer.send(msg.Register(INFO, {1: 0}))
    interchange.turn()
    peer.dealer.send(first)
    peer.send(msg.Done(1, []))
    assert interchange.turn() == [msg.Done(1, [])]


def test_message_is_acknowledged_when_the_driver_has_what_it_led_to(interchange, connect):
    peer = connect()
    peer.send(msg.Register(INFO), msg.Done(1, []))
    interchange.turn()
    interchange.link.on_forwarded(7)
    interchange.link.on_delivered(6)
    interchange.link.send(A, msg.Heartbeat())
    peer.receive()
    assert peer.session.delivered == 0
    interchange.link.on_delivered(7)
    interchange.link.send(A, msg.Heartbeat())
    peer.receive()
    assert peer.session.delivered == 2


def test_manager_that_leaves_is_acknowledged_at_once_also_when_it_is_gone(interchange, connect):
    peer = connect()
    peer.send(msg.Register(INFO), msg.Leaving("drained"))
    interchange.turn()
    assert interchange.link.on_forwarded(1)
    interchange.link.on_manager_gone(A)
    interchange.link.on_delivered(1)
    assert peer.receive() == []
    assert peer.session.delivered == 2


def test_manager_of_an_earlier_protocol_is_refused_in_words_that_it_understands(interchange, connect):
    peer = connect()
    peer.dealer.send([msgspec.msgpack.encode(["Register", [13, "0.1.0", "3.11", "host", "0", "", 1, 1], []])])
    interchange.turn()
    assert peer.dealer.raw.poll(2000)
    ((head,),) = peer.dealer.receive()
    assert "the manager has protocol 13 (cnflow 0.1.0), and the driver protocol" in msg.decode_to_manager(head).reason


# The manager's link


class Manager:
    """An `InterchangeLink` with a clock that a test moves, and what it has passed on."""

    def __init__(self, port, **settings):
        self.now = 100.0
        self.poller = sockets.Poller()
        made = ManagerSettings(
            hosts=("127.0.0.1",),
            endpoint=f"tcp://{{host}}:{port}",
            executor="x",
            block="0",
            **{"heartbeat_period": 1.0, "heartbeat_threshold": 6.0, **settings},
        )
        self.link = InterchangeLink(made, A, self.poller, self.now)
        self.messages = []
        self.link.open()

    def turn(self):
        ready = dict(self.poller.poll(20))
        self.link.receive(ready, self._handle, self.now)
        self.link.on_tick(self.now)

    def _handle(self, message, attached, now):
        self.messages.append(message)
        if isinstance(message, msg.RegisterAgain):
            held = {result.id: result.attempt for result in self.link.unacknowledged_results()}
            self.link.begin_session(msg.Register(INFO, held), now)


class Router:
    """The interchange's ROUTER, whose session a test plays."""

    def __init__(self, context, port=None):
        self.socket, self.port = sockets.bind_router(context, "tcp://127.0.0.1", (port, port) if port else None)

    def receive(self, until, turn):
        """Frames of all messages until *until* of them is true."""
        found = []
        deadline = time.monotonic() + 10
        while not until(found):
            assert time.monotonic() < deadline, found
            turn()
            found += [frames for _, *frames in self.socket.receive()]
        return found


@pytest.fixture
def router():
    context = sockets.new_context()
    made = Router(context)
    yield made
    made.socket.close()
    context.term()


@pytest.fixture
def manager(router):
    made = Manager(router.port)
    yield made
    made.link.close(0.0)


def accept(router, manager):
    """Begin the session that the manager's first message names."""
    manager.link.send(msg.Register(INFO), (), manager.now)
    (first,) = router.receive(lambda found: found, manager.turn)
    session = Session(identity_of(first[0]))
    session.on_received(first)
    return session


def test_register_again_begins_a_session_with_the_results_that_are_not_acknowledged(router, manager):
    session = accept(router, manager)
    results = [msg.Result(n, 1, b"x", attempt=n) for n in (1, 2)]
    for result in results:
        manager.link.send(msg.Done(1, [result]), (), manager.now)
    manager.link.send(msg.Draining("x"), (), manager.now)
    assert manager.link.unacknowledged_results() == results
    for _ in range(2):  # a second request of the same session finds the next one begun
        router.socket.send([A, *session.send_unnumbered([msg.encode(msg.RegisterAgain())])])
    found = router.receive(lambda found: len(found) == 6, manager.turn)
    new = Session(identity_of(found[-1][0]))
    assert new.identity != session.identity
    ours = [frames for frames in found if frames[0].startswith(new.identity)]
    heads = [msg.decode_from_manager(new.on_received(frames)[0]) for frames in ours]
    assert heads == [msg.Register(INFO, {1: 1, 2: 2}), msg.Done(0, results[:1]), msg.Done(0, results[1:])]
    for _ in range(5):
        manager.turn()
    assert manager.messages == [msg.RegisterAgain()]
    assert not manager.link.failure


def test_silence_makes_the_manager_connect_again_and_resume(router, manager):
    session = accept(router, manager)
    manager.now += 2.1
    (beat,) = router.receive(lambda found: found, manager.turn)
    assert session.on_received(beat), "a heartbeat"

    def resumed(found):
        for frames in found:
            session.on_received(frames)
        return session.is_due

    router.receive(resumed, manager.turn)
    for frames in session.take_due():
        router.socket.send([A, *frames])
    manager.link.send(msg.Leaving("x"), (), manager.now)
    found = router.receive(lambda found: any(session.on_received(frames) for frames in found), manager.turn)
    assert found
    assert session.received == 2


def test_silence_for_the_threshold_is_a_failure_but_not_time_in_which_the_manager_did_not_run(router, manager):
    accept(router, manager)
    manager.now += 60.0
    manager.link.on_late(59.0)
    manager.link.on_tick(manager.now)
    assert not manager.link.failure
    manager.now += 5.0
    manager.link.on_tick(manager.now)
    assert manager.link.failure == "the interchange was silent for 6 s"


def test_refusal_of_an_interchange_without_sessions_is_understood(router, manager):
    accept(router, manager)
    router.socket.send([A, msg.encode(msg.Refused("other protocol"))])
    while not manager.messages:
        manager.turn()
    assert manager.messages == [msg.Refused("other protocol")]
