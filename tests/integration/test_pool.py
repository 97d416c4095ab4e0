"""A pool's interchange with real processes and sockets: drivers with their bridges, and managers that a test plays."""

import socket
import sys
import time
from types import SimpleNamespace

import msgspec
import pytest

from cnflow.interchange import actions as on
from cnflow.interchange.manager_numbers import ManagerNumbers
from cnflow.interchange.pool.actions import ForClient
from cnflow.interchange.pool.functions import SharedFunctions
from cnflow.interchange.pool.sessions import ClientSessions
from cnflow.interchange.pool.standing import StandingInterchange
from cnflow.interchange.pool.state import PoolInterchange
from cnflow.model.manager_settings import PROTOCOL
from cnflow.model.pool_settings import PIPE_MAY_STAND_SOON, PoolInterchangeSettings
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.bulk import Chunk, Offer, Release, Want
from cnflow.wire.manager_messages import NoWorkers, StatusQuery, StatusReport
from cnflow.wire.pipe import ResultKind
from tests.integration.pool import FUNCTION, PlayedManager, Pool, wait_for

RAW_TUNNEL = """
import os, select, socket, sys
end = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    ready, _, _ = select.select([0, end], [], [])
    for source, sink in ((0, end.fileno()), (end, 1)):
        if source in ready:
            data = os.read(source if source == 0 else end.fileno(), 65536)
            if not data:
                sys.exit()
            while data:
                data = data[os.write(sink, data):]
"""
"""Copies between stdin, stdout and a port, as ``ssh -W`` does."""


@pytest.fixture
def make_pool(tmp_path):
    """Starts a pool with settings, and a manager for it."""
    made = []

    def make(**settings):
        made.append(Pool(tmp_path, **settings))
        made[-1].manager = PlayedManager(made[-1])
        made.insert(0, made[-1].manager)
        return made[-1], made[0]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def pool(make_pool):
    return make_pool()[0]


@pytest.fixture
def manager(pool):
    return pool.manager


def driver_of(pool, name, **request):
    key = pool.key(name)
    made = pool.driver(key, **request)
    assert made.greeting() == "started"
    return made, key


def wait_for_ends(manager, *drivers_and_counts):
    def are_ended():
        manager.end_all()
        for driver, _ in drivers_and_counts:
            driver.read()
        return all(len(driver.results) >= count for driver, count in drivers_and_counts)

    wait_for(are_ended)
    for driver, count in drivers_and_counts:
        assert driver.results.keys() == set(range(count))
        assert not driver.more


def test_two_drivers_get_the_results_of_their_own_tasks(pool, manager):
    drivers = [driver_of(pool, name)[0] for name in ("ann", "bob")]
    for driver in drivers:
        driver.submit(20)
    wait_for_ends(manager, *((driver, 20) for driver in drivers))
    bodies = [{result.body for result in driver.results.values()} for driver in drivers]
    assert not bodies[0] & bodies[1]
    assert len(manager.functions) == 1
    for driver in drivers:
        assert [up.id for up in driver.of(msg.ManagerUp)] == [manager.name]


def test_session_goes_on_after_its_bridge_was_killed(pool, manager):
    driver, key = driver_of(pool, "ann")
    driver.submit(50)
    wait_for(lambda: len(manager.read()) == manager.slots)
    driver.kill()
    wait_for(lambda: (manager.end_all(), len(manager.order) == 50)[1])
    driver.session.session.on_disconnected()
    assert driver.reconnect(pool, key) == "attached"
    driver.submit(10)
    wait_for_ends(manager, (driver, 60))


def test_session_that_a_pool_does_not_have_is_gone(pool):
    driver, key = driver_of(pool, "ann")
    driver.identity = b"stranger"
    assert pool.driver(key, session=driver).greeting() == "gone"


def test_client_that_leaves_frees_the_workers_for_others(pool, manager):
    ann, _ = driver_of(pool, "ann")
    bob, _ = driver_of(pool, "bob")
    ann.submit(1000)
    wait_for(lambda: len(manager.read()) == manager.slots)
    bob.submit(5)
    ann.send(msg.Stop())
    wait_for(lambda: (manager.read(), len(manager.cancelled) == manager.slots)[1])
    wait_for_ends(manager, (bob, 5))
    wait_for(lambda: [client.name for client in pool.report().clients] == ["bob"])
    assert len(manager.order) <= manager.slots + 5


