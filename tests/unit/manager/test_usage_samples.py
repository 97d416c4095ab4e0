"""Samples of tasks: what a worker reports, less what was there before the task; looks; one message a second."""

import math

import msgspec
import pytest

from cnflow.manager.usage import samples as module
from cnflow.manager.usage.node import NodeState
from cnflow.manager.usage.processes import TreeUse
from cnflow.manager.usage.sampler import GpuUse, Look
from cnflow.manager.usage.samples import Running, TaskSamples
from cnflow.model.events import SampleBatch
from cnflow.model.samples import TaskSample, unpack
from cnflow.wire.pipe import Record, ResultKind
from cnflow.wire.usage import Usage, pack_usage, unpack_usage

TREE = TreeUse(frozenset({50, 51}), 12.0, 6.0, 900, 400, 70, -1, 9, 8, "running", 2)
NODE = NodeState(5.0, 1000, 10, 20)


class StubSampler:
    """Stands for the thread: a test gives the looks."""

    def __init__(self):
        self.asked = []
        self.looks = []
        self.is_looking = False

    def ask(self, targets):
        self.asked.append(targets)

    def take(self):
        looks, self.looks = self.looks, []
        return looks


class Ended:
    """Stands for the sum over workers that ended."""

    def __init__(self):
        self.usage = Usage(1.0, 1.0, 100, 0, 0, 0, 0)

    def __call__(self):
        return self.usage


def usage(user=0.0, peak=0, read=0):
    return Usage(user, user / 2, peak, read, 2 * read, 3, 4)


def report(task, used, at=5.0):
    return Record(ResultKind.USAGE, task, at, [pack_usage(used)])


def result(task):
    return Record(ResultKind.VALUE, task, 1.0, [b"", b"v"])


def make(interval=0.0, sampler=None, ended=None):
    return TaskSamples(b"m" * 6, "0", "node", interval, lambda: sampler, ended or Ended())


def taken(samples, now=0.0, running=None):
    message = samples.take(now, lambda: running or {})
    batch = SampleBatch(
        time=0.0, executor="e", block=message.block, manager="m", host="h", count=message.count, packed=message.packed
    )
    return message, unpack(batch)


def test_final_sample_is_what_was_used_since_the_task_before():
    samples = make()
    samples.on_records(1, 50, [report(0, usage(1.0, 10, 100))], dict)
    records = [report(7, usage(3.0, 90, 150)), result(7), report(8, usage(3.5, 80, 150)), result(8)]
    assert samples.on_records(1, 50, records, lambda: {7: 2, 8: 3}) == [records[1], records[3]]
    message, (first, second) = taken(samples)
    assert (message.count, message.dropped, message.nodes) == (2, 0, [])
    assert (first.task, first.attempt, first.worker, first.pid, first.is_final, first.time) == (7, 2, 1, 50, True, 5.0)
    assert (first.user_seconds, first.system_seconds, first.peak_bytes) == (2.0, 1.0, 90)
    assert (first.read_bytes, first.written_bytes, first.voluntary_switches) == (50, 100, 0)
    assert (second.user_seconds, second.peak_bytes, second.executor, second.host) == (0.5, 80, "e", "h")


def test_report_of_a_task_that_the_worker_does_not_hold_is_no_sample():
    samples = make()
    samples.on_records(1, 50, [report(0, usage()), report(7, usage(1.0))], dict)
    assert samples.take(0.0, dict) is None


def test_broken_report_is_ignored():
    samples = make()
    assert samples.on_records(1, 50, [Record(ResultKind.USAGE, 0, 1.0, [b"?"])], dict) == []
    assert samples.on_records(1, 50, [Record(ResultKind.USAGE, 0, 1.0, [])], dict) == []


def test_worker_that_was_killed_has_a_final_sample_of_its_process():
    ended = Ended()
    samples = make(ended=ended)
    samples.on_records(1, 50, [report(0, usage(2.0, 10))], dict)
    ended.usage = Usage(8.0, 4.0, 500, 60, 0, 9, 9)
    samples.on_exit(1, Running(50, 7, 2))
    _, (sample,) = taken(samples)
    assert (sample.user_seconds, sample.system_seconds, sample.peak_bytes) == (5.0, 2.0, 500)
    assert (sample.task, sample.attempt, sample.is_final, sample.read_bytes) == (7, 2, True, 60)
    samples.on_exit(1, Running(51, 8, 0))  # its successor has reported nothing yet
    assert samples.take(9.0, dict) is None


def test_peak_of_killed_worker_is_unknown_where_another_was_larger():
    ended = Ended()
    samples = make(ended=ended)
    samples.on_records(1, 50, [report(0, usage(0.0, 10))], dict)
    ended.usage = Usage(8.0, 4.0, 100, 60, 0, 9, 9)
    samples.on_exit(1, Running(50, 7, 2))
    _, (sample,) = taken(samples)
    assert sample.peak_bytes == -1


