"""Contents are looked for, wanted once and given up by `needs`; tasks wait for them in `waiting`."""

from cnflow.manager.items.needs import Drop, Evict, ItemNeeds, MakeEmpty, Pin, Unpin
from cnflow.manager.items.waiting import WaitingForItems
from cnflow.model.item import Item
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.messages import Task

ME, OTHER = b"me", b"other"
KEY = b"k" * 16
ITEM = Item(KEY + b"driver-1", 100)
SAME_OF_OTHER = Item(KEY + b"other--1", 100, source=OTHER)
MINE = Item(KEY + b"mine---1", 100, source=ME)


def parcel(number, *items):
    return Task(number, b"f", b"", items=items), ()


def node():
    needs = ItemNeeds()
    return needs, WaitingForItems(needs, ME)


def fetched(needs, item=ITEM):
    (want,) = needs.next_wants(0.0)
    assert want == Want(item.id, item.source, 0, item.size)
    return needs.on_chunk(Chunk(item.id, item.source, 0), item.size, 0.1)


def test_content_is_looked_for_then_wanted_once_and_its_tasks_go_on_when_it_is_stored():
    needs, tasks = node()
    assert tasks.hold(parcel(1, ITEM)) is None
    assert tasks.hold(parcel(2, ITEM, ITEM)) is None
    assert needs.take_orders() == [Pin(KEY, 100)]
    assert needs.next_wants(0.0) == []
    needs.on_missing(KEY)
    assert fetched(needs)[:3] == (KEY, 0, 100)
    tasks.settle()
    assert tasks.take_complete() == []
    needs.on_stored(KEY)
    tasks.settle()
    assert [task.id for task, _ in tasks.take_complete()] == [1, 2]
    assert tasks.hold(parcel(3, ITEM)) is not None
    tasks.release([(1, 0), (2, 0)])
    assert needs.take_orders() == []
    tasks.release([(3, 0)])
    assert (needs.take_orders(), len(needs), tasks.has_items) == ([Unpin(KEY)], 0, False)


def test_content_that_the_node_has_is_not_wanted():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    needs.on_found(KEY)
    tasks.settle()
    assert len(tasks.take_complete()) == 1
    assert needs.next_wants(0.0) == []


def test_cancelled_task_ends_what_only_it_wanted_and_late_news_are_let_go():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    needs.on_missing(KEY)
    assert len(needs.next_wants(0.0)) == 1
    assert [task.id for task in tasks.remove({1: 0, 9: 0})] == [1]
    tasks.release([(1, 0)])
    assert needs.take_orders() == [Pin(KEY, 100), Drop(KEY), Unpin(KEY)]
    assert needs.on_chunk(Chunk(ITEM.id, b"", 0), 100, 0.2) is None
    needs.on_missing(KEY)
    needs.on_failed(KEY, "late")
    needs.on_gone(Gone(ITEM.id, b"", "late"))
    needs.on_stored(KEY)
    assert needs.take_orders() == [Unpin(KEY)]
    assert (len(tasks), len(needs)) == (0, 0)


def test_content_that_was_released_when_it_was_stored_is_looked_for_anew():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    needs.on_missing(KEY)
    assert fetched(needs) is not None
    tasks.remove({1: 0})
    tasks.release([(1, 0)])
    assert needs.take_orders() == [Pin(KEY, 100), Drop(KEY), Unpin(KEY)]
    tasks.hold(parcel(2, SAME_OF_OTHER))
    assert needs.take_orders() == [Pin(KEY, 100)]
    needs.on_stored(KEY)  # before it was unpinned
    tasks.settle()
    assert tasks.take_complete() == []
    needs.on_missing(KEY)
    assert fetched(needs, SAME_OF_OTHER) is not None
    needs.on_stored(KEY)
    tasks.settle()
    assert len(tasks.take_complete()) == 1


def test_only_the_last_answer_counts_where_a_content_was_looked_for_again():
    needs, tasks = node()
    for number in (1, 2):
        tasks.hold(parcel(number, ITEM))
        tasks.remove({number: 0})
        tasks.release([(number, 0)])
    tasks.hold(parcel(3, ITEM))
    needs.on_found(KEY)
    needs.on_found(KEY)
    assert needs.next_wants(0.0) == tasks.take_complete() == []
    needs.on_missing(KEY)
    assert fetched(needs) is not None


def test_content_that_one_source_has_lost_is_wanted_of_the_other():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    tasks.hold(parcel(2, SAME_OF_OTHER))
    needs.on_missing(KEY)
    assert needs.next_wants(0.0)[0].source == OTHER
    needs.on_gone(Gone(SAME_OF_OTHER.id, OTHER, "its manager is gone"))
    assert fetched(needs, ITEM) is not None
    needs.on_stored(KEY)
    tasks.settle()
    assert len(tasks.take_complete()) == 2


