import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.dataflow.memo import InFlight, InMemoryResults

KEY, OTHER = b"k" * 32, b"o" * 32


class Earlier:
    def __init__(self, **values):
        self.values = {name.encode(): value for name, value in values.items()}
        self.asked = []

    def find(self, key):
        self.asked.append(key)
        return self.values.get(key)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", b"bytes", [1], {"a": [2]}, (1, [2]), bytearray(70_000)])
def test_a_value_is_found_again(value):
    memo = InMemoryResults()
    memo.store(KEY, value)
    assert memo.find(KEY) == (True, value)
    assert memo.find(OTHER) == (False, None)


def test_each_caller_has_his_own_copy_also_of_what_was_kept():
    memo, kept = InMemoryResults(), [[1]]
    memo.store(KEY, kept)
    kept[0].append("by the first caller")
    _, found = memo.find(KEY)
    found[0].append("by the second")
    assert memo.find(KEY) == (True, [[1]])


def test_what_cannot_be_pickled_is_not_kept_and_said(caplog):
    memo = InMemoryResults()
    assert memo.store(KEY, threading.Lock()) is None
    assert memo.find(KEY) == (False, None)
    assert "cannot be pickled" in caplog.text


def test_the_pickle_is_what_an_earlier_run_would_have_stored():
    pickled = InMemoryResults().store(b"new", {"a": [1]})
    assert InMemoryResults(Earlier(old=pickled)).find(b"old") == (True, {"a": [1]})
    assert InMemoryResults(Earlier(old=InMemoryResults().store(b"new", 5))).find(b"old") == (True, 5)


def test_this_run_comes_before_earlier_ones():
    memo = InMemoryResults(Earlier(key=InMemoryResults().store(b"key", "old")))
    memo.store(b"key", "new")
    assert memo.find(b"key") == (True, "new")


def test_a_stored_value_that_cannot_be_loaded_is_not_known_and_asked_for_once(caplog):
    earlier = Earlier(key=b"no pickle")
    memo = InMemoryResults(earlier)
    assert memo.find(b"key") == memo.find(b"key") == (False, None)
    assert earlier.asked == [b"key"]
    assert caplog.text.count("is run again") == 1


def test_identical_calls_wait_for_the_first():
    flight = InFlight()
    assert flight.add(KEY, 1)
    assert not flight.add(KEY, 2)
    assert flight.add(OTHER, 3)
    assert not flight.add(KEY, 4)
    assert flight.on_settled(KEY, 1) == [2, 4]
    assert flight.add(KEY, 5)


def test_when_the_first_is_cancelled_another_takes_its_place():
    flight = InFlight()
    assert [flight.add(KEY, task) for task in (1, 2, 3)] == [True, False, False]
    assert [flight.add(KEY, task) for task in flight.on_settled(KEY, 1)] == [True, False]
    assert flight.on_settled(KEY, 2) == [3]


def test_one_that_waits_may_be_cancelled():
    flight = InFlight()
    assert [flight.add(KEY, task) for task in (1, 2, 3)] == [True, False, False]
    assert flight.on_settled(KEY, 2) == []
    assert flight.on_settled(KEY, 1) == [3]


def test_one_that_ran_on_its_own_after_a_failure_disturbs_nobody():
    flight = InFlight()
    assert [flight.add(KEY, task) for task in (1, 2)] == [True, False]
    assert flight.on_settled(KEY, 1) == [2]
    assert [flight.add(KEY, task) for task in (3, 4)] == [True, False]
    assert flight.on_settled(KEY, 2) == []
    assert flight.on_settled(KEY, 3) == [4]
    assert len(flight) == 0


class Flights(RuleBasedStateMachine):
    """Whatever happens, each task either runs, waits for one that runs, or is settled."""

    def __init__(self):
        super().__init__()
        self.flight = InFlight()
        self.runs, self.waits = {}, {}
        self.next = 0

    @rule(key=st.sampled_from([KEY, OTHER]))
    def called(self, key):
        self.next += 1
        (self.runs if self.flight.add(key, self.next) else self.waits)[self.next] = key

    @rule(data=st.data(), again=st.booleans())
    def ended(self, data, again):
        everyone = {**self.runs, **self.waits}
        if not everyone:
            return
        task = data.draw(st.sampled_from(sorted(everyone)))
        key = everyone[task]
        self.runs.pop(task, None)
        self.waits.pop(task, None)
        for follower in self.flight.on_settled(key, task):
            assert self.waits.pop(follower) == key
            if again:
                (self.runs if self.flight.add(key, follower) else self.waits)[follower] = key

    @invariant()
    def whoever_waits_waits_for_one_that_runs(self):
        assert set(self.waits.values()) <= set(self.runs.values())
        assert len(self.flight) == len(self.runs) == len(set(self.runs.values()))


TestFlights = Flights.TestCase