def test_look_gives_samples_of_tasks_that_still_run_and_of_the_node():
    sampler = StubSampler()
    samples = make(30.0, sampler)
    samples.on_records(1, 50, [report(0, usage(2.0, 10, 20))], dict)
    running = {1: Running(50, 7, 2), 2: Running(60, 8, 0)}  # worker 2 has reported nothing
    assert samples.take(0.0, lambda: running) is None
    (target,) = sampler.asked.pop()
    assert target == (1, 50, 7, 2)
    stale = target._replace(task=6)
    gpu = GpuUse(300, 40.0)
    sampler.looks = [Look(9.0, [(target, TREE, gpu), (stale, TREE, gpu)], NODE, 25.0, GpuUse(600, 50.0), 4000.0)]
    message, (sample,) = taken(samples, 1.0, running)
    assert (sample.user_seconds, sample.system_seconds, sample.interval, sample.is_final) == (10.0, 5.0, 30.0, False)
    assert (sample.resident_bytes, sample.virtual_bytes, sample.memory_percent) == (400, 900, 10.0)
    assert (sample.read_bytes, sample.written_bytes, sample.children, sample.status) == (50, -1, 1, "running")
    assert (sample.gpu_bytes, sample.gpu_percent, sample.core) == (300, 40.0, 2)
    (node,) = message.nodes
    assert (node.time, node.cpu_percent, node.memory_bytes, node.read_bytes, node.written_bytes) == (
        9,
        25,
        1000,
        10,
        20,
    )
    assert (node.gpu_bytes, node.gpu_percent, node.busy_workers) == (600, 50.0, 2)
    samples.on_records(1, 50, [report(7, usage(20.0, 90))], lambda: {7: 2})
    _, (final,) = taken(samples, 3.0)
    assert (final.peak_bytes, final.gpu_bytes) == (400, 300)  # the sum over its processes was higher than each
    samples.on_records(1, 50, [report(8, usage(20.0, 90))], lambda: {8: 0})
    _, (final,) = taken(samples, 5.0)
    assert (final.peak_bytes, final.gpu_bytes) == (90, -1)


def test_looks_are_taken_once_an_interval():
    sampler = StubSampler()
    samples = make(30.0, sampler)
    for now in (0.0, 1.0, 29.0, 30.0, 31.0):
        samples.take(now, dict)
    assert len(sampler.asked) == 2
    assert samples.next_deadline == 60.0
    sampler.is_looking = True
    assert samples.next_deadline == -math.inf  # nothing was sent yet: at once


def test_messages_are_sent_once_a_second_or_when_nothing_runs():
    samples = make()
    assert samples.next_deadline == math.inf
    samples.on_records(1, 50, [report(0, usage()), report(7, usage(1.0))], lambda: {7: 0})
    assert samples.take(10.0, dict).count == 1
    samples.on_records(1, 50, [report(8, usage(2.0))], lambda: {8: 0})
    assert (samples.next_deadline, samples.take(10.5, dict)) == (11.0, None)
    assert samples.take(10.5, dict, is_last=True).count == 1
    assert samples.take(12.0, dict, is_last=True) is None


def test_flood_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 3)
    samples = make()
    samples.on_records(1, 50, [report(0, usage())] + [report(7, usage(float(n))) for n in range(5)], lambda: {7: 0})
    message = samples.take(0.0, dict)
    assert (message.count, message.dropped) == (3, 2)


def test_nothing_is_measured_where_nobody_wants_it():
    samples = make(None)
    assert (samples.order, samples.next_deadline) == ([], math.inf)
    records = [result(7)]
    assert samples.on_records(1, 50, records, None) is records
    samples.on_exit(1, Running(50, 7, 2))
    assert samples.take(0.0, dict, is_last=True) is None


def test_usage_survives_its_record():
    used = Usage(1.5, 0.25, 2**40, 1, 2, 3, 4)
    assert unpack_usage(pack_usage(used)) == used


def test_batch_of_another_version_holds_no_samples():
    place = {"time": 0.0, "executor": "e", "block": "0", "manager": "m", "host": "h", "count": 1}
    assert unpack(SampleBatch(packed=b"?", **place)) == []
    assert unpack(SampleBatch(packed=msgspec.msgpack.encode([["x"]]), **place)) == []
    assert [
        each.task for each in unpack(SampleBatch(packed=msgspec.msgpack.encode([TaskSample(1, 2, 3, 4)]), **place))
    ] == [3]


@pytest.mark.parametrize("field", TaskSample.__struct_fields__)
def test_single_sample_has_each_field_of_a_packed_one(field):
    from cnflow.model.events import ResourceSample

    assert field in ResourceSample.__struct_fields__
