"""Batches of calls in a manager: who runs with whom, and what becomes of those whose worker dies."""

import pytest

from cnflow.manager.actions import (
    KillWorker,
    LoadModel,
    SendBatch,
    SendFunction,
    SendTask,
    StartWorker,
    StopTask,
    UnloadModel,
)
from cnflow.manager.awaited_parts import AwaitedParts
from cnflow.manager.batching.models import UNLOAD_AFTER
from cnflow.manager.blob_cache import BlobCache
from cnflow.manager.incomplete_tasks import IncompleteTasks
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.manager.workers.task_deadlines import GRACE
from cnflow.wire.batch_records import LoadedRecord
from cnflow.wire.bulk import KEY_SIZE, Chunk, Offer
from cnflow.wire.function_messages import Batching, Function
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

MODEL = Function(b"m" * 16, "m", 0, "", b"code", (), Batching(8))
PLAIN = Function(b"p" * 16, "p", 0, "", b"code")


def model(**limits):
    return Function(b"m" * 16, "m", 0, "", b"code", (), Batching(**{"max_batch": 8, **limits}))


def ready(slots=1, prefetch=None, **options):
    state = Manager(slots, Prefetch(prefetch), "3.11", "host h, block 0", **options)
    state.on_start()
    for rank in range(slots):
        state.on_worker_ready(rank)
    return state


def calls(*numbers, function=MODEL, **fields):
    return [(Task(number, function.id, b"args", **{"rows": 1, **fields}), ()) for number in numbers]


def sent(actions):
    """Ids of the tasks of each record that is written, by rank."""
    found = []
    for action in actions:
        if isinstance(action, SendBatch):
            found.append((action.rank, [task.id for task, _ in action.tasks]))
        elif isinstance(action, SendTask):
            found.append((action.rank, [action.task[0].id]))
    return found


def batches(actions):
    return [ids for _, ids in sent(actions)]


def answer(state, rank, numbers, now=0.0, kind=ResultKind.VALUE):
    state.on_results(rank, [(Result(number, kind, b"v", 0.001), ()) for number in numbers], now)


def kinds(state):
    return {result.id: result.kind for result, _ in state.take_results()}


def test_calls_that_wait_run_together_and_each_has_its_result():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2))
    assert batches(state.dispatch(0)) == [[0, 1, 2]]
    state.on_work([], calls(3))
    assert batches(state.dispatch(0)) == [], "its worker is busy"
    answer(state, 0, [0, 1, 2])
    assert kinds(state) == dict.fromkeys([0, 1, 2], ResultKind.VALUE)
    assert batches(state.dispatch(0)) == [[3]]


def test_single_call_is_sent_as_any_task():
    state = ready()
    state.on_work([MODEL], calls(0))
    assert [type(action) for action in state.dispatch(0)] == [SendFunction, SendTask]


def test_batch_has_no_more_rows_than_the_limit_but_for_a_call_that_is_larger_alone():
    state = ready()
    state.on_work([MODEL], calls(0, 1, rows=4) + calls(2, rows=1) + calls(3, rows=100) + calls(4, rows=8))
    for expected in ([0, 1], [2], [3], [4]):
        assert batches(state.dispatch(0)) == [expected]
        answer(state, 0, expected)


def test_calls_without_rows_run_alone():
    state = ready()
    state.on_work([MODEL], calls(0, 1, rows=0) + calls(2, 3))
    for expected in ([0], [1], [2, 3]):
        assert batches(state.dispatch(0)) == [expected]
        answer(state, 0, expected)


@pytest.mark.parametrize("fields", [{"apart": "b"}, {"walltime": 5.0}, {"function": None}])
def test_what_is_kept_apart_is_never_in_one_batch(fields):
    other = Function(b"o" * 16, "o", 0, "", b"code", (), Batching(8))
    fields = {"function": other} if "function" in fields else fields
    state = ready(slots=2)
    state.on_work([MODEL, other], calls(0) + calls(1, **fields) + calls(2) + calls(3, **fields))
    assert sorted(batches(state.dispatch(0))) == [[0, 2], [1, 3]]


