"""Tasks that wait for their large arguments hold no worker, and tasks behind them run."""

from cnflow.manager.awaited_parts import AwaitedParts
from cnflow.manager.blob_cache import BlobCache
from cnflow.manager.incomplete_tasks import IncompleteTasks
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.bulk import Chunk, Gone, Offer
from cnflow.wire.function_messages import Function
from cnflow.wire.messages import Task
from cnflow.wire.pipe import ResultKind

CONTENT = bytes(range(256)) * 1000
BLOB = digest_of(CONTENT) + b"1"
FUNCTION = Function(b"f", "f", 0, "", b"")


def large(number, blob=BLOB):
    return Task(number, b"f", b"", frames=1, blobs=(Offer(blob, len(CONTENT), 1),)), [b"body"]


def small(number):
    return Task(number, b"f", b"body"), ()


def manager(limit=10**6):
    tasks = IncompleteTasks(BlobCache(limit))
    made = Manager(1, Prefetch(0), "3.12", "here", 0, AwaitedParts(tasks))
    made.on_start()
    made.on_worker_ready(0)
    return made, tasks


def bring(tasks, content=CONTENT, blob=BLOB):
    for want in tasks.next_wants(0.0):
        tasks.on_chunk(Chunk(blob, b"", want.offset), content[want.offset : want.offset + want.length], 0.1)


def sent(made):
    return [action.task[0].id for action in made.dispatch(0.0) if hasattr(action, "task")]


def test_small_task_behind_one_that_waits_runs_and_the_window_has_room_for_it():
    made, tasks = manager()
    made.on_work([FUNCTION], [large(1)])
    assert (sent(made), made.window) == ([], 2)
    made.on_work([], [small(2)])
    assert sent(made) == [2]
    assert made.held() == {1: 0, 2: 0}
    assert not made.is_drained
    bring(tasks)
    made.on_blobs()
    assert made.window == 1


def test_task_gets_its_blob_in_its_place_and_the_next_one_finds_it_in_the_cache():
    made, tasks = manager()
    made.on_work([FUNCTION], [large(1)])
    bring(tasks)
    made.on_blobs()
    (action,) = [action for action in made.dispatch(0.0) if hasattr(action, "task")]
    body, content = action.task[1]
    assert (body, b"".join(content.pieces)) == (b"body", CONTENT)
    made.on_results(0, [], 0.0)
    assert tasks.hold(large(2, digest_of(CONTENT) + b"2")) is not None
    assert tasks.next_wants(0.0) == []


def test_tasks_that_wait_do_not_widen_the_window_without_end():
    made, _ = manager()
    made.on_work([FUNCTION], [large(number) for number in range(50)])
    assert made.window == 3


def test_cancelled_task_asks_for_nothing_more():
    made, tasks = manager()
    made.on_work([FUNCTION], [large(1)])
    assert tasks.next_wants(0.0)
    made.on_cancel({1: 0}, 0.0)
    assert [result.kind for result, _ in made.take_results()] == [ResultKind.CANCELLED]
    assert tasks.next_deadline > 1e9
    assert not tasks.has_blobs


def test_ending_manager_returns_tasks_that_wait():
    made, tasks = manager()
    made.on_work([FUNCTION], [large(1)])
    made.on_ending()
    assert [result.kind for result, _ in made.take_results()] == [ResultKind.RETURNED]
    assert made.is_drained
    assert not tasks.has_blobs


def test_task_whose_blob_is_gone_fails_with_words():
    made, tasks = manager()
    made.on_work([FUNCTION], [large(1)])
    tasks.on_gone(Gone(BLOB, b"", "the disk is on fire"))
    made.on_blobs()
    ((result, _),) = made.take_results()
    assert result.kind == ResultKind.ARGUMENT_LOST
    assert b"the disk is on fire" in result.body


def test_blob_that_is_gone_by_one_name_is_asked_for_by_another():
    made, tasks = manager()
    other = digest_of(CONTENT) + b"2"
    made.on_work([FUNCTION], [large(1), large(2, other)])
    tasks.next_wants(0.0)
    tasks.on_gone(Gone(other, b"", "released"))
    assert {want.blob for want in tasks.next_wants(0.0)} == {BLOB}


def test_cache_drops_the_longest_unused_beyond_its_limit():
    cache = BlobCache(10)
    for number in range(5):
        cache.hold(b"%d" % number)
        cache.put(b"%d" % number, bytearray(4))
    assert len(cache) == 5
    cache.release([b"%d" % number for number in range(5)])
    assert [cache.get(b"%d" % number) is not None for number in range(5)] == [False, False, False, True, True]
    assert (cache.unused_bytes, cache.in_use) == (8, 0)
