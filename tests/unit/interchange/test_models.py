"""Calls of models in an interchange: who goes first, pieces of streams, and models that managers load: stories."""

from cnflow.interchange.actions import (
    ReportManagerUp,
    ReportPrepared,
    SendPrepare,
    SendResults,
    SendWork,
    cancel_result,
)
from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.wire.bulk import Offer
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import NO_FRAMES, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
MODEL = Function(b"m" * 16, "m", 0, "", b"code")
A, B, C = b"a", b"b", b"c"


def info(slots=2, block="0", **node):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", slots, 1, "", Node(**node))


def tasks(*numbers, rows=0, is_bulk=False, **fields):
    return [(Task(number, FUNCTION.id, b"", rows=rows, is_bulk=is_bulk, **fields), ()) for number in numbers]


def calls(*numbers, **fields):
    return tasks(*numbers, rows=1, **fields)


def bulk(*numbers, **fields):
    return tasks(*numbers, rows=8, is_bulk=True, **fields)


class World:
    """An interchange, and what its managers have, in the order in which they got it."""

    def __init__(self, state=None):
        self.state = state or Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=30, blocks=["0"])
        self.order = {}
        self.sent = []
        self.now = 0.0

    def manager(self, name, slots=2, window=None, **node):
        self.order[name] = []
        self.perform(self.state.on_registered(name, info(slots, **node), self.now))
        self.ready(name, slots if window is None else window)

    def ready(self, name, window, calls=0):
        self.perform(self.state.on_results(name, window, [], self.now, calls))
        self.dispatch()

    def submit(self, parcels):
        self.perform(self.state.on_submitted([FUNCTION], parcels, may_have_needs=True))
        self.dispatch()

    def end(self, name, *numbers, window=2, kind=ResultKind.VALUE, calls=0):
        results = [(Result(number, kind, b""), ()) for number in numbers]
        self.perform(self.state.on_results(name, window, results, self.now, calls))
        self.dispatch()

    def dispatch(self):
        self.perform(self.state.dispatch(self.now))

    def perform(self, actions):
        self.sent += actions
        for action in actions:
            if isinstance(action, SendWork):
                self.order[action.manager] += [task.id for task, _ in action.tasks]

    def results(self):
        return [
            (result.id, ResultKind(result.kind))
            for action in self.sent
            if isinstance(action, SendResults)
            for result, _ in action.results
        ]


# Lanes


def test_calls_go_before_bulk_and_before_tasks_of_the_graph_that_wait():
    world = World()
    world.submit(tasks(0, 1))
    world.submit(bulk(2, 3))
    world.submit(calls(4, 5))
    world.manager(A, slots=3)
    assert world.order[A][:3] == [4, 5, 0]


def test_tasks_of_the_graph_get_idle_slots_before_bulk():
    world = World()
    for parcels in (bulk(0), tasks(1), bulk(2), tasks(3)):
        world.submit(parcels)
    world.manager(A, slots=1)
    assert world.order[A] == [1]
    for ended in (1, 3, 0):
        world.end(A, ended, window=1)
    assert world.order[A] == [1, 3, 0, 2]


def test_bulk_is_sent_as_far_as_a_manager_wants_calls_besides_its_other_tasks():
    world = World()
    world.submit(bulk(*range(20)))
    world.submit(tasks(*range(20, 40)))
    world.manager(A, slots=2, window=4)
    assert world.order[A] == [20, 21, 22, 23, 0, 1, 2, 3], "as many as of other tasks, before it has said how many"
    world.ready(A, 4, calls=6)
    assert world.order[A][8:] == [4, 5]
    world.end(A, 0, 20, window=4, calls=6)
    assert world.order[A][10:] == [24, 6], "each kind has its own room"


def test_calls_that_go_first_are_sent_beyond_what_a_manager_wants_as_many_again():
    world = World()
    world.submit(bulk(*range(20)))
    world.manager(A, slots=2, window=2)
    world.ready(A, 2, calls=4)
    assert world.order[A] == [0, 1, 2, 3]
    world.submit(calls(*range(100, 110)))
    assert world.order[A][4:] == [100, 101, 102, 103]
    world.end(A, 0, window=2, calls=4)
    assert world.order[A][8:] == [104]
    world.end(A, 100, 101, 102, 103, 104, 1, 2, 3, window=2, calls=4)
    assert world.order[A][9:] == [105, 106, 107, 108, 109], "no bulk beyond what is wanted, which these fill"
    world.end(A, *range(105, 110), window=2, calls=4)
    assert world.order[A][14:] == [4, 5, 6, 7]