def test_interactive_calls_go_before_bulk_ones_that_came_earlier():
    state = ready()
    state.on_work([MODEL], calls(0, 1, is_bulk=True) + calls(2, 3))
    assert batches(state.dispatch(0)) == [[2, 3]]
    answer(state, 0, [2, 3])
    assert batches(state.dispatch(0)) == [[0, 1]]


def test_bulk_calls_have_a_turn_now_and_then_however_many_others_come():
    state = ready()
    state.on_work([MODEL], calls(1000, is_bulk=True))
    began = []
    for number in range(40):
        state.on_work([], calls(number))
        (batch,) = batches(state.dispatch(0))
        began += batch
        answer(state, 0, batch)
    assert began.index(1000) == 15


def test_ordinary_tasks_and_batches_take_turns():
    state = ready()
    state.on_work([MODEL, PLAIN], calls(*range(10)) + calls(20, 21, 22, function=PLAIN))
    began = []
    for _ in range(5):
        (batch,) = batches(state.dispatch(0))
        began.append(batch)
        answer(state, 0, batch)
    assert began == [[0, 1, 2, 3, 4, 5, 6, 7], [20], [8, 9], [21], [22]]


def test_short_ordinary_tasks_in_advance_do_not_keep_calls_from_a_worker():
    state = ready()
    state.on_work([PLAIN, MODEL], calls(0, function=PLAIN))
    state.dispatch(0)
    state.on_results(0, [(Result(0, ResultKind.VALUE, b"", 0.00001), ())], 0)
    state.on_work([], calls(*range(1, 40), function=PLAIN))
    in_pipe = [number for (number,) in batches(state.dispatch(0))]
    assert len(in_pipe) > 30
    state.on_work([], calls(100))
    answer(state, 0, in_pipe)
    assert batches(state.dispatch(0)) == [[100]]


def test_idle_workers_get_a_batch_each_and_the_one_that_has_the_model_is_first():
    state = ready(slots=3)
    state.on_work([MODEL], calls(0))
    assert sent(state.dispatch(0)) == [(0, [0])]
    state.on_work([], calls(1))
    assert sent(state.dispatch(0)) == [(1, [1])]
    answer(state, 1, [1])
    state.on_work([], calls(2))
    assert sent(state.dispatch(0)) == [(1, [2])], "the third worker would have to load it"


def test_idle_worker_waits_for_more_calls_as_long_as_it_may():
    state = ready()
    state.on_work([model(max_wait=0.01)], calls(0))
    assert batches(state.dispatch(5.0)) == []
    assert state.next_deadline == pytest.approx(5.01)
    state.on_work([], calls(1))
    assert batches(state.dispatch(5.005)) == []
    state.on_tick(5.0101)
    assert batches(state.dispatch(5.0101)) == [[0, 1]]
    assert state.next_deadline > 5.02


def test_full_batch_does_not_wait():
    state = ready()
    state.on_work([model(max_wait=10.0)], calls(*range(8)))
    assert batches(state.dispatch(5.0)) == [[*range(8)]]


def test_draining_manager_waits_for_no_more_calls():
    state = ready()
    state.on_work([model(max_wait=10.0)], calls(0))
    assert batches(state.dispatch(5.0)) == []
    state.on_drain()
    assert batches(state.dispatch(5.0)) == [[0]]


def test_death_of_a_worker_with_one_call_loses_that_one():
    state = ready()
    state.on_work([MODEL], calls(0))
    state.dispatch(0)
    assert state.on_worker_exit(0, -11, "boom") == [StartWorker(0)]
    assert kinds(state) == {0: ResultKind.WORKER_LOST}


def run_with_poison(state, poison, most=200):
    """Answer all calls; a batch with one of *poison* kills its worker. Return the ends of all."""
    ends, deaths = {}, 0
    for _ in range(most):
        found = sent(state.dispatch(0))
        if not found:
            return ends, deaths
        for rank, ids in found:
            if poison & {*ids}:
                deaths += 1
                state.on_worker_exit(rank, -11, "boom")
                state.on_worker_ready(rank)
            else:
                answer(state, rank, ids)
        ends.update(kinds(state))
    raise AssertionError("it does not end")