def test_client_that_does_not_come_back_is_forgotten(make_pool):
    pool, manager = make_pool(clients_grace=0.5, heartbeat_period=0.5, heartbeat_threshold=2.0)
    ann, key = driver_of(pool, "ann")
    ann.submit(10)
    wait_for(lambda: len(manager.read()) == manager.slots)
    ann.kill()
    wait_for(lambda: pool.report() and not pool.report().clients)
    assert pool.driver(key, session=ann).greeting() == "gone"


def test_flood_of_one_client_is_held_back_and_another_is_served(make_pool):
    pool, manager = make_pool(most_queued=1000)
    flood, _ = driver_of(pool, "flood")
    modest, _ = driver_of(pool, "modest")
    body = b"x" * 10_000
    for begin in range(0, 50_000, 500):
        tasks = [msg.Task(number, FUNCTION.id, body) for number in range(begin, begin + 500)]
        flood.send(msg.Work([FUNCTION] if begin == 0 else [], tasks))
    modest.submit(100)
    began = time.monotonic()
    wait_for_ends(manager, (modest, 100))
    assert time.monotonic() - began < 10
    report = pool.report()
    (queued,) = (client.queued for client in report.clients if client.name == "flood")
    assert queued < 3000
    assert flood.session.has_unsent


@pytest.mark.parametrize(
    "message",
    [
        msg.Work([], [msg.Task(0, b"unknown", b"")]),
        msg.Work([FUNCTION], [msg.Task(0, FUNCTION.id, b"", frames=5)]),
        msg.Work([FUNCTION], [msg.Task(0, FUNCTION.id, b"", blobs=(Offer(b"x", 5, 0),))]),
        Want(b"blob", b"", 0, 5),
    ],
    ids=["unknown-function", "missing-frames", "short-blob", "want-of-own"],
)
def test_client_that_sends_what_no_driver_sends_is_forgotten_and_no_other(pool, manager, message):
    bad, _ = driver_of(pool, "bad")
    good, _ = driver_of(pool, "good")
    bad.send(message)
    wait_for(lambda: "it sends what no driver sends" in pool.log.read_text())
    good.submit(5)
    wait_for_ends(manager, (good, 5))


def test_bytes_that_are_no_session_end_the_client_and_no_other(pool, manager):
    bad, _ = driver_of(pool, "bad")
    good, _ = driver_of(pool, "good")
    bad.process.stream.raw.send(b"\xff" * 100_000)
    wait_for(lambda: "it sends what no driver sends" in pool.log.read_text())
    good.submit(5)
    wait_for_ends(manager, (good, 5))


def test_part_of_a_result_of_another_client_cannot_be_had(pool, manager):
    ann, _ = driver_of(pool, "ann")
    eve, _ = driver_of(pool, "eve")
    ann.submit(1)
    wait_for(manager.read)
    (task,) = manager.tasks.values()
    offer = Offer(b"part", 10, 0, manager.name)
    manager.send(msg.Done(4, [msg.Result(task.id, 0, b"", frames=0, attempt=0, blobs=(offer,))]))
    wait_for(lambda: (ann.read(), ann.results)[1])
    eve.send(Want(b"part", manager.name, 0, 10))
    wait_for(lambda: [gone.blob for gone in eve.of(msg.Gone)] == [b"part"])


def test_key_that_was_never_issued_is_refused_in_words(pool):
    stranger = pool.driver(sockets.new_key_pair())
    assert stranger.greeting() == "gone", "as after a key was withdrawn: the pool has no session of it"
    wait_for(lambda: "refuses the key of this client" in stranger.bridge_log.read_text())
    assert "Traceback" not in stranger.bridge_log.read_text()


def test_withdrawn_key_ends_the_sessions_of_its_client(pool, manager):
    ann, _ = driver_of(pool, "ann")
    bob, _ = driver_of(pool, "bob")
    ann.submit(100)
    wait_for(lambda: len(manager.read()) == manager.slots)
    (pool.keys / "ann.key").unlink()
    wait_for(lambda: "the key of this client was withdrawn" in ann.bridge_log.read_text())
    bob.submit(5)
    wait_for_ends(manager, (bob, 5))
    assert [client.name for client in pool.report().clients] == ["bob"]