def test_manager_full_of_calls_still_has_its_window_of_other_tasks():
    world = World()
    world.manager(A, slots=2, window=2)
    world.submit(calls(*range(10)))
    world.ready(A, 2, calls=8)
    assert len(world.order[A]) == 10
    world.submit(tasks(50, 51, 52))
    assert world.order[A][10:] == [50, 51]


def test_manager_for_one_task_gets_no_call_beyond_it():
    world = World()
    world.manager(A, slots=1, window=1)
    world.submit(calls(0, 1, 2))
    assert world.order[A] == [0]


def test_few_calls_go_to_the_manager_that_became_idle_last_so_that_others_stay_idle():
    world = World()
    for name in (A, B, C):
        world.manager(name, slots=1)
    used = set()
    for number in range(20):
        world.submit(calls(number))
        (name,) = [name for name, order in world.order.items() if number in order]
        used.add(name)
        world.end(name, number, window=1)
    assert len(used) == 1


def test_many_calls_are_shared_out_among_all_managers():
    world = World()
    for name in (A, B, C):
        world.manager(name, slots=2, window=6)
    world.submit(calls(*range(12)))
    assert [len(order) for order in world.order.values()] == [4, 4, 4]


def test_calls_that_are_cancelled_while_they_wait_are_never_sent():
    world = World()
    world.submit(calls(0, 1, 2))
    world.perform(world.state.on_cancelled({0: 0, 2: 1}, 0))
    world.manager(A, slots=4)
    assert world.order[A] == [1, 2], "another attempt is another one"
    assert world.results() == [(0, ResultKind.CANCELLED)]
    assert cancel_result(Task(0, FUNCTION.id, b""))[0].kind == ResultKind.CANCELLED


def test_place_of_a_task_counts_the_calls_that_go_first():
    world = World()
    world.submit(tasks(0, 1))
    world.submit(calls(2, 3))
    assert [world.state.status_report(0, task, 0).ahead for task in (3, 0, 1)] == [1, 2, 3]


def test_function_of_a_call_that_waits_is_not_forgotten():
    world = World()
    world.submit(calls(0))
    world.state.forget_functions()
    world.manager(A)
    assert [work.functions for work in world.sent if isinstance(work, SendWork)] == [[FUNCTION]]


def test_calls_with_needs_go_before_other_tasks_with_the_same_needs():
    world = World()
    world.submit(tasks(0, needs=Needs(cores=1)))
    world.submit(bulk(1, needs=Needs(cores=1)))
    world.submit(calls(2, needs=Needs(cores=1)))
    world.submit(tasks(3, needs=Needs(cores=1, priority=1)))
    world.manager(A, slots=4, cores=4)
    assert world.order[A] == [2, 3, 0, 1]


def test_calls_that_keep_coming_do_not_starve_a_task_that_needs_the_whole_node():
    world = World()
    world.manager(A, slots=2, cores=2)
    world.submit(calls(10, 11))
    world.submit(tasks(0, needs=Needs(cores=2)))
    for number in range(12, 2000):
        world.submit(calls(number))
        world.end(A, next(task for task in world.state._managers[A].held))
        if 0 in world.order[A]:
            break
    assert 0 in world.order[A]


def test_call_too_long_for_what_is_left_of_a_block_waits_for_another_one():
    world = World()
    world.manager(A, life=100.0, left=10.0)
    world.submit(calls(0, walltime=50.0))
    world.submit(calls(1, walltime=5.0))
    assert world.order[A] == [1]
    world.manager(B, life=100.0, left=90.0)
    assert world.order[B] == [0]


# Pieces of streams


def test_piece_is_passed_on_and_is_no_end():
    world = World()
    world.manager(A, slots=1)
    world.submit(calls(0))
    world.end(A, 0, 0, kind=ResultKind.PARTIAL, window=1)
    assert world.state._managers[A].held == {0: 0}
    assert world.order[A] == [0]
    world.end(A, 0, window=1)
    assert world.results() == [(0, ResultKind.PARTIAL)] * 2 + [(0, ResultKind.VALUE)]
    assert not world.state._managers[A].held


def test_piece_and_end_in_one_message_leave_in_their_order():
    world = World()
    world.manager(A)
    world.submit(calls(0))
    kinds = [ResultKind.PARTIAL, ResultKind.PARTIAL, ResultKind.VALUE]
    world.perform(world.state.on_results(A, 2, [(Result(0, kind, b""), ()) for kind in kinds], 0))
    assert [kind for _, kind in world.results()] == kinds


def test_pieces_of_an_attempt_that_the_manager_does_not_hold_are_dropped():
    world = World()
    world.manager(A)
    world.submit(calls(0))
    world.perform(world.state.on_results(A, 2, [(Result(0, ResultKind.PARTIAL, b"", attempt=7), ())], 0))
    assert world.results() == []