@pytest.mark.parametrize("poison", [{0}, {5}, {7}, {0, 7}, {3, 4}, set(range(8))])
def test_calls_that_kill_their_worker_are_found_by_halves_and_all_others_answered(poison):
    state = ready(slots=2)
    state.on_work([MODEL], calls(*range(8)))
    ends, deaths = run_with_poison(state, poison)
    assert {number for number, kind in ends.items() if kind == ResultKind.WORKER_LOST} == poison
    assert {number for number, kind in ends.items() if kind == ResultKind.VALUE} == {*range(8)} - poison
    assert deaths <= 4 * len(poison), "log2(8) halves and the whole"


def test_no_other_call_joins_the_halves_of_a_batch_whose_worker_died():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2, 3))
    state.dispatch(0)
    state.on_worker_exit(0, -9, "")
    state.on_work([], calls(4))
    state.on_worker_ready(0)
    for expected in ([0, 1], [2, 3], [4]):
        assert batches(state.dispatch(0)) == [expected]
        answer(state, 0, expected)


def test_answered_calls_of_a_batch_are_not_run_again():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2, 3))
    state.dispatch(0)
    answer(state, 0, [0, 1])
    state.on_worker_exit(0, -9, "")
    assert kinds(state) == {0: ResultKind.VALUE, 1: ResultKind.VALUE}
    assert state.held() == {2: 0, 3: 0}


def test_batch_that_is_not_done_at_its_walltime_runs_again_in_halves_until_one_is_too_long_alone():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2, walltime=5.0))
    assert batches(state.dispatch(0)) == [[0, 1, 2]]
    answer(state, 0, [0, 1, 2], 5.0, ResultKind.UNANSWERED)
    assert kinds(state) == {}
    assert batches(state.dispatch(5.0)) == [[0, 1]]
    answer(state, 0, [0, 1], 10.0, ResultKind.UNANSWERED)
    assert batches(state.dispatch(10.0)) == [[0]]
    assert state.on_tick(15.0 + GRACE) == [KillWorker(0)]
    state.on_worker_exit(0, -9, "")
    assert kinds(state) == {0: ResultKind.TIMED_OUT}
    state.on_worker_ready(0)
    for expected in ([1], [2]):
        assert batches(state.dispatch(20.0)) == [expected]
        answer(state, 0, expected, 20.0)
    assert kinds(state) == dict.fromkeys([1, 2], ResultKind.VALUE)


def test_batch_that_does_not_stop_at_its_walltime_is_killed_and_its_calls_run_in_halves():
    state = ready()
    state.on_work([MODEL], calls(0, 1, walltime=5.0))
    state.dispatch(0)
    assert state.on_tick(5.0 + GRACE) == [KillWorker(0)]
    state.on_worker_exit(0, -9, "")
    assert kinds(state) == {}
    assert state.held() == {0: 0, 1: 0}


def test_cancelled_call_that_waits_is_never_run():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2))
    assert state.on_cancel({1: 0}, 0) == []
    assert kinds(state) == {1: ResultKind.CANCELLED}
    assert batches(state.dispatch(0)) == [[0, 2]]


def test_batch_goes_on_while_one_of_its_calls_is_wanted_and_stops_then():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2))
    state.dispatch(0)
    assert state.on_cancel({0: 0, 1: 0}, 1.0) == []
    assert state.next_deadline > 1.0 + GRACE or state.on_tick(1.0 + GRACE) == []
    assert state.stopping() == {0: 0, 1: 0}
    assert state.on_cancel({2: 0}, 2.0) == [StopTask(0, 0)]
    answer(state, 0, [0, 1, 2], 2.5, ResultKind.CANCELLED)
    assert kinds(state) == dict.fromkeys([0, 1, 2], ResultKind.CANCELLED)
    assert state.on_tick(100.0) == []


def test_cancelled_batch_that_does_not_stop_is_killed():
    state = ready()
    state.on_work([MODEL], calls(0, 1))
    state.dispatch(0)
    state.on_cancel({0: 0, 1: 0}, 0.0)
    assert state.on_tick(GRACE) == [KillWorker(0)]
    state.on_worker_exit(0, -9, "")
    assert kinds(state) == dict.fromkeys([0, 1], ResultKind.CANCELLED)


def test_stop_counts_a_batch_as_one():
    state = ready()
    state.on_work([MODEL], calls(0, 1, 2))
    state.dispatch(0)
    answer(state, 0, [0, 1, 2])
    state.on_work([], calls(3))
    state.dispatch(0)
    assert state.on_cancel({3: 0}, 0) == [StopTask(0, 1)]


