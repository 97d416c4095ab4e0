import math

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import KillWorker, Manager, Quit, SendFunction, SendTask, StartWorker, StopTask
from cnflow.manager.workers.task_deadlines import GRACE
from cnflow.wire.failure_bodies import decode_timed_out, decode_worker_lost
from cnflow.wire.function_messages import Function
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
OTHER_PYTHON = Function(b"o" * 16, "o", 0, "3.8", b"code")


def manager(slots=2, prefetch=None):
    return Manager(slots, Prefetch(prefetch), "3.11", "host h, block 0")


def tasks(*numbers, function=FUNCTION):
    return [(Task(number, function.id, b"args"), ()) for number in numbers]


def value_result(number, seconds=1.0):
    return (Result(number, ResultKind.VALUE, b"v", seconds), ())


def sent_tasks(actions):
    return [(action.rank, action.task[0].id) for action in actions if isinstance(action, SendTask)]


def with_ready_workers(state, *ranks):
    state.on_start()
    for rank in ranks:
        state.on_worker_ready(rank)
    return state


def test_workers_start_at_once_and_tasks_are_asked_for_when_one_is_ready():
    state = manager(slots=2)
    assert state.on_start() == [StartWorker(0), StartWorker(1)]
    assert state.window == 0
    state.on_worker_ready(1)
    assert state.window == 1


def test_each_worker_gets_one_task_while_the_length_of_tasks_is_unknown():
    state = with_ready_workers(manager(slots=2), 0, 1)
    state.on_work([FUNCTION], tasks(0, 1, 2))
    assert sent_tasks(state.dispatch(0)) == [(0, 0), (1, 1)]
    state.on_results(1, [value_result(1)], 0)
    assert sent_tasks(state.dispatch(0)) == [(1, 2)]


def test_the_worker_and_the_run_time_of_a_running_task_are_reported():
    state = with_ready_workers(manager(slots=1, prefetch=1), 0)
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(5)
    assert [state.workers.worker_of(number, 7) for number in (0, 1, 2)] == [(0, 2), (-1, 0.0), (-1, 0.0)]
    state.on_results(0, [value_result(0)], 8)
    state.dispatch(8)
    assert [state.workers.worker_of(number, 9) for number in (0, 1)] == [(-1, 0.0), (0, 1)]


def test_a_function_is_sent_once_to_each_worker():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0, 1))
    assert [type(action) for action in state.dispatch(0)] == [SendFunction, SendTask]
    state.on_results(0, [value_result(0)], 0)
    assert [type(action) for action in state.dispatch(0)] == [SendTask]


def test_short_tasks_are_held_in_advance_and_long_ones_are_not():
    state = with_ready_workers(manager(slots=1), 0)
    assert state.window == 1
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.on_results(0, [value_result(0, seconds=0.00001)], 0)
    assert state.window > 100
    state.dispatch(0)
    state.on_results(0, [value_result(1, seconds=2.0)], 0)
    assert state.window == 1


def test_prefetch_zero_holds_nothing_in_advance_however_short_the_tasks():
    state = with_ready_workers(manager(slots=1, prefetch=0), 0)
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.on_results(0, [value_result(0, seconds=0.00001)], 0)
    assert state.window == 1


def test_a_crash_fails_only_the_task_that_ran():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_results(0, [value_result(0, seconds=0.00001)], 0)
    state.on_work([], tasks(1, 2, 3))
    assert sent_tasks(state.dispatch(0)) == [(0, 1), (0, 2), (0, 3)]
    state.take_results()
    assert state.on_worker_exit(0, -11, "last words") == [StartWorker(0)]
    ((lost, _),) = state.take_results()
    assert (lost.id, lost.kind) == (1, ResultKind.WORKER_LOST)
    loss = decode_worker_lost(lost.body)
    assert (loss.exitcode, loss.stderr_tail) == (-11, "last words")
    assert "worker 0" in loss.where
    state.on_worker_ready(0)
    assert [number for _, number in sent_tasks(state.dispatch(0))] == [2, 3]


def test_a_result_of_a_process_that_a_task_forked_is_dropped():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.on_results(0, [value_result(0), value_result(0)], 0)
    assert [result.id for result, _ in state.take_results()] == [0]
    assert sent_tasks(state.dispatch(0)) == [(0, 1)]


def test_the_successor_of_a_worker_is_sent_the_functions_again():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.on_worker_exit(0, 1, "")
    state.on_worker_ready(0)
    assert [type(action) for action in state.dispatch(0)] == [SendFunction, SendTask]


