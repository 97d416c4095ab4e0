"""Traffic of models on simulated workers: latency targets are kept, lanes have their right, and throughput is that of
batches. Time is simulated: a minute of traffic takes a second.
"""

import heapq
import random

import pytest

from cnflow.manager.actions import LoadModel, SendBatch, SendTask
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.wire.function_messages import Batching, Function
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FIXED, PER_ROW = 0.004, 0.0005
"""A model that takes 4.5 ms for one row, and 36 ms for 64: 222 calls/s one by one, 1778 in batches."""


class Traffic:
    """Calls that arrive at random at one manager, and workers that take the time of the model's cost."""

    def __init__(self, workers=1, seed=1, fixed=FIXED, per_row=PER_ROW, **limits):
        self.chance = random.Random(seed)
        self.function = Function(b"m" * 16, "m", 0, "", b"", (), Batching(**{"max_batch": 64, **limits}))
        self.fixed, self.per_row = fixed, per_row
        self.state = Manager(workers, Prefetch(None), "3.11", "h")
        self.state.on_start()
        for rank in range(workers):
            self.state.on_worker_ready(rank)
        self.events, self.arrived, self.latency, self.sizes = [], {}, {}, []
        self.bulk = set()

    def add_calls(self, rate, seconds, *, rows=1, is_bulk=False, begin=0.0):
        at = begin
        while at < begin + seconds:
            at += self.chance.expovariate(rate)
            number = len(self.arrived)
            self.arrived[number] = at
            if is_bulk:
                self.bulk.add(number)
            task = Task(number, self.function.id, b"", rows=rows, is_bulk=is_bulk)
            heapq.heappush(self.events, (at, number, "call", task))

    def run(self, until=float("inf")):
        now, count = 0.0, len(self.arrived)
        while self.events:
            due = self.state.next_deadline
            if due < self.events[0][0]:
                now = max(due, now)
                self.state.on_tick(now)
            else:
                now, _, kind, content = heapq.heappop(self.events)
                if now > until:
                    return self
                if kind == "call":
                    self.state.on_work([self.function], [(content, ())])
                else:
                    rank, tasks = content
                    self.state.on_results(rank, [(Result(t.id, ResultKind.VALUE, b""), ()) for t in tasks], now)
            for action in self.state.dispatch(now):
                assert not isinstance(action, LoadModel)
                if isinstance(action, (SendBatch, SendTask)):
                    parcels = action.tasks if isinstance(action, SendBatch) else [action.task]
                    tasks = [task for task, _ in parcels]
                    rows = sum(task.rows for task in tasks)
                    self.sizes.append(rows)
                    seconds = (self.fixed + self.per_row * rows) * self.chance.uniform(0.9, 1.1)
                    count += 1
                    heapq.heappush(self.events, (now + seconds, count, "done", (action.rank, tasks)))
            for result, _ in self.state.take_results():
                self.latency[result.id] = now - self.arrived[result.id]
        return self

    def percentile(self, share, *, is_bulk=False, after=1.0):
        """Latency of calls, but for those of the first second, in which the model's cost is learned."""
        known = [
            seconds
            for number, seconds in self.latency.items()
            if (number in self.bulk) == is_bulk and self.arrived[number] >= after
        ]
        return sorted(known)[int(share * (len(known) - 1))]


def test_single_calls_do_not_wait():
    traffic = Traffic()
    traffic.add_calls(20, 60)
    traffic.run()
    assert traffic.percentile(0.5) < 1.15 * (FIXED + PER_ROW)


def test_throughput_is_that_of_batches_which_one_by_one_would_be_too_slow():
    traffic = Traffic()
    traffic.add_calls(1000, 20)
    traffic.run()
    assert len(traffic.latency) == len(traffic.arrived)
    assert traffic.percentile(0.99) < 0.1, "222 calls/s are possible one by one"


@pytest.mark.parametrize("target", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("load", [0.3, 0.6])
def test_latency_target_is_kept_under_a_load_for_which_it_can_be(target, load):
    rows = (target / 2 - FIXED) / PER_ROW  # a call waits for one batch at the most, and is in the next one
    rate = load * rows / (target / 2)
    traffic = Traffic(max_batch=1024, latency_target=target)
    traffic.add_calls(rate, 20)
    traffic.run()
    assert traffic.percentile(0.95) <= target


def test_latency_target_bounds_batches_where_the_limit_of_rows_does_not():
    with_target, without = (Traffic(max_batch=1024, latency_target=target) for target in (0.05, 0.0))
    for traffic in (with_target, without):
        traffic.add_calls(1600, 10)
        traffic.add_calls(3000, 0.3, begin=3.0)
        traffic.run()
    assert FIXED + PER_ROW * max(with_target.sizes) < 0.06
    assert max(without.sizes) > 2 * max(with_target.sizes)


def test_overload_does_not_make_batches_small():
    traffic = Traffic(latency_target=0.03)
    traffic.add_calls(5000, 5)
    traffic.run(until=5.0)
    late = traffic.sizes[len(traffic.sizes) // 2 :]
    assert sum(late) / len(late) >= 0.7 * (0.015 - FIXED) / PER_ROW


def test_interactive_calls_are_fast_beside_a_bulk_load_that_fills_the_workers():
    traffic = Traffic(workers=2, latency_target=0.05)
    traffic.add_calls(100, 10)
    traffic.add_calls(10_000, 2, is_bulk=True)
    traffic.run()
    assert traffic.percentile(0.95) <= 0.05
    assert len(traffic.latency) == len(traffic.arrived)
    assert traffic.percentile(0.5, is_bulk=True) > 10 * traffic.percentile(0.5)


def test_bulk_calls_get_on_beside_an_interactive_overload():
    traffic = Traffic()
    traffic.add_calls(3000, 5)
    traffic.add_calls(100, 5, is_bulk=True)
    traffic.run(until=5.0)
    assert sum(number in traffic.bulk for number in traffic.latency) > 100


def test_wait_for_more_calls_makes_larger_batches_and_costs_no_more_than_it_may():
    eager, patient = (Traffic(workers=4, max_wait=wait) for wait in (0.0, 0.01))
    for traffic in (eager, patient):
        traffic.add_calls(400, 20)
        traffic.run()
    assert sum(patient.sizes) / len(patient.sizes) > 2 * sum(eager.sizes) / len(eager.sizes)
    assert patient.percentile(0.99) < eager.percentile(0.99) + 0.012


def test_workers_share_calls_of_a_model_whose_time_is_that_of_its_rows():
    shared, alone = (Traffic(workers, fixed=0.0001, per_row=0.01) for workers in (4, 1))
    for traffic in (shared, alone):
        for second in range(1, 20):
            for number in range(8):
                task = Task(len(traffic.arrived), traffic.function.id, b"", rows=1)
                traffic.arrived[task.id] = float(second)
                heapq.heappush(traffic.events, (second + number * 1e-9, task.id, "call", task))
        traffic.run()
    assert shared.percentile(1.0, after=1.5) < 0.45 * alone.percentile(1.0, after=1.5)
