"""Events of workers in their manager and in the interchange: one message a second, bounded, drops counted."""

import math
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

    def held(self):
        return {7: 3}


def events():
    return WorkerEvents(b"m" * 6, "0", "node")


def running(task):
    return Record(ResultKind.EVENT, task, 12.5, [])


def test_records_of_events_are_noted_and_the_others_returned():
    collected = events()
    records = [
        Record(ResultKind.READY, 0, 0.0, []),
        running(7),
        Record(ResultKind.VALUE, 7, 1.0, [b"", b"v"]),
        running(8),
    ]
    assert collected.on_records(2, records, State()) == [records[0], records[2]]
    message = collected.take(0.0)
    assert (message.manager, message.block, message.host, message.dropped) == (b"m" * 6, "0", "node", 0)
    assert [(note.worker, note.state, note.task, note.attempt) for note in message.events] == [
        *((2, "ready", -1, -1), (2, "running", 7, 3), (2, "running", 8, -1)),
    ]
    assert message.events[1].time == 12.5


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


def test_flood_of_events_is_dropped_and_counted():
    collected = events()
    collected.on_records(0, [running(7)] * (LIMIT + 5), State())
    message = collected.take(0.0)
    assert (len(message.events), message.dropped) == (LIMIT, 5)
    assert collected.take(10.0) is None


def message_of(count, dropped=0):
    return Events(b"m" * 6, "0", "node", [WorkerNote(1.0, 0, "running")] * count, dropped)


def test_relay_keeps_messages_in_order_within_its_limit_and_counts_the_rest():
    relay = EventRelay()
    assert not relay
    relay.on_events(message_of(1))
    relay.on_events(message_of(RELAY_LIMIT - 1))
    relay.on_events(message_of(2, dropped=3))
    assert relay
    first, second = relay.take()
    assert (len(first.events), first.lost) == (1, 5)
    assert (len(second.events), second.lost) == (RELAY_LIMIT - 1, 0)
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
