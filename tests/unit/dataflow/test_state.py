"""Stories of the state machine of tasks, and a Hypothesis machine for any events."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.dataflow.actions import Actions, AttemptEnd, AttemptResult
from cnflow.dataflow.state import LOSSES, TaskGraphState
from cnflow.model.task import TaskState


def test_task_without_dependencies_is_launched_at_once():
    assert TaskGraphState().on_submitted(0, ()).launch == [0]


def test_task_is_launched_when_its_last_dependency_is_done():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, ())
    assert machine.on_submitted(2, [0, 1]).launch == []
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)]).launch == []
    assert machine.on_attempts_ended([AttemptEnd(1, AttemptResult.DONE)]).launch == [2]


def test_dependency_named_twice_counts_once():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0, 0])
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)]).launch == [1]


def test_dependency_that_is_done_already_is_not_waited_for():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)])
    assert machine.on_submitted(1, [0]).launch == [1]


def test_failure_spreads_to_all_dependents_and_names_the_nearest_dependency():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0])
    machine.on_submitted(2, [1])
    machine.on_submitted(3, ())
    actions = machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)])
    assert actions.final == [
        (0, TaskState.FAILED),
        (1, TaskState.DEPENDENCY_FAILED),
        (2, TaskState.DEPENDENCY_FAILED),
    ]
    assert actions.failed_by == {1: 0, 2: 1}
    assert machine.counts()[TaskState.LAUNCHED] == 1


def test_task_submitted_after_its_dependency_failed_is_never_launched():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)])
    actions = machine.on_submitted(1, [0])
    assert actions.launch == []
    assert actions.failed_by == {1: 0}


def test_task_with_two_failing_dependencies_fails_once():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, ())
    machine.on_submitted(2, [0, 1])
    actions = machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED), AttemptEnd(1, AttemptResult.FAILED)])
    assert [task for task, _ in actions.final] == [0, 2, 1]


def test_failed_task_is_relaunched_as_often_as_it_has_retries():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=2)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).final == [(0, TaskState.FAILED)]


def test_lost_task_does_not_use_up_the_users_retries():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=1)
    for _ in range(LOSSES):
        assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.LOST)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == []


def test_task_returned_before_it_began_uses_up_neither_retries_nor_losses():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    for _ in range(2 * LOSSES):
        assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.RETURNED)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).launch == []


def test_task_given_up_is_not_relaunched():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=5)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.GIVEN_UP)]).final == [(0, TaskState.FAILED)]


def test_failure_may_cost_more_or_less_than_one_retry():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=1)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED, 0.5)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED, 0.5)]).launch == [0]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED, 0.1)]).launch == []


def test_cancelled_waiting_task_never_runs_and_its_dependents_fail():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0])
    machine.on_submitted(2, [1])
    actions = machine.on_cancelled(1)
    assert actions.final == [(1, TaskState.CANCELLED), (2, TaskState.DEPENDENCY_FAILED)]
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)]).launch == []


def test_launched_task_is_cancelled_only_when_its_executor_reports_it():
    machine = TaskGraphState()
    machine.on_submitted(0, (), retries=3)
    assert machine.on_cancelled(0) == Actions([], [], {})
    assert machine.is_launched(0)
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.CANCELLED)]).final == [(0, TaskState.CANCELLED)]


def test_second_end_of_a_task_changes_nothing():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_attempts_ended([AttemptEnd(0, AttemptResult.DONE)])
    assert machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]) == Actions([], [], {})


def test_every_open_task_fails_at_the_end_of_the_run():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    machine.on_submitted(1, [0])
    assert machine.on_run_ended().final == [(0, TaskState.FAILED), (1, TaskState.FAILED)]
    assert list(machine.open_tasks()) == []


def test_chain_of_a_hundred_thousand_tasks_fails_without_recursion():
    machine = TaskGraphState()
    machine.on_submitted(0, ())
    for task in range(1, 100_000):
        machine.on_submitted(task, [task - 1])
    assert len(machine.on_attempts_ended([AttemptEnd(0, AttemptResult.FAILED)]).final) == 100_000


class AnyEvents(RuleBasedStateMachine):
    """Each task is launched only when all it needs is done, is settled once, and is not launched after that."""

    def __init__(self):
        super().__init__()
        self.machine = TaskGraphState()
        self.needs = {}
        self.launched = set()
        self.settled = {}
        self.count = 0

    def follow(self, actions):
        for task, state in actions.final:
            assert task not in self.settled, "settled twice"
            self.settled[task] = state
            self.launched.discard(task)
        for task in actions.launch:
            assert task not in self.settled, "launched after it was settled"
            assert all(self.settled.get(need) is TaskState.DONE for need in self.needs[task]), "launched too early"
            self.launched.add(task)
        for task, failed in actions.failed_by.items():
            assert failed in self.needs[task]
            assert self.settled[failed] in {TaskState.FAILED, TaskState.DEPENDENCY_FAILED, TaskState.CANCELLED}

    @rule(candidates=st.lists(st.integers(0, 40), max_size=4), retries=st.integers(0, 2))
    def submit(self, candidates, retries):
        needs = [task for task in candidates if task < self.count]
        task, self.count = self.count, self.count + 1
        self.needs[task] = needs
        self.follow(self.machine.on_submitted(task, needs, retries))

    @rule(some=st.lists(st.integers(0, 40), max_size=5, unique=True), result=st.sampled_from(AttemptResult))
    def end(self, some, result):
        # One that waits cannot end; one result on it is tried below, where nothing can launch it in the same moment.
        possible = [task for task in some if task in self.launched or task in self.settled or task >= self.count]
        self.follow(self.machine.on_attempts_ended([AttemptEnd(task, result) for task in possible]))

    @rule(task=st.integers(0, 40), result=st.sampled_from(AttemptResult))
    def end_one_that_was_not_launched(self, task, result):
        if task not in self.launched:
            assert self.machine.on_attempts_ended([AttemptEnd(task, result)]) == Actions([], [], {})

    @rule(task=st.integers(0, 40))
    def cancel(self, task):
        self.follow(self.machine.on_cancelled(task))

    @invariant()
    def every_task_is_counted_once(self):
        assert sum(self.machine.counts().values()) == self.count

    @invariant()
    def no_task_waits_for_settled_dependencies_only(self):
        for task in range(self.count):
            if task in self.settled or task in self.launched:
                continue
            assert any(need not in self.settled for need in self.needs[task]), f"{task} waits for nothing"

    def teardown(self):
        self.follow(self.machine.on_run_ended())
        assert set(self.settled) == set(range(self.count)), "a task was lost"


AnyEvents.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyEvents = AnyEvents.TestCase