def test_pieces_of_a_stream_pass_in_order_and_end_nothing():
    state = ready()
    state.on_work([MODEL], calls(0, rows=0, attempt=3))
    state.dispatch(0)
    answer(state, 0, [0, 0], kind=ResultKind.PARTIAL)
    assert [(r.kind, r.attempt) for r, _ in state.take_results()] == [(ResultKind.PARTIAL, 3)] * 2
    assert state.held() == {0: 3}
    answer(state, 0, [0])
    assert [(r.kind, r.attempt) for r, _ in state.take_results()] == [(ResultKind.VALUE, 3)]
    assert state.held() == {}


def test_ending_manager_returns_calls_that_wait_and_cuts_off_those_that_run():
    state = ready()
    state.on_work([MODEL], calls(*range(10)))
    state.dispatch(0)
    state.on_ending()
    assert kinds(state) == dict.fromkeys([8, 9], ResultKind.RETURNED)
    state.on_cut()
    assert kinds(state) == dict.fromkeys(range(8), ResultKind.CUT_OFF)
    assert state.is_drained


def test_calls_are_asked_for_in_advance_while_they_come():
    state = ready(slots=2)
    assert (state.window, state.calls) == (2, 0)
    state.on_work([MODEL], calls(0))
    state.dispatch(0)
    assert (state.window, state.calls) == (2, 2 * 2 * 8)
    answer(state, 0, [0])
    state.take_results()
    assert state.next_deadline == 1.0
    state.on_tick(1.0)
    state.dispatch(1.0)
    assert (state.window, state.calls) == (2, 0)
    assert state.next_deadline == float("inf")


@pytest.mark.parametrize(("prefetch", "max_tasks", "expected"), [(0, None, 8), (None, 1, 0)])
def test_calls_in_advance_follow_the_settings(prefetch, max_tasks, expected):
    state = Manager(1, Prefetch(prefetch, max_tasks), "3.11", "h")
    state.on_start()
    state.on_worker_ready(0)
    state.on_work([MODEL], calls(0))
    state.dispatch(0)
    assert state.calls == expected


def loaded(function, error=""):
    return LoadedRecord(function.id, 1.5, error, b"{}")


def test_worker_loads_a_prepared_model_before_its_first_task():
    state = ready()
    state.models.on_prepare([MODEL])
    state.on_work([MODEL], calls(0))
    assert [type(action) for action in state.dispatch(0)] == [SendFunction, LoadModel]
    assert state.window == 0
    assert state.dispatch(0) == []
    state.models.on_loaded(0, loaded(MODEL))
    (reply,) = state.models.take_replies()
    assert (reply.function, reply.worker, reply.error, reply.seconds, reply.description) == (
        MODEL.id,
        0,
        "",
        1.5,
        b"{}",
    )
    assert [type(action) for action in state.dispatch(0)] == [SendTask]


def test_worker_whose_model_cannot_be_loaded_takes_tasks():
    state = ready()
    state.models.on_prepare([MODEL])
    state.dispatch(0)
    state.models.on_loaded(0, loaded(MODEL, "ImportError: no app1"))
    assert state.models.take_replies()[0].error == "ImportError: no app1"
    state.on_work([MODEL], calls(0))
    assert batches(state.dispatch(0)) == [[0]]


def test_busy_worker_loads_when_it_is_idle_and_its_successor_as_it_starts():
    state = ready()
    state.on_work([PLAIN], calls(0, function=PLAIN))
    state.dispatch(0)
    state.models.on_prepare([MODEL])
    assert state.dispatch(0) == []
    answer(state, 0, [0])
    assert LoadModel(0, MODEL.id) in state.dispatch(0)
    state.models.on_loaded(0, loaded(MODEL))
    state.on_worker_exit(0, -9, "")
    state.on_worker_ready(0)
    assert LoadModel(0, MODEL.id) in state.dispatch(0)


