"""Orders and losses in any order: each call that was taken gets exactly one answer, and none fails for a roll alone."""

import contextlib
import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.errors import ManagerLost, WorkerLost
from cnflow.serving.served_model import Call
from cnflow.serving.service import ModelCall, RowForm, ServingError
from tests.unit.serving.test_call_walks import LOSSES, Walk

QUEUE = 20
PLACES = st.integers(0, 1 << 20)


class Answer:
    """Future of a call that counts how often it is answered."""

    def __init__(self):
        self.values, self.errors = [], []

    def done(self):
        return bool(self.values or self.errors)

    def set_result(self, value):
        self.values.append(value)

    def set_exception(self, error):
        self.errors.append(error)


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.walk = Walk(
            0, retries=10_000, worker_retries=1, max_concurrency=4, max_queue=QUEUE, keep_previous=2.0, timeout=1e6,
            cold_timeout=1e6,
        )  # fmt: skip
        self.router, self.direct, self.executor = self.walk.model.router, self.walk.direct, self.walk.executor
        self.ids = itertools.count()
        self.taken, self.gone, self.dying = [], set(), set()

    def version(self, place):
        return list(self.router.versions.values())[place % len(self.router.versions)]

    def order(self, change, *arguments):
        with contextlib.suppress(ServingError):  # refused: there is no such version, or it is in use
            self.walk.perform(self.walk.model, change(*arguments, self.walk.clock.now()))

    # Calls

    @rule(is_bulk=st.booleans(), place=st.none() | PLACES)
    def call(self, is_bulk, place):
        name = "" if place is None else self.version(place).name
        request = ModelCall("digits", RowForm.JSON, b"[1]", 1, name, request_id=str(next(self.ids)), is_bulk=is_bulk)
        call = Call(request, self.walk.model, Answer(), self.walk.clock.now())
        can_answer = any(each.is_usable and each.weight > 0 for each in self.router.versions.values())
        try:
            self.walk.runner.start(call)
        except ServingError:
            assert self.walk.model.admission.waiting == QUEUE
            return
        self.walk.calls.append(call)
        if call.answer.done():
            assert not can_answer or name, call.answer.errors

    @precondition(lambda self: self.walk.working())
    @rule(place=PLACES, loss=st.none() | st.sampled_from(LOSSES))
    def attempt_ends(self, place, loss):
        working = self.walk.working()
        error = None if loss is None else loss()
        self.direct.end(working[place % len(working)], b"[1]" if error is None else None, error)

    @precondition(lambda self: self.walk.working())
    @rule(place=PLACES, is_model=st.booleans())
    def attempt_fails(self, place, is_model):
        sent = self.walk.working()[place % len(self.walk.working())]
        self.dying.add(sent.done.args[0])
        self.direct.end(sent, error=ValueError("bad row") if is_model else WorkerLost("Task 1", "here", -9))

    @precondition(lambda self: any(not call.is_over for call in self.walk.calls))
    @rule(place=PLACES)
    def caller_goes(self, place):
        open_calls = [call for call in self.walk.calls if not call.is_over]
        call = open_calls[place % len(open_calls)]
        self.gone.add(call)
        self.walk.runner.give_up(call)
        self.walk.calls.remove(call)

    # Workers

    @precondition(lambda self: self.walk.warming())
    @rule(place=PLACES, error=st.sampled_from([None, None, None, ValueError("broken"), ManagerLost("silent")]))
    def warm_up_ends(self, place, error):
        warming = self.walk.warming()
        self.direct.end(warming[place % len(warming)], b"[]" if error is None else None, error)

    @rule(workers=st.integers(0, 2), blocks=st.integers(0, 1))
    def workers_come_and_go(self, workers, blocks):
        self.direct.workers, self.executor.blocks = workers, blocks

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 3.0, 40.0]))
    def time_passes(self, seconds):
        self.walk.pass_time(seconds)

    # Orders

    @rule()
    def roll_to_a_new_version(self):
        self.walk.roll()

    @rule(place=PLACES)
    def roll_to_one_that_is_there(self, place):
        self.order(self.router.roll, self.version(place))

    @rule()
    def roll_back(self):
        self.order(self.router.roll_back)

    @rule(places=st.lists(PLACES, min_size=1, max_size=3), shares=st.tuples(*[st.integers(0, 3)] * 3))
    def weigh(self, places, shares):
        self.order(
            self.router.set_weights,
            {self.version(place).name: share for place, share in zip(places, shares, strict=False)},
        )

    @rule(place=PLACES, share=st.sampled_from([0.0, 0.5, 1.0]))
    def shadow(self, place, share):
        self.order(self.router.set_shadow, {self.version(place).name: share})

    @rule(place=PLACES)
    def remove(self, place):
        self.order(self.router.remove, self.version(place).name)

    # Truths

    @invariant()
    def counts_are_those_of_open_calls(self):
        self.walk.check()

    @invariant()
    def no_call_is_answered_twice(self):
        for call in [*self.walk.calls, *self.gone]:
            assert len(call.answer.values) + len(call.answer.errors) <= 1

    @invariant()
    def calls_have_somewhere_to_go(self):
        """A version that could answer when its share was given to it keeps it until another one can."""
        assert any(version.weight > 0 for version in self.router.versions.values())

    def teardown(self):
        self.direct.workers = self.executor.blocks = 1
        for _ in range(200):
            while self.walk.warming():
                self.direct.end(self.walk.warming()[0], b"[]")
            while self.walk.working():
                self.direct.end(self.walk.working()[0], b"[1]")
            if all(call.is_over for call in self.walk.calls) and not self.walk.runner._delayed:
                break
            self.walk.pass_time(0.5)
        for call in self.walk.calls:
            assert len(call.answer.values) + len(call.answer.errors) == 1, call.version
            for error in call.answer.errors:
                assert error.code in ({"model_error", "worker_died"} if call in self.dying else set()) | ALLOWED, error
        assert self.walk.runner.in_flight == len(self.walk.runner._deadlines) == 0
        assert self.walk.model.admission.running == self.walk.model.admission.waiting == 0


ALLOWED = {"model_failed", "version_not_found"}
"""Codes of a call that names a version which has failed, or is being removed."""

Machine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCallsOfAnyHistory = Machine.TestCase
