import pytest

from cnflow.ids import BlockId, ManagerId
from cnflow.interchange.dialer import Connect, Dialer, Disconnect, ReportUnreachable, Search
from cnflow.wire.dial_messages import Dial

MANAGER, BLOCK = ManagerId(b"manager"), BlockId("0")
DIAL = Dial(MANAGER, BLOCK, ("10.0.0.1", "10.1.0.1"), (50000, 50001))
CONNECT = Connect("10.0.0.1", (50000, 50001))
DISCONNECT = Disconnect("10.0.0.1", (50000, 50001))
SEARCH = Search(DIAL, DIAL.hosts)


@pytest.fixture
def dialer():
    """Manager that is silent for 10 s is dialled anew."""
    return Dialer(1.0, 30.0)


@pytest.fixture
def connected(dialer):
    dialer.on_dial(DIAL, 0.0)
    assert dialer.on_found(DIAL, "10.0.0.1", 1.0) == [CONNECT]
    return dialer


def test_manager_is_searched_before_it_is_connected_to(dialer):
    assert dialer.on_dial(DIAL, 0.0) == [SEARCH]
    assert dialer.on_found(DIAL, "10.0.0.1", 1.0) == [CONNECT]


def test_order_that_is_given_again_changes_nothing(connected):
    assert connected.on_dial(DIAL, 2.0) == []


def test_other_addresses_replace_the_connection(connected):
    moved = Dial(MANAGER, BLOCK, ("10.2.0.1",), DIAL.ports)
    assert connected.on_dial(moved, 2.0) == [Search(moved, moved.hosts)]
    assert connected.on_found(DIAL, "10.0.0.1", 3.0) == []
    assert connected.on_found(moved, "10.2.0.1", 3.0) == [DISCONNECT, Connect("10.2.0.1", DIAL.ports)]


def test_unreachable_manager_is_reported_once_and_searched_again(dialer):
    dialer.on_dial(DIAL, 0.0)
    assert dialer.on_found(DIAL, None, 3.0) == [ReportUnreachable(DIAL)]
    assert dialer.on_tick(4.9, {}) == []
    assert dialer.on_tick(5.0, {}) == [SEARCH]
    assert dialer.on_tick(8.0, {}) == []
    assert dialer.on_found(DIAL, None, 8.0) == []
    assert dialer.on_tick(10.0, {}) == [SEARCH]
    assert dialer.on_found(DIAL, "10.0.0.1", 10.0) == [CONNECT]


def test_manager_that_sends_is_left_alone(connected):
    assert connected.on_tick(100.0, {MANAGER: 9.9}) == []


def test_silent_manager_gets_a_new_connection(connected):
    assert connected.on_tick(100.0, {MANAGER: 10.0}) == [SEARCH]
    assert connected.on_found(DIAL, "10.0.0.1", 100.1) == [DISCONNECT, CONNECT]
    assert connected.on_tick(105.0, {MANAGER: 15.0}) == []
    assert connected.on_tick(110.1, {MANAGER: 20.1}) == [SEARCH]


def test_silent_manager_that_cannot_be_reached_keeps_its_connection_and_is_searched_often(connected):
    connected.on_tick(100.0, {MANAGER: 10.0})
    assert connected.on_found(DIAL, None, 103.0) == [ReportUnreachable(DIAL)]
    assert connected.on_tick(105.0, {MANAGER: 15.0}) == [SEARCH]


def test_host_at_which_nobody_registers_is_left_out_of_the_next_search(connected):
    assert connected.on_tick(11.0, {}) == [Search(DIAL, ("10.1.0.1",))]
    assert connected.on_found(DIAL, "10.1.0.1", 12.0) == [DISCONNECT, Connect("10.1.0.1", DIAL.ports)]
    assert connected.on_tick(22.0, {}) == [SEARCH], "all were tried: all again"


@pytest.mark.parametrize("end", [lambda d: d.on_manager_gone(MANAGER), lambda d: d.on_block_gone(BLOCK)])
def test_end_of_a_manager_or_its_block_ends_the_connection(connected, end):
    assert end(connected) == [DISCONNECT]
    assert not connected
    assert connected.on_found(DIAL, "10.0.0.1", 3.0) == []
    assert connected.on_tick(100.0, {}) == []


def test_end_of_another_block_changes_nothing(connected):
    assert connected.on_block_gone(BlockId("1")) == []
    assert connected
