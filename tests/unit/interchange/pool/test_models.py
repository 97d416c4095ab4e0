"""Models of several clients of a pool: who goes first, pieces of streams, and what managers load: stories."""

import pytest

from cnflow.wire.function_messages import Batching
from cnflow.wire.manager_messages import Needs
from cnflow.wire.messages import Result
from cnflow.wire.pipe import ResultKind
from tests.unit.interchange.pool.world import FUNCTION, World, function

MODEL, OTHER = function(b"m"), function(b"o")


def own(world, client, manager):
    """Tasks of *client* that *manager* has, in the order in which it got them."""
    names = {number: task for task, number in client.scheduled.items()}
    return [names[number] for number in manager.order if number in names]


def test_calls_of_a_client_go_before_its_bulk_and_its_other_tasks():
    world = World()
    ann = world.client("ann")
    world.submit(ann, 0, 1)
    world.submit(ann, 2, 3, rows=5, is_bulk=True)
    world.submit(ann, 4, 5, rows=1)
    manager = world.manager(slots=3)
    assert own(world, ann, manager)[:3] == [4, 5, 0]


def test_calls_of_one_client_go_beyond_a_window_that_is_full_of_bulk_of_another():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.submit(bob, *range(50), rows=1, is_bulk=True)
    manager = world.manager(slots=2)
    world.of_scheduler(world.pool.scheduler.on_results(manager.name, 2, [], world.now, 4))
    world.dispatch()
    assert len(own(world, bob, manager)) == 4
    world.submit(ann, 0, 1, rows=1)
    assert own(world, ann, manager) == [0, 1]


def test_shares_of_clients_count_for_calls_as_well():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.submit(ann, *range(50), rows=1)
    world.submit(bob, *range(50), rows=1)
    manager = world.manager(slots=8, window=8)
    held = len(own(world, ann, manager)), len(own(world, bob, manager))
    assert abs(held[0] - held[1]) <= 1


def test_calls_with_needs_go_first_within_their_kind():
    world = World()
    ann = world.client("ann")
    world.submit(ann, *range(20), needs=Needs(cores=1))
    world.submit(ann, 30, needs=Needs(cores=1), rows=1)
    manager = world.manager(slots=1)
    while manager.tasks and 30 not in own(world, ann, manager):
        world.done(manager, *manager.tasks)
    assert len(manager.order) <= 10, "behind no more than the window of its kind"


def test_calls_end_once_whatever_becomes_of_them():
    world = World()
    ann = world.client("ann")
    world.submit(ann, *range(6), rows=1)
    world.cancel(ann, {0: 0})
    manager = world.manager(slots=2)
    world.cancel(ann, {1: 0})
    world.lose(manager)
    second = world.manager(b"m2", slots=2)
    while second.tasks:
        world.done(second, *second.tasks)
    ended = {task for task, _ in world.results[ann.id]} | {task for task, _ in world.lost[ann.id]}
    assert ended == set(range(6))
    assert len(world.pool._calls) == 0
    assert not world.pool._unfinished


def test_pieces_reach_the_client_of_their_task_and_are_no_end():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    manager = world.manager(slots=4)
    world.submit(ann, 7, rows=1)
    world.submit(bob, 7, rows=1)
    (number,) = (number for number in manager.tasks if ann.scheduled[7] == number)
    for _ in range(2):
        piece = Result(number, ResultKind.PARTIAL, b"")
        world.of_scheduler(world.pool.scheduler.on_results(manager.name, 4, [(piece, ())], world.now))
    world.done(manager, number)
    assert world.kinds(ann) == {7: [ResultKind.PARTIAL, ResultKind.PARTIAL, ResultKind.VALUE]}
    assert world.kinds(bob) == {}
    assert (ann.ended, world.pool.ended) == (1, 1)


def test_pieces_for_a_client_that_is_gone_are_dropped_and_their_parts_released():
    world = World()
    ann = world.client("ann")
    manager = world.manager()
    world.submit(ann, 0, rows=1)
    (number,) = manager.tasks
    world.leave(ann)
    piece = Result(number, ResultKind.PARTIAL, b"")
    world.of_scheduler(world.pool.scheduler.on_results(manager.name, 2, [(piece, ())], world.now))
    world.done(manager, number, kind=ResultKind.CANCELLED)
    assert not world.pool._tasks


def test_report_counts_calls_by_the_batches_that_they_make():
    world = World()
    model = function(b"m")
    model.batching = Batching(max_batch=8)
    ann = world.client("ann")
    world.submit(ann, *range(17), rows=1, functions=(model,))
    world.submit(ann, 20, 21)
    (needs,) = world.pool.report(world.now).needs
    assert (needs.unfinished, needs.queued) == (2 + 3, 5)
    world.cancel(ann, dict.fromkeys(range(17), 0))
    (needs,) = world.pool.report(world.now).needs
    assert needs.unfinished == 2


# Models that managers load


def test_managers_load_the_models_of_all_clients():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.manager(b"m1")
    world.prepare(ann, MODEL)
    world.prepare(bob, OTHER, MODEL)
    world.manager(b"m2")
    assert world.prepared == [(b"m1", ["m"]), (b"m1", ["m", "o"]), (b"m2", ["m", "o"])]
    assert world.pool.models.clients_of(MODEL.id) == [ann.id, bob.id]
    assert world.pool.models.clients_of(OTHER.id) == [bob.id]


def test_models_of_a_client_that_is_gone_are_loaded_no_more():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.manager()
    world.prepare(ann, MODEL)
    world.prepare(bob, OTHER)
    world.prepared.clear()
    world.leave(ann)
    assert world.prepared == [(b"m1", ["o"])]
    assert world.pool.models.clients_of(MODEL.id) == []


def test_client_without_models_leaves_without_an_order_to_managers():
    world = World()
    ann = world.client("ann")
    world.manager()
    world.leave(ann)
    assert world.prepared == []


def test_function_that_is_prepared_is_not_forgotten_and_keeps_its_first_content():
    world = World()
    ann, bob = world.client("ann"), world.client("bob")
    world.prepare(ann, MODEL)
    world.submit(ann, 0, forgets=True)
    forged = function(b"m")
    forged.body = b"another"
    world.prepare(bob, forged)
    assert world.functions.table[MODEL.id].body == b"code"
    assert [each.body for each in world.pool.models.all()] == [b"code"]
    world.manager(slots=4)
    world.submit(ann, 1, functions=())
    assert FUNCTION.id in world.functions.table


def test_model_without_its_modules_is_malformed_and_changes_nothing():
    world = World()
    ann = world.client("ann")
    with pytest.raises(ValueError, match="without its modules"):
        world.prepare(ann, function(b"m", (b"x" * 16,)))
    assert world.pool.models.all() == []