def test_session_of_one_client_is_not_given_to_another(pool):
    ann, _ = driver_of(pool, "ann")
    thief = pool.driver(pool.key("eve"), session=ann)
    with pytest.raises(ConnectionError):
        thief.greeting()
    wait_for(lambda: "the session is one of another client" in thief.bridge_log.read_text())


def test_session_for_which_there_is_no_room_is_refused_and_no_other(pool, manager):
    ann, _ = driver_of(pool, "ann")
    folder = pool.folder / "run" / "clients"
    folder.rename(pool.folder / "run" / "moved")
    folder.write_text("no folder")
    bob = pool.driver(pool.key("bob"))
    with pytest.raises(ConnectionError):
        bob.greeting()
    wait_for(lambda: "the pool has no room for another session" in bob.bridge_log.read_text())
    ann.submit(5)
    wait_for_ends(manager, (ann, 5))
    assert [client.name for client in pool.report().clients] == ["ann"]


def test_pool_that_does_not_answer_is_named_with_what_to_check(pool):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        driver = pool.driver(sockets.new_key_pair(), endpoint=endpoint, timeout=1.0)
        with pytest.raises(ConnectionError):
            driver.greeting()
    wait_for(lambda: "no pool was reached at" in driver.bridge_log.read_text())


def test_pipe_leads_to_the_pool(pool, manager):
    pipe = (sys.executable, "-c", RAW_TUNNEL, "127.0.0.1", str(pool.bound.clients_port))
    driver, _ = driver_of(pool, "ann", pipe=pipe, endpoint="tcp://pool:1")
    driver.submit(30)
    wait_for_ends(manager, (driver, 30))


def test_pipe_that_ends_is_quoted(pool):
    driver = pool.driver(pool.key("ann"), pipe=(sys.executable, "-c", "import sys; sys.exit(7)"))
    with pytest.raises(ConnectionError):
        driver.greeting()
    wait_for(lambda: "the way to the pool, ended with code 7" in driver.bridge_log.read_text())


def test_pipe_whose_far_end_is_not_there_yet_is_tried_again(pool, manager, tmp_path):
    late = f"import os, sys\nif not os.path.exists({str(tmp_path / 'there')!r}):\n    sys.exit({PIPE_MAY_STAND_SOON})\n"
    pipe = (sys.executable, "-c", late + RAW_TUNNEL, "127.0.0.1", str(pool.bound.clients_port))
    driver = pool.driver(pool.key("ann"), pipe=pipe)
    time.sleep(1)
    assert driver.process.read_greeting() is None
    (tmp_path / "there").touch()
    assert driver.greeting() == "started"
    driver.submit(3)
    wait_for_ends(manager, (driver, 3))


def test_pipe_whose_far_end_never_comes_is_given_up(pool):
    never = f"import sys; sys.exit({PIPE_MAY_STAND_SOON})"
    driver = pool.driver(pool.key("ann"), pipe=(sys.executable, "-c", never), timeout=1.5)
    with pytest.raises(ConnectionError):
        driver.greeting()
    wait_for(lambda: "the way to the pool, ended with code 75" in driver.bridge_log.read_text())


def test_owner_sees_demand_and_managers(pool, manager):
    driver, _ = driver_of(pool, "ann")
    driver.submit(10)
    wait_for(lambda: pool.report() and pool.report().submitted == 10)
    wait_for(lambda: (manager.read(), pool.report().managers == 1)[1])
    report = wait_for(lambda: pool.report().clients[0].running == 4 and pool.report())
    assert (report.needs[0].unfinished, report.needs[0].queued) == (10, 6)
    assert [up.id for up in pool.owner.of(msg.ManagerUp)] == [manager.name]


def test_client_may_not_drain_the_pool_and_may_ask(pool, manager):
    driver, _ = driver_of(pool, "ann")
    driver.send(msg.Drain("0"))
    driver.send(msg.BlockGone("0", "mine"))
    driver.submit(3)
    driver.send(StatusQuery(5, 1))
    wait_for_ends(manager, (driver, 3))
    (report,) = wait_for(lambda: driver.of(StatusReport))
    assert report.number == 5
    assert [status.id for status in report.managers] == [manager.name]


