import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.serving.admission import Admission
from cnflow.serving.service import ServingError


def refused(admission, call, client=""):
    with pytest.raises(ServingError) as busy:
        admission.enter(call, client)
    assert busy.value.status == 429
    return busy.value


def test_calls_begin_until_there_are_as_many_as_may_be_and_then_wait_in_order():
    admission = Admission("digits", max_concurrency=2, max_queue=2)
    assert [admission.enter(call) for call in "abcd"] == [True, True, False, False]
    assert refused(admission, "e").code == "too_many_calls"
    assert admission.leave("", 0.0) == "c"
    assert admission.enter("e") is False
    assert [admission.leave("", 0.0) for _ in range(3)] == ["d", "e", None]


def test_calls_of_bulk_wait_behind_all_others():
    admission = Admission("digits", 1, 10)
    admission.enter("running")
    admission.enter("bulk", is_bulk=True)
    admission.enter("interactive")
    assert [admission.leave("", 0.0) for _ in range(3)] == ["interactive", "bulk", None]


def test_a_call_that_is_given_up_leaves_the_queue():
    admission = Admission("digits", 1, 1)
    admission.enter("a")
    admission.enter("b")
    assert admission.withdraw("b") is True
    assert admission.withdraw("b") is False
    assert admission.enter("c") is False
    assert admission.leave("", 0.0) == "c"


def test_waiting_calls_count_among_those_of_their_client():
    admission = Admission("digits", 1, 5, max_per_client=2)
    admission.enter("a", "ann")
    admission.enter("b", "ann")
    assert "of one client" in str(refused(admission, "c", "ann"))
    admission.enter("d", "bob")
    admission.withdraw("b", "ann")
    assert admission.enter("c", "ann") is False


def test_retry_after_follows_the_pace_and_the_queue():
    admission = Admission("digits", 1, 100)
    assert admission.retry_after() == 1.0
    for number in range(101):
        admission.enter(number)
    now = 0.0
    for number in range(200):
        now += 0.5
        admission.leave("", now)
        admission.enter(f"more {number}")
    assert 20 <= admission.retry_after() <= 30
    for number in range(200):
        now += 60
        admission.leave("", now)
        admission.enter(f"slow {number}")
    assert admission.retry_after() == 60.0


class Admissions(RuleBasedStateMachine):
    """Whatever comes and goes, the bounds hold, and nobody waits while there is room."""

    def __init__(self):
        super().__init__()
        self.admission = Admission("digits", 3, 4, max_per_client=4)
        self.running, self.waiting, self.number = {}, {}, 0

    @rule(client=st.sampled_from(["ann", "bob"]), is_bulk=st.booleans())
    def enter(self, client, is_bulk):
        self.number += 1
        of_client = [*self.running.values(), *self.waiting.values()].count(client)
        try:
            begins = self.admission.enter(self.number, client, is_bulk=is_bulk)
        except ServingError:
            assert of_client >= 4 or (len(self.running) >= 3 and len(self.waiting) >= 4)
            return
        assert of_client < 4
        (self.running if begins else self.waiting)[self.number] = client

    @precondition(lambda self: self.running)
    @rule(data=st.data(), now=st.floats(0, 1e6))
    def leave(self, data, now):
        call = data.draw(st.sampled_from(list(self.running)))
        following = self.admission.leave(self.running.pop(call), now)
        if following is None:
            assert not self.waiting
        else:
            self.running[following] = self.waiting.pop(following)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data):
        call = data.draw(st.sampled_from(list(self.waiting)))
        assert self.admission.withdraw(call, self.waiting.pop(call))

    @invariant()
    def bounds_hold(self):
        assert self.admission.running == len(self.running) <= 3
        assert self.admission.waiting == len(self.waiting) <= 4
        assert not self.waiting or len(self.running) == 3
        assert math.isfinite(self.admission.retry_after())


TestAdmissions = Admissions.TestCase
TestAdmissions.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