def test_content_that_a_task_needs_twice_is_lost_with_the_last_of_its_sources():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM, SAME_OF_OTHER, MINE))
    needs.on_missing(KEY)
    assert [want.blob for want in needs.next_wants(0.0)] == [SAME_OF_OTHER.id]
    needs.on_gone(Gone(SAME_OF_OTHER.id, OTHER, "it is gone"))
    tasks.settle()
    assert tasks.take_lost() == []
    assert fetched(needs) is not None
    needs.on_stored(KEY)
    tasks.settle()
    assert len(tasks.take_complete()) == 1
    tasks.release([(1, 0)])
    assert len(needs) == 0


def test_content_whose_source_is_silent_is_wanted_of_the_other():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    tasks.hold(parcel(2, SAME_OF_OTHER))
    needs.on_missing(KEY)
    assert [want.blob for want in needs.next_wants(0.0)] == [SAME_OF_OTHER.id]
    needs.on_tick(needs.next_deadline)
    assert [want.blob for want in needs.next_wants(3.0)] == [ITEM.id]
    needs.on_tick(needs.next_deadline)
    assert [want.blob for want in needs.next_wants(9.0)] == [SAME_OF_OTHER.id]
    assert needs.awaits(ITEM.id)


def test_content_that_nobody_has_loses_its_tasks_with_its_key():
    needs, tasks = node()
    tasks.hold(parcel(1, SAME_OF_OTHER))
    needs.on_missing(KEY)
    needs.next_wants(0.0)
    needs.on_gone(Gone(SAME_OF_OTHER.id, OTHER, "its manager is gone"))
    tasks.settle()
    ((task, reason, key),) = tasks.take_lost()
    assert (task.id, reason, key) == (1, "its manager is gone", KEY)
    tasks.hold(parcel(2, ITEM))  # before the loss is reported
    assert needs.next_wants(0.0)[0].blob == ITEM.id
    tasks.release([(1, 0)])
    assert needs.is_used(KEY)


def test_item_of_this_node_that_was_dropped_is_lost_at_once_and_one_about_to_be_stored_is_waited_for():
    needs, tasks = node()
    tasks.hold(parcel(1, MINE))
    needs.on_missing(KEY)
    tasks.settle()
    assert [lost.key for lost in tasks.take_lost()] == [KEY]
    tasks.release([(1, 0)])
    needs.take_orders()
    needs.use_left(KEY, 100)
    assert tasks.hold(parcel(2, MINE)) is None
    assert needs.take_orders() == []
    needs.on_stored(KEY)
    tasks.settle()
    assert len(tasks.take_complete()) == 1


def test_full_disk_is_tried_again_after_an_eviction_and_then_fails_the_task_with_words():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    needs.take_orders()
    needs.on_missing(KEY)
    assert fetched(needs) is not None
    needs.on_failed(KEY, "no room")
    assert needs.take_orders() == [Evict()]
    assert fetched(needs) is not None
    needs.on_failed(KEY, "no room")
    tasks.settle()
    ((_, reason, key),) = tasks.take_lost()
    assert (reason, key) == ("no room", b"")


def test_content_of_no_bytes_is_made_and_never_wanted():
    needs, tasks = node()
    tasks.hold(parcel(1, Item(KEY + b"driver-1", 0)))
    needs.on_missing(KEY)
    assert needs.take_orders() == [Pin(KEY, 0), MakeEmpty(KEY)]
    assert needs.next_wants(0.0) == []
    needs.on_stored(KEY)
    tasks.settle()
    assert len(tasks.take_complete()) == 1


def test_content_that_came_in_another_way_meanwhile_leaves_no_part():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    needs.on_missing(KEY)
    needs.take_orders()
    needs.next_wants(0.0)
    needs.on_stored(KEY)
    assert needs.take_orders() == [Drop(KEY)]
    assert needs.next_wants(99.0) == []


def test_changed_content_is_wanted_anew_by_the_next_task():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    needs.on_found(KEY)
    needs.forget(KEY)
    assert tasks.hold(parcel(2, ITEM)) is None
    assert len(needs.next_wants(0.0)) == 1


def test_returned_tasks_are_released():
    needs, tasks = node()
    tasks.hold(parcel(1, ITEM))
    assert [task.id for task in tasks.clear()] == [1]
    tasks.release([(1, 0)])
    assert (len(tasks), len(needs)) == (0, 0)