def test_model_that_kills_its_workers_is_given_up_and_the_manager_goes_on():
    state = ready()
    state.models.on_prepare([MODEL])
    for _ in range(3):
        assert LoadModel(0, MODEL.id) in state.dispatch(0)
        assert state.on_worker_exit(0, -11, "boom") == [StartWorker(0)]
        state.on_worker_ready(0)
    errors = [reply.error for reply in state.models.take_replies()]
    assert len(errors) == 3
    assert "boom" in errors[0]
    assert "not loaded in advance any more" in errors[2]
    assert state.dispatch(0) == []
    assert state.window == 1


def test_same_order_to_prepare_reports_again_what_is_loaded_and_loads_nothing():
    state = ready()
    state.models.on_prepare([MODEL])
    state.dispatch(0)
    state.models.on_loaded(0, loaded(MODEL))
    state.models.take_replies()
    state.models.on_prepare([MODEL])
    assert [reply.worker for reply in state.models.take_replies()] == [0]
    assert state.dispatch(0) == []
    state.models.on_prepare([])
    assert [type(action) for action in (*state.dispatch(0), *state.dispatch(UNLOAD_AFTER))] == [UnloadModel]
    assert not state.models


def test_worker_that_does_not_load_a_model_in_time_is_killed_and_the_model_is_not_tried_again():
    state = ready()
    slow = model(load_timeout=5.0)
    state.models.on_prepare([slow])
    assert LoadModel(0, slow.id) in state.dispatch(1.0)
    assert state.next_deadline == 6.0
    assert state.dispatch(5.9) == []
    assert state.dispatch(6.0) == [KillWorker(0)]
    assert state.dispatch(6.1) == []
    assert state.next_deadline > 1e9
    state.on_worker_exit(0, -9, "waiting for the weights")
    (reply,) = state.models.take_replies()
    for words in ("m was not loaded within 5 s", "load_timeout=", "waiting for the weights"):
        assert words in reply.error
    assert reply.seconds == 5.0
    state.on_worker_ready(0)
    assert state.dispatch(7.0) == []
    state.on_work([slow], calls(0, function=slow))
    assert batches(state.dispatch(7.0)) == [[0]], "its calls have a time of their own"


def test_each_of_several_models_has_its_own_time_to_be_loaded():
    state = ready()
    first, second = model(load_timeout=5.0), Function(b"s" * 16, "s", 0, "", b"code", (), Batching(8, load_timeout=5.0))
    state.models.on_prepare([first, second])
    state.dispatch(0)
    state.models.on_loaded(0, loaded(first))
    assert state.dispatch(4.0) == []
    assert state.next_deadline == 9.0
    assert state.dispatch(9.0) == [KillWorker(0)]
    state.models.take_replies()
    state.on_worker_exit(0, -9, "")
    assert state.models.take_replies()[0].function == second.id
    state.on_worker_ready(0)
    assert [each for each in state.dispatch(9.0) if isinstance(each, LoadModel)] == [LoadModel(0, first.id)]


def test_model_without_a_limit_may_load_for_ever():
    state = ready()
    state.models.on_prepare([model()])
    state.dispatch(0)
    assert state.dispatch(1e9) == []


def test_load_of_a_model_that_nobody_prepares_any_more_keeps_its_time():
    state = ready()
    slow = model(load_timeout=60.0)
    state.models.on_prepare([slow])
    state.dispatch(0)
    state.models.on_prepare([])
    state.dispatch(1.0)
    state.dispatch(1.0 + UNLOAD_AFTER)
    assert state.next_deadline == 60.0
    assert state.dispatch(60.0) == [KillWorker(0)]
    state.dispatch(60.1)
    assert state.next_deadline > 1e9, "the manager would never sleep again"


def test_model_whose_load_begins_after_its_last_prepare_has_its_time_too():
    state = ready()
    first, second = model(load_timeout=5.0), Function(b"s" * 16, "s", 0, "", b"code", (), Batching(8, load_timeout=5.0))
    state.models.on_prepare([first, second])
    state.dispatch(0)
    state.models.on_prepare([])
    state.models.on_loaded(0, loaded(first))
    state.dispatch(1.0)
    assert state.dispatch(6.0) == [KillWorker(0)]


def test_model_that_was_late_when_nobody_prepared_it_is_tried_by_the_next_prepare():
    state = ready()
    slow = model(load_timeout=5.0)
    state.models.on_prepare([slow])
    state.dispatch(0)
    state.models.on_prepare([])
    state.dispatch(5.0)
    state.on_worker_exit(0, -9, "")
    state.on_worker_ready(0)
    assert state.models.take_replies() == []
    state.models.on_prepare([slow])
    assert LoadModel(0, slow.id) in state.dispatch(6.0)