def test_code_of_another_python_is_refused_before_it_reaches_a_worker():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION, OTHER_PYTHON], tasks(0, function=OTHER_PYTHON) + tasks(1))
    assert sent_tasks(state.dispatch(0)) == [(0, 1)]
    ((refused, _),) = state.take_results()
    assert (refused.id, refused.kind) == (0, ResultKind.REFUSED)
    assert refused.body == b"3.8 3.11 host h, block 0"


def test_arguments_with_code_of_another_python_are_refused_too():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], [(Task(0, FUNCTION.id, b"args", "3.12"), ())])
    assert state.dispatch(0) == []
    assert state.take_results()[0][0].kind == ResultKind.REFUSED


def test_a_manager_whose_workers_die_as_they_start_quits_with_their_output():
    state = manager(slots=1)
    state.on_start()
    assert state.on_worker_exit(0, 1, "boom") == [StartWorker(0)]
    assert state.on_worker_exit(0, 1, "boom") == [StartWorker(0)]
    (quit_action,) = state.on_worker_exit(0, 1, "boom")
    assert isinstance(quit_action, Quit)
    assert "boom" in quit_action.reason


def test_a_draining_manager_is_drained_when_every_result_was_taken():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    assert not state.is_drained
    state.on_drain()
    assert not state.is_drained
    state.on_results(0, [value_result(0)], 1)
    state.dispatch(1)
    state.take_results()
    assert not state.is_drained, "a task still runs"
    state.on_results(0, [value_result(1)], 2)
    assert not state.is_drained, "a result has not left"
    state.take_results()
    assert state.is_drained


def test_an_idle_manager_is_not_drained_before_the_order():
    state = with_ready_workers(manager(slots=1), 0)
    assert not state.is_drained
    state.on_drain()
    assert state.is_drained


def kinds(state):
    return {result.id: result.kind for result, _ in state.take_results()}


def limited(number, walltime):
    return [(Task(number, FUNCTION.id, b"args", walltime=walltime), ())]


def with_short_tasks_in_pipe(*numbers):
    """Return the state with one worker, to which all tasks *numbers* were written; the first of them runs."""
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(1000))
    state.dispatch(0)
    state.on_results(0, [value_result(1000, seconds=0.00001)], 0)
    state.on_work([], tasks(*numbers))
    state.dispatch(0)
    state.take_results()
    return state


def cancel_result(number):
    return (Result(number, ResultKind.CANCELLED, b""), ())


def test_a_task_cancelled_in_the_queue_reaches_no_worker():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.on_cancel({1: 0}, 0) == []
    assert kinds(state) == {1: ResultKind.CANCELLED}
    state.on_results(0, [value_result(0)], 0)
    assert sent_tasks(state.dispatch(0)) == [(0, 2)]


def test_the_worker_of_a_cancelled_task_is_ordered_to_stop_it_and_keeps_running():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.on_cancel({0: 0}, 5) == [StopTask(0, 0)]
    assert state.next_deadline == 5 + GRACE
    state.on_results(0, [cancel_result(0)], 6)
    assert kinds(state) == {0: ResultKind.CANCELLED}
    assert state.on_tick(100) == []


def test_a_stop_names_the_task_by_its_number_among_those_sent_to_the_worker():
    state = with_short_tasks_in_pipe(7, 8, 9)
    assert state.on_cancel({9: 0}, 0) == [StopTask(0, 3)]
    assert state.next_deadline == float("inf"), "it does not run yet"


def test_a_task_cancelled_twice_is_stopped_once():
    state = with_short_tasks_in_pipe(7)
    assert state.on_cancel({7: 0}, 0) == [StopTask(0, 1)]
    assert state.on_cancel({7: 0}, 1) == []


def test_a_cancelled_task_that_ended_first_keeps_its_result():
    state = with_short_tasks_in_pipe(7)
    state.on_cancel({7: 0}, 0)
    state.on_results(0, [value_result(7)], 0)
    assert kinds(state) == {7: ResultKind.VALUE}
    assert state.on_cancel({7: 0}, 1) == []
    assert kinds(state) == {}


def attempt(number, of=0):
    return [(Task(of, FUNCTION.id, b"args", attempt=number), ())]


def test_results_carry_the_attempt_of_their_task():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], attempt(3))
    state.dispatch(0)
    state.on_results(0, [value_result(0)], 0)
    state.on_work([], attempt(4))
    state.on_cancel({0: 4}, 0)
    assert [(result.kind, result.attempt) for result, _ in state.take_results()] == [
        (ResultKind.VALUE, 3),
        (ResultKind.CANCELLED, 4),
    ]


