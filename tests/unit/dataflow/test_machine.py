"""Stories of the kernel's state machine."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.dataflow.state import LOSSES, TaskGraphState
from cnflow.model.task import TaskState


def test_a_task_without_dependencies_is_launched_at_once():
    assert TaskGraphState().on_submitted(0, ()).launch == [0]


def test_a_task_is_launched_when_its_last_dependency_is_done():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, ())
    assert machine.on_submitted(2, [0, 1]).launch == []
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)]).launch == []
    assert machine.on_attempts_ended([AttemptEnd(1, AttemptResult.DONE)]).launch == [2]


def test_a_dependency_that_is_named_twice_counts_once():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0, 0])
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)]).launch == [1]


def test_a_dependency_that_is_done_already_is_not_waited_for():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)])
    assert machine.on_submitted(1, [0]).launch == [1]


def test_a_failure_spreads_to_all_that_depend_on_it_and_names_the_nearest():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0])
    machine.on_submitted(2, [1])
    machine.on_submitted(3, ())
    changes = machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)])
    assert changes.final == [
        (0, TaskState.FAILED),
        (1, TaskState.DEPENDENCY_FAILED),
        (2, TaskState.DEPENDENCY_FAILED),
    ]
    assert changes.failed_by == {1: 0, 2: 1}
    assert machine.counts()[TaskState.LAUNCHED] == 1


def test_a_task_submitted_after_its_dependency_failed_is_never_launched():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)])
    changes = machine.on_submitted(1, [0])
    assert changes.launch == []
    assert changes.failed_by == {1: 0}


def test_a_task_with_two_failing_dependencies_fails_once():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, ())
    machine.on_submitted(2, [0, 1])
    changes = machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED), AttemptEnd(1, AttemptResult.FAILED)])
    assert [task for task, _ in changes.final] == [0, 2, 1]


def test_a_failed_task_is_tried_again_as_often_as_it_has_retries():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=2)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).final == [(0, TaskState.FAILED)]


def test_a_lost_task_does_not_use_up_the_users_retries():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=1)
    for _ in range(LOSSES):
        assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.LOST)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == []


def test_a_task_that_was_handed_back_before_it_began_has_not_been_tried():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    for _ in range(2 * LOSSES):
        assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.RETURNED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == []


def test_what_is_given_up_is_not_tried_again():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=5)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.GIVEN_UP)]).final == [(0, TaskState.FAILED)]


def test_a_failure_may_cost_more_or_less_than_one_retry():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=1)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED, 0.5)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED, 0.5)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED, 0.1)]).launch == []


def test_a_waiting_task_that_is_cancelled_never_runs_and_its_dependents_fail():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0])
    machine.on_submitted(2, [1])
    changes = machine.on_cancelled(1)
    assert changes.final == [(1, TaskState.CANCELLED), (2, TaskState.DEPENDENCY_FAILED)]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)]).launch == []


def test_a_launched_task_is_cancelled_only_when_its_executor_says_so():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=3)
    assert machine.on_cancelled(0) == ([], [], {})
    assert machine.is_launched(0)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.CANCELLED)]).final == [(0, TaskState.CANCELLED)]


def test_a_second_verdict_on_a_task_changes_nothing():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)])
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]) == ([], [], {})


def test_at_the_end_of_the_run_every_open_task_fails():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0])
    assert machine.on_run_ended().final == [(0, TaskState.FAILED), (1, TaskState.FAILED)]
    assert list(machine.open_tasks()) == []


def test_a_chain_of_a_hundred_thousand_tasks_fails_without_recursion():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    for task in range(1, 100_000):
        machine.on_submitted(task, [task - 1])
    assert len(machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).final) == 100_000


class WhateverHappens(RuleBasedStateMachine):
    """Each task is launched only when all it needs is done, is settled once, and is not launched after that."""

    def __init__(self):
        super().__init__()
        self.machine = TaskGraphState()
        self.needs = {}
        self.launched = set()
        self.settled = {}
        self.count = 0

    def follow(self, changes):
        for task, state in changes.final:
            assert task not in self.settled, "settled twice"
            self.settled[task] = state
            self.launched.discard(task)
        for task in changes.launch:
            assert task not in self.settled, "launched after it was settled"
            assert all(self.settled.get(need) is TaskState.DONE for need in self.needs[task]), "launched too early"
            self.launched.add(task)
        for task, failed in changes.failed_by.items():
            assert failed in self.needs[task]
            assert self.settled[failed] in {TaskState.FAILED, TaskState.DEPENDENCY_FAILED, TaskState.CANCELLED}

    @rule(wishes=st.lists(st.integers(0, 40), max_size=4), retries=st.integers(0, 2))
    def submit(self, wishes, retries):
        needs = [wish for wish in wishes if wish < self.count]
        task, self.count = self.count, self.count + 1
        self.needs[task] = needs
        self.follow(self.machine.on_submitted(task, needs, retries))

    @rule(some=st.lists(st.integers(0, 40), max_size=5, unique=True), verdict=st.sampled_from(AttemptResult))
    def end(self, some, verdict):
        # One that waits cannot end; one verdict on it is tried below, where nothing can launch it in the same moment.
        possible = [task for task in some if task in self.launched or task in self.settled or task >= self.count]
        self.follow(self.machine.on_attempts_ended([AttemptEnd(task, verdict) for task in possible]))

    @rule(task=st.integers(0, 40), verdict=st.sampled_from(AttemptResult))
    def end_one_that_was_not_launched(self, task, verdict):
        if task not in self.launched:
            assert self.machine.on_attempts_ended([AttemptEnd(task, verdict)]) == ([], [], {})

    @rule(task=st.integers(0, 40))
    def cancel(self, task):
        self.follow(self.machine.on_cancelled(task))

    @invariant()
    def every_task_is_counted_once(self):
        assert sum(self.machine.counts().values()) == self.count

    @invariant()
    def nobody_waits_for_what_is_settled(self):
        for task in range(self.count):
            if task in self.settled or task in self.launched:
                continue
            assert any(need not in self.settled for need in self.needs[task]), f"{task} waits for nothing"

    def teardown(self):
        self.follow(self.machine.on_run_ended())
        assert set(self.settled) == set(range(self.count)), "a task was lost"


WhateverHappens.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestWhateverHappens = WhateverHappens.TestCase