def test_bridge_of_another_protocol_is_refused_in_words(pool):
    key = pool.key("ann")
    context = sockets.new_context()
    endpoint = f"tcp://127.0.0.1:{pool.bound.clients_port}"
    dealer = sockets.connect_dealer(context, endpoint, b"old", (pool.public, *key))
    opening = {"session": "00" * 8, "is_new": True, "protocol": 1, "cnflow": "0.0"}
    dealer.send([b"\1" + bytes(8), msgspec.json.encode(opening)])
    assert dealer.raw.poll(10_000)
    ((_, content),) = dealer.receive()
    assert b"use the same version of cnflow" in bytes(content)
    dealer.close()
    context.term()


def news_of(driver):
    return [(news.reason, news.is_final) for news in driver.of(NoWorkers)]


def test_news_of_missing_workers_reach_clients_of_now_and_later_until_a_manager_comes(tmp_path):
    pool = Pool(tmp_path)
    ann, _ = driver_of(pool, "ann")
    pool.owner.send(NoWorkers("no such image"))
    wait_for(lambda: news_of(ann) == [("no such image", False)])
    bob, _ = driver_of(pool, "bob")
    wait_for(lambda: news_of(bob) == [("no such image", False)])
    manager = PlayedManager(pool)
    wait_for(lambda: news_of(ann)[1:] == news_of(bob)[1:] == [("", False)])
    eve, _ = driver_of(pool, "eve")
    wait_for(lambda: eve.of(msg.ManagerUp))
    assert news_of(eve) == []
    manager.close()
    pool.close()


def test_last_news_of_a_pool_that_ends_reach_its_clients(tmp_path):
    pool = Pool(tmp_path)
    ann, _ = driver_of(pool, "ann")
    wait_for(lambda: ann.of(msg.Bound))
    pool.owner.send(NoWorkers("no such image", is_final=True))
    pool.owner.send(msg.Stop())
    wait_for(lambda: news_of(ann) == [("no such image", True)])
    pool.close()


@pytest.fixture
def sessions(tmp_path):
    """Sessions of a pool in this process, with a key of the client ann and messages for managers."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ann.key").write_text(sockets.new_key_pair()[0])
    settings = PoolInterchangeSettings(
        session="00" * 8,
        folder=str(tmp_path),
        manager_endpoint="",
        clients_endpoint="tcp://127.0.0.1",
        clients_secret_key=sockets.new_key_pair()[1],
        client_keys=str(tmp_path / "keys"),
        heartbeat_period=2.0,
        heartbeat_threshold=60.0,
        most_spooled=1000,
    )
    functions = SharedFunctions()
    state = PoolInterchange(StandingInterchange(settings, functions.table), functions, 0)
    managers = SimpleNamespace(sent=[], send_bulk=lambda _: None, is_gone=lambda _: False)
    managers.send = lambda manager, message: managers.sent.append(message)
    made = ClientSessions(settings, state, managers, ManagerNumbers(0))
    made.managers = managers
    yield made
    made.close()


class Opening:
    """Frame of a bridge of ann."""

    def __init__(self, number):
        opening = {"session": f"{number:016x}", "is_new": True, "replaces": "", "protocol": PROTOCOL, "cnflow": "0"}
        self.bytes = msgspec.json.encode(opening)

    def get(self, _):
        return "ann"


def test_part_of_a_result_that_was_fetched_for_a_client_that_is_away_has_no_owner_any_more(sessions):
    sessions.port._open(b"bridge", Opening(1))
    (session,) = sessions._sessions.values()
    blob, name = b"b" * 16, b"manager-1"
    result = msg.Result(0, ResultKind.VALUE, b"", blobs=(Offer(blob, 3, 0, name),))
    sessions.perform(ForClient(session.client, on.SendResults([(result, ())])))
    assert sessions._owners.result_of(name, blob) == session.client
    sessions.flush(0.0)
    sessions.on_bulk_of_manager(name, [msg.encode(Chunk(blob, name, 0)), b"abc"])
    assert [type(message) for message in sessions.managers.sent] == [Release]
    assert sessions._owners.result_of(name, blob) is None


def test_pipe_ends_when_its_bridge_opens_another(sessions):
    list(sessions.receive({}, 0.0))
    sessions.port._open(b"bridge", Opening(1))
    list(sessions.receive({}, 0.0))
    (first,) = sessions._sessions.values()
    assert not first.link.is_away
    sessions.port._open(b"bridge", Opening(2))
    list(sessions.receive({}, 0.0))
    assert first.link.is_away
