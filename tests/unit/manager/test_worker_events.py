"""Events of workers in their manager and in the interchange: one message a second, bounded, drops counted."""

import math
import time
from types import SimpleNamespace

from cnflow.interchange.event_relay import LIMIT as RELAY_LIMIT
from cnflow.interchange.event_relay import EventRelay
from cnflow.manager.items.needs import ItemNeeds
from cnflow.manager.items.waiting import WORTH_NOTING, Wait, WaitingForItems
from cnflow.manager.worker_events import LIMIT, WorkerEvents
from cnflow.model.item import Item
from cnflow.wire.manager_messages import Events, WorkerNote
from cnflow.wire.pipe import Record, ResultKind


class State:
    """Stands for the manager's state."""

    def __init__(self, *running):
        self.running = running

    def held(self):
        return {7: 3}

    def running_tasks(self):
        return {worker: (task, attempt) for worker, task, attempt, _ in self.running}

    def task_began(self, rank):
        return next(begun for worker, _, _, begun in self.running if worker == rank)


def events():
    return WorkerEvents(b"m" * 6, "0", "node")


def staging(task, done=-1, total=-1, state=b"staging_in"):
    parts = [state, b"ftp://host/x", str(done).encode(), str(total).encode()]
    return Record(ResultKind.STAGING, task, 12.5, parts)


def test_records_of_events_are_noted_and_the_others_returned():
    collected = events()
    records = [
        Record(ResultKind.READY, 0, 0.0, []),
        staging(7),
        Record(ResultKind.VALUE, 7, 1.0, [b"", b"v"]),
        staging(8),
    ]
    assert collected.on_records(2, records, State()) == [records[0], records[2]]
    message = collected.take(0.0)
    assert (message.manager, message.block, message.host, message.dropped) == (b"m" * 6, "0", "node", 0)
    assert [(note.worker, note.state, note.task, note.attempt) for note in message.events] == [
        *((2, "ready", -1, -1), (2, "staging_in", 7, 3), (2, "staging_in", 8, -1)),
    ]
    assert message.events[1].time == 12.5


def test_task_whose_files_are_fetched_does_not_run_yet():
    collected = events()
    collected.on_records(2, [staging(7)], State())
    collected.on_running(State((2, 7, 3, 9.5)), 10.0)
    assert [note.state for note in collected.take(10.0).events] == ["staging_in"]
    collected.on_records(2, [staging(7, state=b"staged")], State())
    collected.on_running(State((2, 7, 3, 9.5)), 11.0)
    assert [note.state for note in collected.take(11.0).events] == ["staged", "running"]


def test_tasks_that_run_when_the_manager_looks_are_noted_once():
    collected = events()
    collected.on_work()
    collected.on_running(State((0, 7, 3, 9.5), (1, 8, 4, 10.0)), 10.0)
    begun = time.time()
    first, second = collected.take(10.0).events
    assert [(note.worker, note.state, note.task, note.attempt) for note in (first, second)] == [
        *((0, "running", 7, 3), (1, "running", 8, 4)),
    ]
    assert begun - 1 < first.time < second.time < begun + 1
    collected.on_work()
    collected.on_running(State((1, 9, 5, 10.4)), 10.5)
    assert (collected.take(10.5), collected.next_deadline) == (None, 11.0)
    collected.on_running(State((0, 7, 3, 9.5), (1, 9, 5, 10.4)), 11.0)
    assert [(note.worker, note.task) for note in collected.take(11.0).events] == [(1, 9)]
    assert collected.next_deadline == math.inf


def test_without_sinks_nobody_looks_for_running_tasks():
    collected = WorkerEvents(b"m" * 6, "0", "node", is_complete=False)
    collected.on_work()
    collected.on_running(State((0, 7, 3, 0.5)), 10.0)
    assert (collected.take(10.0), collected.next_deadline) == (None, math.inf)


def test_a_message_is_due_once_a_second_and_only_if_there_is_something():
    collected = events()
    assert collected.next_deadline == math.inf
    assert collected.take(0.0) is None
    collected.on_exit(0, -9, "out of memory")
    assert collected.take(5.0).events[0].reason == "exit code -9, out of memory"
    collected.on_exit(0, 1, "")
    assert (collected.next_deadline, collected.take(5.9)) == (6.0, None)
    assert collected.take(6.0).events[0].reason == "exit code 1"
    assert collected.next_deadline == math.inf


def test_flood_of_progress_is_dropped_and_counted_and_no_state_is():
    collected = events()
    collected.on_records(0, [staging(7, number, LIMIT + 5) for number in range(LIMIT + 6)], State())
    collected.on_exit(0, 1, "")
    message = collected.take(0.0)
    assert (len(message.events), message.dropped) == (LIMIT + 2, 5)
    assert [message.events[-2].done, message.events[-1].state] == [LIMIT + 5, "exited"]
    assert collected.take(10.0) is None


def message_of(count, dropped=0, done=-1):
    return Events(b"m" * 6, "0", "node", [WorkerNote(1.0, 0, "running", done=done)] * count, dropped)


def test_relay_keeps_messages_in_order_and_drops_progress_beyond_its_limit():
    relay = EventRelay()
    assert not relay
    relay.on_events(message_of(1))
    relay.on_events(message_of(RELAY_LIMIT - 1))
    relay.on_events(message_of(2, dropped=3, done=4))
    relay.on_events(message_of(2))
    assert relay
    messages = relay.take()
    assert [(len(each.events), each.lost) for each in messages] == [(1, 2), (RELAY_LIMIT - 1, 0), (0, 0), (2, 0)]
    assert [each.dropped for each in messages] == [0, 0, 3, 0]
    relay.on_events(message_of(1))
    assert [each.lost for each in relay.take()] == [0]
    assert not relay


def test_staging_of_files_is_noted_without_sinks_too():
    collected = WorkerEvents(b"m" * 6, "0", "node", is_complete=False)
    step = Record(ResultKind.STAGING, 7, 12.5, [b"staging_in", b"ftp://host/x", b"5", b"-1"])
    assert collected.on_records(2, [Record(ResultKind.READY, 0, 0.0, []), step], State())[0].type == ResultKind.READY
    collected.on_exit(2, 1, "")
    assert collected.take(0.0).events[0] == WorkerNote(12.5, 2, "staging_in", 7, 3, "", "ftp://host/x", 5, -1)
    collected.on_waits([Wait(8, 4, 100), Wait(8, 4, -1)])
    notes = [(note.worker, note.state, note.task, note.attempt, note.total) for note in collected.take(1.0).events]
    assert notes == [(-1, "staging_in", 8, 4, 100), (-1, "staged", 8, 4, -1)]


def test_wait_for_contents_that_are_worth_noting_is_noted_with_its_end():
    needs = ItemNeeds()
    tasks = WaitingForItems(needs, b"m" * 6)
    small, large = (Item(bytes([number]) * 24, size) for number, size in ((1, 1000), (2, WORTH_NOTING)))
    for task, item in ((7, small), (8, large)):
        assert tasks.hold((SimpleNamespace(id=task, attempt=3, items=(item,)), [])) is None
    assert tasks.take_notes() == [Wait(8, 3, WORTH_NOTING, 0)]
    assert tasks.progress() == [Wait(8, 3, WORTH_NOTING, 0)]
    tasks.clear()
    assert (tasks.take_notes(), tasks.take_notes()) == ([Wait(8, 3, -1)], [])