def test_reply_of_a_worker_that_is_being_killed_comes_too_late():
    state = ready()
    slow, other = model(load_timeout=5.0), Function(b"s" * 16, "s", 0, "", b"code", (), Batching(8, load_timeout=5.0))
    state.models.on_prepare([slow, other])
    state.dispatch(0)
    assert state.dispatch(5.0) == [KillWorker(0)]
    state.models.on_loaded(0, loaded(slow))
    state.models.on_loaded(0, loaded(other))
    state.on_work([slow], calls(0, function=slow))
    assert state.dispatch(5.0) == [], "the call would be lost with its worker"
    state.on_worker_exit(0, -9, "")
    (reply,) = state.models.take_replies()
    assert (reply.function, "m was not loaded within 5 s" in reply.error) == (slow.id, True)


def test_model_that_nobody_prepares_any_more_is_unloaded_a_while_later_and_loaded_anew_by_a_call():
    state = ready()
    state.models.on_prepare([MODEL])
    state.dispatch(0)
    state.models.on_loaded(0, loaded(MODEL))
    state.models.on_prepare([])
    assert state.dispatch(1.0) == []
    assert state.next_deadline == 1.0 + UNLOAD_AFTER
    assert state.dispatch(1.0 + UNLOAD_AFTER) == [UnloadModel(0, MODEL.id)]
    assert state.dispatch(2.0 + UNLOAD_AFTER) == []
    state.on_work([MODEL], calls(0))
    assert [type(action) for action in state.dispatch(20.0)] == [SendFunction, SendTask]


def test_model_that_comes_back_soon_stays_loaded():
    state = ready()
    state.models.on_prepare([MODEL])
    state.dispatch(0)
    state.models.on_loaded(0, loaded(MODEL))
    state.models.on_prepare([])
    state.dispatch(1.0)
    state.models.on_prepare([MODEL])
    assert state.dispatch(100.0) == []


def test_model_that_is_loaded_only_after_its_end_is_unloaded_too():
    state = ready()
    state.models.on_prepare([MODEL])
    state.dispatch(0)
    state.models.on_prepare([])
    state.dispatch(0)
    assert state.dispatch(UNLOAD_AFTER) == []
    state.models.on_loaded(0, loaded(MODEL))
    state.dispatch(50.0)
    assert state.dispatch(50.0 + UNLOAD_AFTER) == [UnloadModel(0, MODEL.id)]


def test_model_of_another_python_is_reported_and_not_loaded():
    state = ready()
    state.models.on_prepare([Function(b"x" * 16, "x", 0, "3.8", b"code", (), Batching(8))])
    (reply,) = state.models.take_replies()
    assert "3.8" in reply.error
    assert "3.11" in reply.error
    assert state.dispatch(0) == []


def test_modules_of_a_prepared_model_are_sent_before_it():
    module = Function(b"q" * 16, "q", 100, "", b"module")
    function = Function(b"m" * 16, "m", 0, "", b"code", (module.id,), Batching(8))
    state = ready()
    state.models.on_prepare([module, function])
    functions, load = state.dispatch(0)
    assert functions.functions == [module, function]
    assert load == LoadModel(0, function.id)


def test_calls_with_large_rows_run_together_once_these_are_here_in_their_order():
    incomplete = IncompleteTasks(BlobCache(0))
    state = ready(incomplete=AwaitedParts(incomplete))
    offers = [Offer(bytes([number]) * (KEY_SIZE + 8), 4, 1) for number in range(2)]
    large = [(Task(n, MODEL.id, b"", frames=1, rows=1, blobs=(offers[n],)), (b"args",)) for n in range(2)]
    state.on_work([MODEL], large)
    assert batches(state.dispatch(0)) == []
    for want in sorted(incomplete.next_wants(0.0), key=lambda want: want.blob):
        incomplete.on_chunk(Chunk(want.blob, b"", 0), b"rows", 0.0)
    state.on_blobs()
    assert batches(state.dispatch(0)) == [[0, 1]]
