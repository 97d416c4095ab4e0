"""Stories of tasks that are sent where their data is."""

import math

import pytest

from cnflow.interchange.actions import SendResults, SendWork
from cnflow.interchange.scheduler.data_queue import BYTES_PER_SECOND
from cnflow.interchange.scheduler.item_places import ItemPlaces
from cnflow.interchange.state import Interchange
from cnflow.model.item import Item
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import DataStatus, ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

F = Function(b"f" * 16, "f", 0, "", b"code")
GB = 10**9
A, B, C = b"a", b"b", b"c"


def item(number, source=b"", size=GB):
    return Item(b"%016d" % number + b"12345678", size, source=source)


def task(number, *items, needs=None, walltime=0.0):
    return Task(number, F.id, b"", items=items, needs=needs, walltime=walltime), ()


class World:
    """Managers with some slots each, that prefetch nothing unless told so."""

    def __init__(self):
        self.state = Interchange(1, 10, 1e9, ["0"])
        self.now = 0.0

    def join(self, manager, slots=1, window=None, life=math.inf, host=""):
        node = Node(cores=float(slots), worker_cores=1.0, life=life)
        self.state.on_registered(
            manager, ManagerInfo(1, "0", "3.11", host or manager.hex(), "0", "", slots, 1, "", node), self.now
        )
        self.window(manager, slots if window is None else window)

    def window(self, manager, window, *results):
        return self.state.on_results(manager, window, [(result, ()) for result in results], self.now)

    def submit(self, *parcels):
        return self.state.on_submitted([F], parcels, may_have_needs=True)

    def dispatch(self):
        """Managers that tasks are sent to, by task."""
        works = [action for action in self.state.dispatch(self.now) if isinstance(action, SendWork)]
        return {task.id: work.manager for work in works for task, _ in work.tasks}

    def end(self, manager, number, slots, *left):
        self.window(manager, slots, Result(number, ResultKind.VALUE, b"", items=left))

    def wait(self, number):
        return self.state.status_report(1, number, self.now).data


@pytest.fixture
def world():
    return World()


def test_task_is_sent_where_its_data_is(world):
    for manager in (A, B, C):
        world.join(manager, slots=2)
    world.submit(task(0, item(0, source=B)), task(1, item(1, source=C)), task(2, item(1, source=C)))
    assert world.dispatch() == {0: B, 1: C, 2: C}


def test_result_that_stays_on_its_node_draws_the_next_task_there(world):
    for manager in (A, B):
        world.join(manager, slots=2)
    world.submit(task(0), task(1))
    sent = world.dispatch()
    world.end(sent[1], 1, 2, item(7, source=sent[1]))
    world.submit(task(2, item(7, source=sent[1])))
    assert world.dispatch() == {2: sent[1]}


def test_data_that_moves_between_managers_decides_before_that_of_the_driver(world):
    for manager in (A, B):
        world.join(manager, slots=3)
    world.submit(task(0, item(0)), task(1, item(0)))
    assert world.dispatch() == {0: A, 1: A}
    world.submit(task(2, item(0), item(1, source=B)), task(3, item(0), item(2, source=A)))
    assert world.dispatch() == {2: B, 3: A}


def test_largest_data_decides(world):
    for manager in (A, B):
        world.join(manager)
    world.submit(task(0, item(0, A, 2**10), item(1, B, GB)))
    assert world.dispatch() == {0: B}


def test_task_waits_for_its_manager_as_long_as_moving_would_take_and_no_longer(world):
    world.join(A)
    world.submit(task(0))
    world.dispatch()
    world.join(B)
    world.submit(task(1, item(0, source=A)))
    assert world.dispatch() == {}
    seconds = GB / BYTES_PER_SECOND
    assert world.state.data.next_deadline == seconds
    world.now = seconds / 2
    assert world.dispatch() == {}
    assert world.wait(1) == DataStatus(A, GB, seconds / 2)
    world.now = seconds
    assert world.dispatch() == {1: B}
    assert world.state.data.next_deadline == math.inf


def test_task_that_waits_gets_the_first_slot_of_its_manager(world):
    world.join(A)
    world.submit(task(0))
    world.dispatch()
    world.join(B)
    world.submit(task(1, item(0, source=A)), task(2))
    assert world.dispatch() == {2: B}, "it holds up no other task"
    world.submit(task(3))
    world.end(A, 0, 1)
    assert world.dispatch() == {1: A}


def test_managers_of_one_host_share_their_data(world):
    world.join(A, host="h")
    world.submit(task(0))
    world.dispatch()
    world.join(B, host="h")
    world.submit(task(1, item(0, source=A)))
    assert world.dispatch() == {1: B}
    world.join(C, host="h")
    world.submit(task(2, item(0, source=A)))
    assert world.dispatch() == {2: C}
    for manager in (A, B, C):
        world.state.on_manager_left(manager, "it ends")
    assert len(world.state.places) == 0
    assert not world.state.places._siblings


def test_task_waits_for_no_manager_that_takes_none(world):
    world.join(A)
    world.join(B)
    world.state.on_hold_requested(A)
    world.submit(task(0, item(0, source=A)))
    assert world.dispatch() == {0: B}