def test_piece_of_a_stream_releases_no_resources_and_is_no_measure_of_its_duration():
    world = World()
    world.manager(A, slots=2, cores=2, life=100.0, left=100.0)
    world.submit(calls(0, needs=Needs(cores=2)))
    world.end(A, 0, kind=ResultKind.PARTIAL)
    assert world.state._managers[A].capacity.allocations == 1
    assert world.state._managers[A].timed == {0: FUNCTION.id}


def test_stream_that_a_manager_is_to_stop_is_awaited_behind_its_pieces():
    state = Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=30, blocks=["0"])
    world = World(state)
    world.order[A] = []
    world.perform(state.on_registered(A, info(), 0, {}, {5: 0}))
    world.end(A, 5, kind=ResultKind.PARTIAL)
    world.submit(tasks(0))
    assert world.order[A] == []
    world.end(A, 5, kind=ResultKind.CANCELLED)
    assert world.order[A] == [0]
    assert world.results() == []


def test_successor_passes_pieces_on_of_streams_that_their_managers_have_kept():
    state = RecoveringInterchange(1, 10, 30, Predecessor(["0"], {A: "0"}, {}), 0)
    world = World(state)
    world.order[A] = []
    state.on_resubmitted([FUNCTION], calls(0, 1))
    state.on_registered(A, info(), 0, {0: 0})
    world.perform(state.on_results(A, 2, [(Result(0, ResultKind.PARTIAL, b""), ())], 0))
    world.dispatch()
    assert world.results() == [(0, ResultKind.PARTIAL)]
    assert world.order[A] == [1]
    assert state._managers[A].held == {0: 0, 1: 0}


# Models that are loaded before their first task


def prepares(world):
    return [(each.manager, [f.name for f in each.functions]) for each in world.sent if isinstance(each, SendPrepare)]


def test_models_are_loaded_by_managers_of_now_and_by_those_that_register_later():
    world = World()
    world.manager(A)
    world.perform(world.state.on_prepare([MODEL]))
    world.manager(B)
    assert prepares(world) == [(A, ["m"]), (B, ["m"])]
    up = [isinstance(each, ReportManagerUp) for each in world.sent if isinstance(each, (ReportManagerUp, SendPrepare))]
    assert up == [True, False, True, False]


def test_manager_that_registers_again_is_sent_the_models_again():
    world = World()
    world.perform(world.state.on_prepare([MODEL]))
    world.manager(A)
    world.manager(A)
    assert prepares(world) == [(A, ["m"])] * 2


def test_models_replace_those_before_and_none_are_sent_once_there_are_none():
    world = World()
    world.manager(A)
    for functions in ([MODEL], [FUNCTION, MODEL], []):
        world.perform(world.state.on_prepare(functions))
    world.manager(B)
    assert prepares(world) == [(A, ["m"]), (A, ["f", "m"]), (A, [])]


def test_manager_whose_block_is_admitted_later_is_sent_the_models_then():
    world = World()
    world.perform(world.state.on_prepare([MODEL]))
    world.order[A] = []
    world.perform(world.state.on_registered(A, info(block="9"), 0))
    assert prepares(world) == []
    world.state.on_admitted("9")
    world.dispatch()
    assert prepares(world) == [(A, ["m"])]


def test_successor_has_the_managers_that_come_back_load_the_models():
    state = RecoveringInterchange(1, 10, 30, Predecessor(["0"], {A: "0"}, {}), 0)
    world = World(state)
    world.perform(state.on_prepare([MODEL]))
    state.on_resubmitted([], [])
    world.manager(A)
    assert prepares(world) == [(A, ["m"])]


def test_news_of_a_model_wait_behind_the_registration_that_is_put_off():
    state = RecoveringInterchange(1, 10, 30, Predecessor(["0"], {A: "0"}, {}), 0)
    world = World(state)
    world.order[A] = []
    news = ReportPrepared(A, None)
    world.perform(state.on_registered(A, info(), 0))
    world.perform(state.in_order(news))
    assert world.sent == []
    state.on_resubmitted([], [])
    world.dispatch()
    assert [type(each) for each in world.sent][:2] == [ReportManagerUp, ReportPrepared]


def test_large_piece_is_not_held_back_while_the_driver_is_away(tmp_path):
    from cnflow.interchange.blob_store import BlobStore
    from cnflow.interchange.large_results import LargeResults

    results = LargeResults(BlobStore(tmp_path), tmp_path, 1000, lambda *_: None)
    piece = Result(0, ResultKind.PARTIAL, b"", blobs=(Offer(b"1", 5, 0, A),))
    assert results.hold([(piece, NO_FRAMES)]) == [(piece, NO_FRAMES)]
