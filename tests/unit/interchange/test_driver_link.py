"""Stories of the interchange's end of the line to its driver."""

import socket

import pytest

from cnflow.ids import ManagerId
from cnflow.interchange import relay
from cnflow.interchange.driver_link import DriverLink
from cnflow.model import interchange_settings
from cnflow.model.interchange_settings import InterchangeSettings
from cnflow.wire import messages as msg
from cnflow.wire import session, sockets
from cnflow.wire.session_stream import SessionStream
from cnflow.wire.stream import Stream

SESSION = b"a driver"
PERIOD, THRESHOLD, GRACE = 2.0, 8.0, 50.0


def settings(grace=GRACE, folder=""):
    return InterchangeSettings(
        session=SESSION.hex(),
        folder=folder,
        most_spooled=10_000,
        manager_endpoint="",
        heartbeat_period=PERIOD,
        heartbeat_threshold=THRESHOLD,
        grace=grace,
    )


@pytest.fixture
def poller():
    return sockets.Poller()


@pytest.fixture
def driver():
    line = SessionStream(SESSION)
    yield line
    line.disconnect()


@pytest.fixture
def connect(driver, tmp_path):
    """Connects the driver with the link that listens."""

    def make():
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(tmp_path / "driver"))
        driver.disconnect()
        driver.connect(Stream(end), is_again=True)

    return make


@pytest.fixture
def link(poller, tmp_path):
    """Link that listens."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "driver"))
    listener.listen()
    made = DriverLink(settings(folder=str(tmp_path)), listener, poller, 0.0)
    yield made
    made.close()


def turn(link, poller, now):
    """Messages that the link yields in one or two turns of its loop."""
    return [found for _ in range(3) for found, _ in link.receive(dict(poller.poll(20)), now)]


def answers(driver):
    return [msg.decode_to_driver(head) for head, *_ in driver.receive()]


def test_child_is_over_when_its_socket_closes(poller, driver):
    ours, theirs = socket.socketpair()
    link = DriverLink(settings(grace=0.0), theirs, poller, 0.0)
    driver.connect(Stream(ours))
    driver.send([msg.encode(msg.Drain("0"))])
    assert turn(link, poller, 1.0) == [msg.Drain("0")]
    assert not link.is_over(1.0)
    driver.disconnect()
    assert turn(link, poller, 2.0) == []
    assert link.is_over(2.0)
    link.close()


def test_messages_from_before_the_first_connection_arrive(link, poller, driver, connect):
    link.send(msg.Bound(5))
    connect()
    assert turn(link, poller, 1.0) == []
    assert answers(driver) == [msg.Bound(5)]


def test_driver_that_does_not_connect_again_is_over_after_the_grace(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    driver.disconnect()
    turn(link, poller, 10.0)
    assert not link.is_over(10.0 + GRACE - 1)
    assert link.is_over(10.0 + GRACE)


def test_driver_that_never_connects_is_over_after_the_grace(link):
    assert not link.is_over(GRACE - 1)
    assert link.is_over(GRACE)


def test_driver_that_connects_again_gets_what_was_sent_meanwhile(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    driver.session.on_disconnected()
    driver.disconnect()
    driver.send([msg.encode(msg.Drain("1"))])
    turn(link, poller, 10.0)
    link.send(msg.Drained("0"))
    connect()
    turn(link, poller, 11.0)
    assert answers(driver) == [msg.Drained("0")]
    assert turn(link, poller, 11.0) == [msg.Drain("1")]
    assert not link.is_over(1000.0)


def test_new_connection_replaces_one_whose_end_was_not_noticed(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    half_open, driver.stream = driver.stream, None
    connect()
    driver.send([msg.encode(msg.Drain("0"))])
    assert turn(link, poller, 2.0) == []
    assert answers(driver) == []
    assert turn(link, poller, 2.0) == [msg.Drain("0")]
    half_open.close()


def test_silent_driver_has_the_grace_to_connect_again(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    now = 1.0
    for _ in range(20):
        now += PERIOD / 2
        turn(link, poller, now)
        link.on_tick(now)
    assert link.is_over(now + GRACE)
    assert not link.is_over(now)
    answers(driver)
    answers(driver)  # the first reads what was sent before
    assert driver.stream.is_closed


def test_driver_that_sends_heartbeats_is_not_silent(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    answers(driver)  # the session is open from now on
    for n in range(30):
        driver.send_unnumbered([msg.encode(msg.Heartbeat())])
        assert turn(link, poller, float(n)) == []
        link.on_tick(float(n))
    assert not link.is_over(10_000.0)


def test_heartbeats_are_sent_when_nothing_else_is(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    link.on_tick(1.0)
    link.on_tick(2.0)
    link.send(msg.Drained("0"))
    link.on_tick(3.0)
    link.on_tick(4.0)
    assert answers(driver) == [msg.Heartbeat(), msg.Drained("0"), msg.Heartbeat()]


def test_numbers_show_what_the_driver_has(link, poller, driver, connect):
    connect()
    turn(link, poller, 1.0)
    link.send(msg.Drained("0"))
    link.send(msg.Drained("1"))
    assert (link.last_sent, link.last_delivered) == (2, 0)
    answers(driver)
    driver.send_unnumbered([msg.encode(msg.Heartbeat())])
    turn(link, poller, 1.0)
    assert (link.last_sent, link.last_delivered) == (2, 2)


def test_relay_and_driver_have_one_greeting():
    for name in ("GREETING", "STARTED", "ATTACHED", "GONE"):
        assert getattr(relay, name) == getattr(interchange_settings, name)


def test_relay_refuses_a_folder_that_others_may_enter(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    with pytest.raises(relay.RelayError, match="only the user can enter"):
        relay._private_folder(folder)
    assert relay._private_folder(tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_messages_for_a_driver_that_is_away_wait_on_disk_beyond_a_limit(
    link, poller, driver, connect, monkeypatch, tmp_path
):
    monkeypatch.setattr(session, "MAX_KEPT", 1000)
    sent = [msg.ManagerDown(ManagerId(bytes([n])), "x" * 200, {}) for n in range(40)]
    for message in sent:
        assert not link.is_full
        link.send(message)
    assert len(list((tmp_path / "spool").iterdir())) == 1
    assert link.last_sent == link.last_delivered == 40, "managers need not keep what is on disk"
    connect()
    received = []
    for step in range(40):
        turn(link, poller, float(step))
        received += [message for message in answers(driver) if not isinstance(message, msg.Heartbeat)]
        driver.send_unnumbered([msg.encode(msg.Heartbeat())])
    assert received == sent
    assert not (tmp_path / "spool").exists()


def test_link_is_full_when_its_disk_is(link, monkeypatch):
    monkeypatch.setattr(session, "MAX_KEPT", 1000)
    number = 0
    while not link.is_full:
        link.send(msg.ManagerDown(ManagerId(b"m"), "x" * 200, {}))
        number += 1
    assert 45 < number < 60
