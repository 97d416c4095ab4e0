"""Workers that calls of models take."""

import hypothesis.strategies as st
from hypothesis import given

from cnflow.model.batching import BatchLimits
from cnflow.tasks.call_demand import CallDemand


def demand(*rows, **limits):
    made = CallDemand()
    for each in rows:
        made.add("m", BatchLimits(**limits), each)
    return made


def ended(made, seconds, **limits):
    """The same after a batch of that duration."""
    made.add("m", BatchLimits(**limits), 1)
    made.remove("m", 1, seconds)
    return made


def test_calls_take_a_worker_for_each_batch_that_they_fill():
    assert demand(*[1] * 8, max_batch=8).slots() == 1
    assert demand(*[1] * 9, max_batch=8).slots() == 2
    assert demand(4, 4, 4, max_batch=8).slots() == 2


def test_calls_without_a_row_take_a_worker_and_no_calls_take_none():
    assert demand(0).slots() == 1
    assert demand().slots() == 0


def test_call_larger_than_a_batch_is_one_batch():
    assert demand(100, max_batch=8).slots() == 1


def test_calls_of_two_models_share_no_worker():
    made = demand(1)
    made.add("other", None, 1)
    assert made.slots() == 2
    assert len(made) == 2


def test_queue_that_a_worker_answers_within_the_latency_target_takes_one_worker():
    target = {"max_batch": 10, "latency_target": 0.2}
    assert ended(demand(*[1] * 40, **target), 0.05, **target).slots() == 1
    assert ended(demand(*[1] * 41, **target), 0.05, **target).slots() == 2
    assert ended(demand(*[1] * 400, **target), 0.05, **target).slots() == 10


def test_batches_longer_than_the_target_each_take_a_worker():
    target = {"max_batch": 10, "latency_target": 0.2}
    assert ended(demand(*[1] * 40, **target), 3.0, **target).slots() == 4


def test_without_a_target_or_a_duration_each_batch_takes_a_worker():
    assert demand(*[1] * 40, max_batch=10, latency_target=0.2).slots() == 4
    assert ended(demand(*[1] * 40, max_batch=10), 0.01, max_batch=10).slots() == 4


def test_duration_follows_the_last_batches():
    made = demand(*[1] * 40, max_batch=10, latency_target=0.2)
    for _ in range(40):
        made = ended(made, 1.0)
    for _ in range(40):
        made = ended(made, 0.04)
    assert made.slots() == 1


def test_models_without_calls_are_forgotten_when_there_are_many():
    made = CallDemand()
    for number in range(1000):
        made.add(number, None, 1)
        made.remove(number, 1)
    assert len(made._models) <= 257


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 200)), max_size=30), st.integers(1, 64))
def test_demand_is_at_the_most_one_worker_for_each_call_and_nothing_is_left_at_the_end(calls, max_batch):
    made = CallDemand()
    for model, rows in calls:
        made.add(model, BatchLimits(max_batch), rows)
    assert (len(calls) > 0) <= made.slots() <= len(calls)
    for model, rows in calls:
        made.remove(model, rows, 0.1)
    assert made.slots() == len(made) == 0
    assert all((model.calls, model.rows) == (0, 0) for model in made._models.values())
