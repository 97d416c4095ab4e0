"""Stories of the manager's state machine."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import GRACE, GiveFunction, GiveTask, KillWorker, Manager, Quit, StartWorker, StopTask
from cnflow.wire.failure_bodies import decode_timed_out, decode_worker_lost
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
OTHER_PYTHON = Function(b"o" * 16, "o", 0, "3.8", b"code")


def manager(slots=2, prefetch=None):
    return Manager(slots, Prefetch(prefetch), "3.11", "host h, block 0")


def tasks(*numbers, function=FUNCTION):
    return [(Task(number, function.id, b"args"), ()) for number in numbers]


def value(number, seconds=1.0):
    return (Result(number, ResultKind.VALUE, b"v", seconds), ())


def given(actions):
    return [(action.rank, action.task[0].id) for action in actions if isinstance(action, GiveTask)]


def running(state, *ranks):
    state.started()
    for rank in ranks:
        state.ready(rank)
    return state


def test_workers_are_started_at_once_and_wanted_tasks_follow_their_first_word():
    state = manager(slots=2)
    assert state.started() == [StartWorker(0), StartWorker(1)]
    assert state.window == 0
    state.ready(1)
    assert state.window == 1


def test_each_worker_gets_one_task_while_nothing_is_known_of_their_length():
    state = running(manager(slots=2), 0, 1)
    state.work([FUNCTION], tasks(0, 1, 2))
    assert given(state.dispatch(0)) == [(0, 0), (1, 1)]
    state.returned(1, [value(1)], 0)
    assert given(state.dispatch(0)) == [(1, 2)]


def test_the_task_that_runs_is_told_with_how_long_it_has():
    state = running(manager(slots=1, prefetch=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(5)
    assert [state.running(number, 7) for number in (0, 1, 2)] == [(0, 2), (-1, 0.0), (-1, 0.0)]
    state.returned(0, [value(0)], 8)
    state.dispatch(8)
    assert [state.running(number, 9) for number in (0, 1)] == [(-1, 0.0), (0, 1)]


def test_a_function_is_written_once_to_each_worker():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    assert [type(action) for action in state.dispatch(0)] == [GiveFunction, GiveTask]
    state.returned(0, [value(0)], 0)
    assert [type(action) for action in state.dispatch(0)] == [GiveTask]


def test_short_tasks_are_held_in_advance_and_long_ones_are_not():
    state = running(manager(slots=1), 0)
    assert state.window == 1
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.returned(0, [value(0, seconds=0.00001)], 0)
    assert state.window > 100
    state.dispatch(0)
    state.returned(0, [value(1, seconds=2.0)], 0)
    assert state.window == 1


def test_prefetch_zero_holds_nothing_in_advance_however_short_the_tasks():
    state = running(manager(slots=1, prefetch=0), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.returned(0, [value(0, seconds=0.00001)], 0)
    assert state.window == 1


def test_a_crash_fails_the_task_that_ran_and_only_that():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.returned(0, [value(0, seconds=0.00001)], 0)
    state.work([], tasks(1, 2, 3))
    assert given(state.dispatch(0)) == [(0, 1), (0, 2), (0, 3)]
    state.take_results()
    assert state.exited(0, -11, "last words") == [StartWorker(0)]
    ((lost, _),) = state.take_results()
    assert (lost.id, lost.kind) == (1, ResultKind.WORKER_LOST)
    loss = decode_worker_lost(lost.body)
    assert (loss.exitcode, loss.stderr_tail) == (-11, "last words")
    assert "worker 0" in loss.where
    state.ready(0)
    assert [number for _, number in given(state.dispatch(0))] == [2, 3]


def test_a_record_of_a_process_that_a_task_forked_is_dropped():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.returned(0, [value(0), value(0)], 0)
    assert [result.id for result, _ in state.take_results()] == [0]
    assert given(state.dispatch(0)) == [(0, 1)]


def test_a_replaced_worker_is_given_the_functions_anew():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.exited(0, 1, "")
    state.ready(0)
    assert [type(action) for action in state.dispatch(0)] == [GiveFunction, GiveTask]


def test_code_of_another_python_is_refused_before_it_reaches_a_worker():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION, OTHER_PYTHON], tasks(0, function=OTHER_PYTHON) + tasks(1))
    assert given(state.dispatch(0)) == [(0, 1)]
    ((refused, _),) = state.take_results()
    assert (refused.id, refused.kind) == (0, ResultKind.REFUSED)
    assert refused.body == b"3.8 3.11 host h, block 0"


def test_arguments_with_code_of_another_python_are_refused_too():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], [(Task(0, FUNCTION.id, b"args", "3.12"), ())])
    assert state.dispatch(0) == []
    assert state.take_results()[0][0].kind == ResultKind.REFUSED


def test_a_manager_whose_workers_die_as_they_start_gives_up_with_their_words():
    state = manager(slots=1)
    state.started()
    assert state.exited(0, 1, "boom") == [StartWorker(0)]
    assert state.exited(0, 1, "boom") == [StartWorker(0)]
    (quit_action,) = state.exited(0, 1, "boom")
    assert isinstance(quit_action, Quit)
    assert "boom" in quit_action.reason


def test_a_manager_that_drains_is_done_when_it_has_given_everything_back():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    assert not state.is_drained
    state.drain()
    assert not state.is_drained
    state.returned(0, [value(0)], 1)
    state.dispatch(1)
    state.take_results()
    assert not state.is_drained, "a task still runs"
    state.returned(0, [value(1)], 2)
    assert not state.is_drained, "a result has not left"
    state.take_results()
    assert state.is_drained


def test_an_idle_manager_is_not_drained_before_it_is_told():
    state = running(manager(slots=1), 0)
    assert not state.is_drained
    state.drain()
    assert state.is_drained


def kinds(state):
    return {result.id: result.kind for result, _ in state.take_results()}


def limited(number, walltime):
    return [(Task(number, FUNCTION.id, b"args", walltime=walltime), ())]


def with_short_tasks_in_the_pipe(*numbers):
    """One worker, to which all of these were written; the first of them runs."""
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(1000))
    state.dispatch(0)
    state.returned(0, [value(1000, seconds=0.00001)], 0)
    state.work([], tasks(*numbers))
    state.dispatch(0)
    state.take_results()
    return state


def cancelled(number):
    return (Result(number, ResultKind.CANCELLED, b""), ())


def test_a_task_that_is_cancelled_in_the_queue_reaches_no_worker():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.cancelled([1], 0) == []
    assert kinds(state) == {1: ResultKind.CANCELLED}
    state.returned(0, [value(0)], 0)
    assert given(state.dispatch(0)) == [(0, 2)]


def test_the_worker_of_a_cancelled_task_is_told_and_its_answer_ends_the_matter():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.cancelled([0], 5) == [StopTask(0, 0)]
    assert state.next_deadline == 5 + GRACE
    state.returned(0, [cancelled(0)], 6)
    assert kinds(state) == {0: ResultKind.CANCELLED}
    assert state.ticked(100) == []


def test_a_worker_is_told_of_a_task_by_its_number_among_all_it_was_given():
    state = with_short_tasks_in_the_pipe(7, 8, 9)
    assert state.cancelled([9], 0) == [StopTask(0, 3)]
    assert state.next_deadline == float("inf"), "it does not run yet"


def test_a_task_that_is_cancelled_twice_is_told_of_once():
    state = with_short_tasks_in_the_pipe(7)
    assert state.cancelled([7], 0) == [StopTask(0, 1)]
    assert state.cancelled([7], 1) == []


def test_a_cancelled_task_that_was_faster_is_reported_with_its_result():
    state = with_short_tasks_in_the_pipe(7)
    state.cancelled([7], 0)
    state.returned(0, [value(7)], 0)
    assert kinds(state) == {7: ResultKind.VALUE}
    assert state.cancelled([7], 1) == []
    assert kinds(state) == {}


def test_a_worker_that_does_not_stop_is_killed_after_the_grace_and_innocents_run_elsewhere():
    state = with_short_tasks_in_the_pipe(7, 8, 9)
    state.cancelled([7], 0)
    assert state.ticked(GRACE - 0.1) == []
    assert state.ticked(GRACE) == [KillWorker(0)]
    assert state.exited(0, -9, "") == [StartWorker(0)]
    assert kinds(state) == {7: ResultKind.CANCELLED}
    state.ready(0)
    assert [number for _, number in given(state.dispatch(9))] == [8, 9]


def test_a_killed_worker_is_given_nothing_more():
    state = with_short_tasks_in_the_pipe(7)
    state.cancelled([7], 0)
    state.ticked(GRACE)
    state.work([], tasks(8))
    assert state.dispatch(GRACE) == []


def test_the_late_result_of_a_killed_worker_counts_and_who_waited_behind_is_not_blamed():
    state = with_short_tasks_in_the_pipe(7, 8)
    state.cancelled([7], 0)
    state.ticked(GRACE)
    state.returned(0, [value(7)], GRACE)
    state.exited(0, -9, "")
    assert kinds(state) == {7: ResultKind.VALUE}
    assert state.held() == [8]


def test_a_task_in_the_pipe_that_is_cancelled_and_whose_worker_dies_is_not_run_again():
    state = with_short_tasks_in_the_pipe(7, 8, 9)
    state.cancelled([8], 0)
    state.exited(0, 1, "")
    assert kinds(state) == {7: ResultKind.WORKER_LOST, 8: ResultKind.CANCELLED}
    assert state.held() == [9]


def test_the_clock_of_a_walltime_starts_when_the_task_does():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], limited(0, 10) + limited(1, 5))
    state.dispatch(100)
    assert state.next_deadline == 110 + GRACE
    state.returned(0, [value(0)], 107)
    assert state.next_deadline == float("inf")
    state.dispatch(108)
    assert state.next_deadline == 113 + GRACE


def test_a_task_in_the_pipe_starts_when_the_one_before_it_has_ended():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.returned(0, [value(0, seconds=0.00001)], 0)
    state.work([], tasks(1) + limited(2, 5))
    state.dispatch(0)
    assert state.next_deadline == float("inf")
    state.returned(0, [value(1)], 50)
    assert state.next_deadline == 55 + GRACE


def test_a_task_that_outlives_its_walltime_and_the_grace_ends_with_its_worker():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], limited(0, 10))
    state.dispatch(0)
    assert state.ticked(11) == []
    assert state.ticked(10 + GRACE) == [KillWorker(0)]
    assert state.ticked(20 + GRACE) == [], "once is enough"
    state.exited(0, -9, "")
    ((result, _),) = state.take_results()
    assert result.kind == ResultKind.TIMED_OUT
    overrun = decode_timed_out(result.body)
    assert (overrun.app_name, overrun.walltime) == ("f", 10)


def test_a_worker_that_dies_by_itself_before_the_deadline_is_lost_as_ever():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], limited(0, 10))
    state.dispatch(0)
    state.exited(0, -11, "")
    assert kinds(state) == {0: ResultKind.WORKER_LOST}
    assert state.next_deadline == float("inf")


def test_a_cancelled_task_says_nothing_of_how_long_tasks_take():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.cancelled([0], 0)
    state.returned(0, [cancelled(0)], 0)
    assert state.window == 1


class WhateverHappens(RuleBasedStateMachine):
    """However workers answer, die, hang and start, and whatever is cancelled: no task is lost, none has two results."""

    def __init__(self):
        super().__init__()
        self.state = manager(slots=3)
        self.pipes = {}
        self.written = {}
        self.follow(self.state.started())
        self.now = 0
        self.submitted = 0
        self.finished = []
        self.wanted = set()

    def follow(self, actions):
        for action in actions:
            if isinstance(action, StartWorker):
                self.pipes[action.rank], self.written[action.rank] = [], []
            elif isinstance(action, GiveTask):
                self.pipes[action.rank].append(action.task[0].id)
                self.written[action.rank].append(action.task[0].id)
            elif isinstance(action, StopTask):
                assert self.written[action.rank][action.number] in self.wanted, "an innocent is stopped"
                assert self.written[action.rank][action.number] in self.pipes[action.rank]
            elif isinstance(action, KillWorker):
                assert self.pipes[action.rank], "an idle worker is killed"

    def after(self):
        self.follow(self.state.dispatch(self.now))
        for result, _ in self.state.take_results():
            self.finished.append(result.id)
            assert result.kind != ResultKind.CANCELLED or result.id in self.wanted

    @rule(count=st.integers(1, 20), walltime=st.sampled_from([0, 0, 1, 5]))
    def work_comes(self, count, walltime):
        numbers = range(self.submitted, self.submitted + count)
        self.submitted += count
        self.state.work([FUNCTION], [parcel for number in numbers for parcel in limited(number, walltime)])
        self.after()

    @rule(rank=st.integers(0, 2))
    def worker_is_ready(self, rank):
        self.state.ready(rank)
        self.after()

    @rule(data=st.data(), seconds=st.sampled_from([0.00001, 0.001, 1.0]))
    @precondition(lambda self: any(self.pipes.values()))
    def worker_answers(self, data, seconds):
        rank = data.draw(st.sampled_from([rank for rank, pipe in self.pipes.items() if pipe]))
        count = data.draw(st.integers(1, len(self.pipes[rank])))
        done, self.pipes[rank] = self.pipes[rank][:count], self.pipes[rank][count:]
        results = [
            cancelled(number) if number in self.wanted and data.draw(st.booleans()) else value(number, seconds)
            for number in done
        ]
        self.state.returned(rank, results, self.now)
        self.after()

    @rule(rank=st.integers(0, 2))
    def worker_dies(self, rank):
        self.follow(self.state.exited(rank, -9, ""))
        self.after()

    @rule(data=st.data())
    @precondition(lambda self: self.submitted)
    def driver_cancels(self, data):
        ids = data.draw(st.sets(st.integers(0, self.submitted - 1), min_size=1, max_size=5))
        self.wanted |= ids
        self.follow(self.state.cancelled(ids, self.now))
        self.after()

    @rule(seconds=st.sampled_from([0.5, 1, 3, 10]))
    def time_passes(self, seconds):
        self.now += seconds
        self.follow(self.state.ticked(self.now))
        self.after()
        assert self.state.next_deadline > self.now

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        assert sorted([*self.state.held(), *self.finished]) == list(range(self.submitted))


WhateverHappens.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestWhateverHappens = WhateverHappens.TestCase


def answered(state):
    return {result.id: result.kind for result, _ in state.take_results()}


def test_a_manager_that_ends_hands_back_what_was_not_begun_and_ends_what_runs():
    state = running(manager(slots=1, prefetch=2), 0)
    state.work([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    state.end()
    assert answered(state) == {1: ResultKind.RETURNED, 2: ResultKind.RETURNED}
    state.work([], tasks(3))
    assert answered(state) == {3: ResultKind.RETURNED}
    assert not state.is_drained
    state.returned(0, [value(0)], 1)
    assert answered(state) == {0: ResultKind.VALUE}
    assert state.is_drained


def test_what_still_runs_when_the_grace_is_over_is_cut_off():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0))
    state.dispatch(0)
    state.end()
    state.cut()
    assert answered(state) == {0: ResultKind.CUT_OFF}
    assert state.is_drained


def test_a_worker_that_is_ended_with_its_manager_is_not_lost():
    state = running(manager(slots=2), 0, 1)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    state.end()
    assert state.exited(0, -15, "") == []
    assert state.exited(1, -11, "boom") == []
    assert answered(state) == {0: ResultKind.CUT_OFF, 1: ResultKind.WORKER_LOST}
