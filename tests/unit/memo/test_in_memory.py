import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.dataflow.memo import InFlight, InMemoryResults
from cnflow.dataflow.memo.in_memory import pickle_result

KEY, OTHER = b"k" * 32, b"o" * 32


class Earlier:
    def __init__(self, **values):
        self.values = {name.encode(): value for name, value in values.items()}
        self.asked = []

    def find(self, key):
        self.asked.append(key)
        return self.values.get(key)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", b"bytes", [1], {"a": [2]}, (1, [2]), bytearray(70_000)])
def test_stored_value_is_found(value):
    results = InMemoryResults()
    results.store(KEY, value, pickle_result(value))
    assert results.find(KEY) == (True, value)
    assert results.find(OTHER) == (False, None)


def test_each_lookup_returns_a_copy_independent_of_the_stored_value():
    results, value = InMemoryResults(), [[1]]
    results.store(KEY, value, pickle_result(value))
    value[0].append("by the first caller")
    _, found = results.find(KEY)
    found[0].append("by the second")
    assert results.find(KEY) == (True, [[1]])


def test_value_that_cannot_be_pickled_is_logged_and_not_stored(caplog):
    assert pickle_result(threading.Lock()) is None
    assert "cannot be pickled" in caplog.text


def test_later_run_loads_the_pickle():
    assert InMemoryResults(Earlier(old=pickle_result({"a": [1]}))).find(b"old") == (True, {"a": [1]})
    assert InMemoryResults(Earlier(old=pickle_result(5))).find(b"old") == (True, 5)


def test_results_of_this_run_come_before_those_of_earlier_runs():
    results = InMemoryResults(Earlier(key=pickle_result("old")))
    results.store(b"key", "new", pickle_result("new"))
    assert results.find(b"key") == (True, "new")


def test_value_that_cannot_be_unpickled_is_unknown_and_read_once(caplog):
    earlier = Earlier(key=b"no pickle")
    results = InMemoryResults(earlier)
    assert results.find(b"key") == results.find(b"key") == (False, None)
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


def test_waiting_call_takes_the_place_of_a_cancelled_first():
    flight = InFlight()
    assert [flight.add(KEY, task) for task in (1, 2, 3)] == [True, False, False]
    assert [flight.add(KEY, task) for task in flight.on_settled(KEY, 1)] == [True, False]
    assert flight.on_settled(KEY, 2) == [3]


def test_waiting_call_can_be_cancelled():
    flight = InFlight()
    assert [flight.add(KEY, task) for task in (1, 2, 3)] == [True, False, False]
    assert flight.on_settled(KEY, 2) == []
    assert flight.on_settled(KEY, 1) == [3]


def test_call_run_on_its_own_after_a_failure_leaves_later_calls_alone():
    flight = InFlight()
    assert [flight.add(KEY, task) for task in (1, 2)] == [True, False]
    assert flight.on_settled(KEY, 1) == [2]
    assert [flight.add(KEY, task) for task in (3, 4)] == [True, False]
    assert flight.on_settled(KEY, 2) == []
    assert flight.on_settled(KEY, 3) == [4]
    assert len(flight) == 0


class Flights(RuleBasedStateMachine):
    """Each task runs, waits for a running one, or is settled, in any order of calls and ends."""

    def __init__(self):
        super().__init__()
        self.flight = InFlight()
        self.runs, self.waits = {}, {}
        self.next = 0

    @rule(key=st.sampled_from([KEY, OTHER]))
    def add_call(self, key):
        self.next += 1
        (self.runs if self.flight.add(key, self.next) else self.waits)[self.next] = key

    @rule(data=st.data(), again=st.booleans())
    def settle_call(self, data, again):
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
    def each_waiting_call_waits_for_a_running_one(self):
        assert set(self.waits.values()) <= set(self.runs.values())
        assert len(self.flight) == len(self.runs) == len(set(self.runs.values()))


TestFlights = Flights.TestCase