def test_a_cancel_stops_one_attempt_and_leaves_the_next_one_alone():
    state = with_ready_workers(manager(slots=1, prefetch=1), 0)
    state.on_work([FUNCTION], attempt(0))
    state.dispatch(0)
    state.on_work([], attempt(1))
    assert state.on_cancel({0: 0}, 0) == [StopTask(0, 0)]
    assert (state.held(), state.stopping()) == ({0: 1}, {0: 0})
    state.on_tick(GRACE)
    assert sent_tasks([*state.on_worker_exit(0, -9, ""), *state.dispatch(2)]) == []
    state.on_worker_ready(0)
    assert sent_tasks(state.dispatch(3)) == [(0, 0)]
    assert [(result.kind, result.attempt) for result, _ in state.take_results()] == [(ResultKind.CANCELLED, 0)]


def test_a_worker_that_does_not_stop_is_killed_and_its_other_tasks_run_again():
    state = with_short_tasks_in_pipe(7, 8, 9)
    state.on_cancel({7: 0}, 0)
    assert state.on_tick(GRACE - 0.1) == []
    assert state.on_tick(GRACE) == [KillWorker(0)]
    assert state.on_worker_exit(0, -9, "") == [StartWorker(0)]
    assert kinds(state) == {7: ResultKind.CANCELLED}
    state.on_worker_ready(0)
    assert [number for _, number in sent_tasks(state.dispatch(9))] == [8, 9]


def test_a_killed_worker_is_sent_no_tasks():
    state = with_short_tasks_in_pipe(7)
    state.on_cancel({7: 0}, 0)
    state.on_tick(GRACE)
    state.on_work([], tasks(8))
    assert state.dispatch(GRACE) == []


def test_the_late_result_of_a_killed_worker_counts_and_the_next_task_is_not_failed():
    state = with_short_tasks_in_pipe(7, 8)
    state.on_cancel({7: 0}, 0)
    state.on_tick(GRACE)
    state.on_results(0, [value_result(7)], GRACE)
    state.on_worker_exit(0, -9, "")
    assert kinds(state) == {7: ResultKind.VALUE}
    assert state.held() == {8: 0}


def test_a_cancelled_task_in_the_pipe_of_a_worker_that_dies_is_not_run_again():
    state = with_short_tasks_in_pipe(7, 8, 9)
    state.on_cancel({8: 0}, 0)
    state.on_worker_exit(0, 1, "")
    assert kinds(state) == {7: ResultKind.WORKER_LOST, 8: ResultKind.CANCELLED}
    assert state.held() == {9: 0}


def test_a_walltime_counts_from_the_start_of_its_task():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], limited(0, 10) + limited(1, 5))
    state.dispatch(100)
    assert state.next_deadline == 110 + GRACE
    state.on_results(0, [value_result(0)], 107)
    assert state.next_deadline == float("inf")
    state.dispatch(108)
    assert state.next_deadline == 113 + GRACE


def test_a_task_in_the_pipe_starts_when_the_one_before_it_ends():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_results(0, [value_result(0, seconds=0.00001)], 0)
    state.on_work([], tasks(1) + limited(2, 5))
    state.dispatch(0)
    assert state.next_deadline == float("inf")
    state.on_results(0, [value_result(1)], 50)
    assert state.next_deadline == 55 + GRACE


def test_a_task_that_outlives_walltime_and_grace_is_killed_with_its_worker():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], limited(0, 10))
    state.dispatch(0)
    assert state.on_tick(11) == []
    assert state.on_tick(10 + GRACE) == [KillWorker(0)]
    assert state.on_tick(20 + GRACE) == [], "a worker is killed once"
    state.on_worker_exit(0, -9, "")
    ((result, _),) = state.take_results()
    assert result.kind == ResultKind.TIMED_OUT
    overrun = decode_timed_out(result.body)
    assert (overrun.app_name, overrun.walltime) == ("f", 10)


def test_a_worker_that_dies_before_the_deadline_of_its_task_is_lost():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], limited(0, 10))
    state.dispatch(0)
    state.on_worker_exit(0, -11, "")
    assert kinds(state) == {0: ResultKind.WORKER_LOST}
    assert state.next_deadline == float("inf")


def test_a_cancelled_task_does_not_change_the_estimated_length():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_cancel({0: 0}, 0)
    state.on_results(0, [cancel_result(0)], 0)
    assert state.window == 1


