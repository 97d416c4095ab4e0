"""Schedule of heartbeats and of silence."""

import time

from cnflow.interchange.heartbeats import HeartbeatSchedule
from cnflow.interchange.manager_record import ManagerRecord
from cnflow.wire.manager_messages import ManagerInfo

INFO = ManagerInfo(1, "0", "3.11", "h", "0", "", 1, 1)
A = b"a"


def schedule(*managers, threshold=30):
    records = {manager: ManagerRecord(INFO, 0) for manager in managers}
    heartbeats = HeartbeatSchedule(records, 10, threshold)
    for manager in managers:
        heartbeats.add(manager)
    return records, heartbeats


def test_manager_is_sent_a_heartbeat_after_half_a_period_without_messages():
    _, heartbeats = schedule(A)
    assert [heartbeats.on_tick(now, has_heard_all=True)[1] for now in (4, 5, 6, 9, 10)] == [[], [A], [], [], [A]]


def test_message_to_a_manager_delays_its_heartbeat():
    records, heartbeats = schedule(A)
    records[A].last_sent = 3
    assert [heartbeats.on_tick(now, has_heard_all=True)[1] for now in (5, 7, 8)] == [[], [], [A]]


def test_manager_is_silent_once_more_than_the_threshold_has_passed_and_all_was_heard():
    records, heartbeats = schedule(A)
    assert heartbeats.on_tick(30, has_heard_all=True)[0] == []
    assert heartbeats.on_tick(31, has_heard_all=False)[0] == []
    assert heartbeats.on_tick(32, has_heard_all=True)[0] == [A]
    records[A].last_received = 32
    assert heartbeats.on_tick(33, has_heard_all=True)[0] == []


def test_removed_manager_is_not_looked_at_and_one_that_came_again_only_once():
    _, heartbeats = schedule(A)
    heartbeats.remove(A)
    assert heartbeats.on_tick(5, has_heard_all=True) == ([], [])
    heartbeats.add(A)
    heartbeats.add(A)
    assert heartbeats.on_tick(99, has_heard_all=False) == ([], [A])


def test_heartbeats_of_managers_that_came_together_are_spread_over_ticks():
    names = [b"%d" % number for number in range(1600)]
    _, heartbeats = schedule(*names)
    sent = [len(heartbeats.on_tick(tick * 10 / 16, has_heard_all=True)[1]) for tick in range(1, 9)]
    assert sum(sent) == 1600
    assert max(sent) < 1600


def test_tick_at_which_nothing_is_due_does_not_look_at_ten_thousand_managers():
    names = [b"%d" % number for number in range(10_000)]
    _, heartbeats = schedule(*names)
    begin = time.process_time()
    for _ in range(1000):
        heartbeats.on_tick(1, has_heard_all=True)
    assert time.process_time() - begin < 0.5