def test_task_waits_for_no_manager_that_is_gone(world):
    world.join(A)
    world.submit(task(0))
    world.dispatch()
    world.join(B)
    world.submit(task(1, item(0, source=A)))
    assert world.dispatch() == {}
    world.state.on_manager_left(A, "it ends")
    assert world.dispatch() == {1: B}


def test_small_data_is_not_waited_for(world):
    world.join(A)
    world.submit(task(0))
    world.dispatch()
    world.join(B)
    world.submit(task(1, item(0, source=A, size=2**16)))
    assert world.dispatch() == {1: B}


def test_data_of_the_driver_is_not_waited_for_but_slots_that_have_it_are_preferred(world):
    world.join(A, slots=2)
    world.submit(task(0, item(0)))
    assert world.dispatch() == {0: A}
    world.join(B, slots=3)
    world.submit(task(1, item(0)), task(2, item(0)))
    assert world.dispatch() == {1: A, 2: B}


def test_data_that_no_manager_has_is_spread(world):
    for manager in (A, B, C):
        world.join(manager, slots=4)
    world.submit(*(task(number, item(number)) for number in range(6)))
    assert sorted(world.dispatch().values()) == [A, A, B, B, C, C]


def test_all_slots_are_filled_at_once(world):
    for number in range(100):
        world.join(b"m%d" % number, slots=10)
    world.submit(*(task(number, item(number)) for number in range(999)))
    sent = world.dispatch()
    while world.state.data.next_deadline == world.now:
        sent |= world.dispatch()
    assert len(sent) == 999
    assert world.state.data.next_deadline == math.inf


def test_tasks_that_wait_for_their_data_keep_no_slot_from_those_far_behind_them(world):
    world.join(A)
    world.submit(task(0))
    world.dispatch()
    world.submit(*(task(number, item(number, source=A)) for number in range(1, 256)), task(300, item(300)))
    world.join(B, slots=2)
    world.submit(task(301, item(301)))
    assert world.dispatch() == {300: B, 301: B}


def test_tasks_keep_their_order_whether_they_have_data_or_not(world):
    world.submit(task(0), task(1, item(1)), task(2), task(3, item(3)))
    for manager in (A, B, C):
        world.join(manager)
        assert len(world.dispatch()) == 1
    assert world.state.status_report(1, 3, 0).ahead == 0
    assert [task.id for task, _ in world.state.data] == [3]


def test_idle_slots_are_filled_before_any_task_is_prefetched(world):
    world.join(A, slots=1, window=4)
    world.join(B, slots=1, window=4)
    small = [item(number, A, 2**10) for number in range(4)]
    world.submit(*(task(number, small[number]) for number in range(4)))
    sent = world.dispatch()
    assert sent == {0: A, 1: B, 2: A, 3: A}


def test_cancelled_task_is_not_sent(world):
    world.submit(task(0, item(0)), task(1, item(1)))
    (cancelled,) = world.state.on_cancelled({0: 0}, 0.0)
    assert isinstance(cancelled, SendResults)
    world.join(A, slots=2)
    assert world.dispatch() == {1: A}


def test_task_with_needs_prefers_the_node_of_its_data(world):
    for manager in (A, B, C):
        world.join(manager)
    world.submit(task(0, item(0, source=C), needs=Needs(cores=1.0)))
    assert world.dispatch() == {0: C}
    world.submit(task(1, item(0, source=C), needs=Needs(cores=1.0)))
    assert world.dispatch()[1] in (A, B)


def test_task_is_not_sent_to_a_block_that_ends_too_soon_for_it_though_its_data_is_there(world):
    world.join(A, life=100.0)
    world.join(B)
    world.submit(task(0, item(0, source=A), walltime=200.0))
    assert world.dispatch() == {0: B}


def test_all_that_waits_is_known_to_the_scheduler(world):
    world.submit(task(0, item(0)))
    assert world.state._scheduler.functions() == {F.id}
    world.state.on_stop()
    assert len(world.state.data) == 0


class TestPlaces:
    def test_nothing_is_left_once_all_is_released(self):
        places = ItemPlaces()
        places.on_submitted([item(0), item(1, A), item(2, C)], {A, B})
        places.on_had(B, [item(0), item(1, A)])
        assert places.release([item(0).id, b"unknown"]) == {B: [item(0).id]}
        assert places.release([item(1).id]) == {A: [item(1).id], B: [item(1).id]}
        assert len(places) == 0
        assert not places._keys

    def test_content_stays_known_while_one_of_its_holdings_is_not_released(self):
        places = ItemPlaces()
        again = item(0)._replace(id=item(0).key + b"again")
        places.on_had(A, [item(0), again])
        places.release([item(0).id])
        assert places.missing(A, [item(0)]) == 0
        places.release([again.id])
        assert places.missing(A, [item(0)]) == GB

    def test_manager_that_is_gone_leaves_nothing(self):
        places = ItemPlaces()
        places.on_had(A, [item(0), item(1, A)])
        places.on_had(B, [item(0)])
        places.on_manager_gone(A)
        assert list(places.holders([item(0)])) == [B]
        assert len(places) == 1
        places.on_manager_gone(B)
        assert places.best_holders([item(0)]) == []

    def test_best_holder_lacks_the_fewest_bytes(self):
        places = ItemPlaces()
        places.on_had(A, [item(0)])
        places.on_had(B, [item(0), item(1, size=GB // 2)])
        assert places.best_holders([item(0), item(1, size=GB // 2)]) == [B, A]