class AnySequenceOfEvents(RuleBasedStateMachine):
    """No task is lost and none has two results, in any order of results, deaths, starts and cancellations."""

    def __init__(self):
        super().__init__()
        self.state = manager(slots=3)
        self.pipes = {}
        self.sent = {}
        self.apply(self.state.on_start())
        self.now = 0
        self.submitted = 0
        self.finished = []
        self.cancelled = set()

    def apply(self, actions):
        for action in actions:
            if isinstance(action, StartWorker):
                self.pipes[action.rank], self.sent[action.rank] = [], []
            elif isinstance(action, SendTask):
                self.pipes[action.rank].append(action.task[0].id)
                self.sent[action.rank].append(action.task[0].id)
            elif isinstance(action, StopTask):
                assert self.sent[action.rank][action.number] in self.cancelled, "it was not cancelled"
                assert self.sent[action.rank][action.number] in self.pipes[action.rank]
            elif isinstance(action, KillWorker):
                assert self.pipes[action.rank], "an idle worker is killed"

    def dispatch(self):
        self.apply(self.state.dispatch(self.now))
        for result, _ in self.state.take_results():
            self.finished.append(result.id)
            assert result.kind != ResultKind.CANCELLED or result.id in self.cancelled

    @rule(count=st.integers(1, 20), walltime=st.sampled_from([0, 0, 1, 5]))
    def interchange_sends_work(self, count, walltime):
        numbers = range(self.submitted, self.submitted + count)
        self.submitted += count
        self.state.on_work([FUNCTION], [parcel for number in numbers for parcel in limited(number, walltime)])
        self.dispatch()

    @rule(rank=st.integers(0, 2))
    def worker_is_ready(self, rank):
        self.state.on_worker_ready(rank)
        self.dispatch()

    @rule(data=st.data(), seconds=st.sampled_from([0.00001, 0.001, 1.0]))
    @precondition(lambda self: any(self.pipes.values()))
    def worker_sends_results(self, data, seconds):
        rank = data.draw(st.sampled_from([rank for rank, pipe in self.pipes.items() if pipe]))
        count = data.draw(st.integers(1, len(self.pipes[rank])))
        done, self.pipes[rank] = self.pipes[rank][:count], self.pipes[rank][count:]
        results = [
            cancel_result(number)
            if number in self.cancelled and data.draw(st.booleans())
            else value_result(number, seconds)
            for number in done
        ]
        self.state.on_results(rank, results, self.now)
        self.dispatch()

    @rule(rank=st.integers(0, 2))
    def worker_dies(self, rank):
        self.apply(self.state.on_worker_exit(rank, -9, ""))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.submitted)
    def driver_cancels(self, data):
        ids = data.draw(st.sets(st.integers(0, self.submitted - 1), min_size=1, max_size=5))
        self.cancelled |= ids
        self.apply(self.state.on_cancel(dict.fromkeys(ids, 0), self.now))
        self.dispatch()

    @rule(seconds=st.sampled_from([0.5, 1, 3, 10]))
    def time_passes(self, seconds):
        self.now += seconds
        self.apply(self.state.on_tick(self.now))
        self.dispatch()
        assert self.state.next_deadline > self.now

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        assert sorted([*self.state.held(), *self.state.stopping(), *self.finished]) == list(range(self.submitted))


AnySequenceOfEvents.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnySequenceOfEvents = AnySequenceOfEvents.TestCase


def test_an_ending_manager_returns_tasks_that_were_not_started_and_finishes_the_others():
    state = with_ready_workers(manager(slots=1, prefetch=2), 0)
    state.on_work([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    state.on_ending()
    assert kinds(state) == {1: ResultKind.RETURNED, 2: ResultKind.RETURNED}
    state.on_work([], tasks(3))
    assert kinds(state) == {3: ResultKind.RETURNED}
    assert not state.is_drained
    state.on_results(0, [value_result(0)], 1)
    assert kinds(state) == {0: ResultKind.VALUE}
    assert state.is_drained


def test_tasks_that_run_at_the_end_of_the_grace_are_cut_off():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_ending()
    state.on_cut()
    assert kinds(state) == {0: ResultKind.CUT_OFF}
    assert state.is_drained


def test_a_walltime_that_passes_in_the_moment_of_the_cut_does_not_end_the_manager():
    state = with_ready_workers(manager(slots=1), 0)
    state.on_work([FUNCTION], [(Task(0, FUNCTION.id, b"args", walltime=5.0), ())])
    state.dispatch(0)
    state.on_ending()
    state.on_cut()
    assert state.next_deadline == math.inf
    assert state.on_tick(5.0 + GRACE) == []
    assert kinds(state) == {0: ResultKind.CUT_OFF}


def test_a_worker_terminated_with_its_manager_is_not_lost():
    state = with_ready_workers(manager(slots=2), 0, 1)
    state.on_work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.on_ending()
    assert state.on_worker_exit(0, -15, "") == []
    assert state.on_worker_exit(1, -11, "boom") == []
    assert kinds(state) == {0: ResultKind.CUT_OFF, 1: ResultKind.WORKER_LOST}
