"""Distribution of tasks over slots: no slot is idle while tasks wait at another."""

import time

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor, LocalProvider


@python_app
def sleep_span(seconds):
    """Return start and end, by the clock that all processes of a machine share."""
    import time

    begin = time.monotonic()
    time.sleep(seconds)
    return begin, time.monotonic()


def load_run(tmp_path, blocks, workers):
    provider = LocalProvider(init_blocks=blocks, max_blocks=blocks)
    executor = HighThroughputExecutor(provider=provider, max_workers=workers, cores_per_worker=0.1)
    return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs")))


def wait_for_workers(run, count):
    deadline = time.monotonic() + 60
    while run.executor_status()[0].workers < count or run.executor_status()[0].managers < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running_at(spans, moment):
    return sum(begin <= moment < end for begin, end in spans)


def test_ten_long_tasks_run_at_once_on_ten_slots_of_two_managers(tmp_path):
    with load_run(tmp_path, blocks=2, workers=5) as run:
        wait_for_workers(run, 10)
        [future.result() for future in [sleep_span(0.001) for _ in range(200)]]  # short ones, which are prefetched
        spans = [future.result() for future in [sleep_span(1.0) for _ in range(10)]]
    assert max(begin for begin, _ in spans) < min(end for _, end in spans)


def test_long_tasks_among_short_ones_are_not_queued_behind_each_other(tmp_path):
    with load_run(tmp_path, blocks=2, workers=2) as run:
        wait_for_workers(run, 4)
        futures = [sleep_span(1.0 if number % 50 == 0 else 0.001) for number in range(400)]
        spans = [future.result() for future in futures]
    long = [span for span in spans if span[1] - span[0] >= 1.0]
    assert len(long) == 8
    # Eight seconds of long work on four slots: while any of it had not begun, at least three slots were busy with it,
    # but for the moments between two tasks of a slot.
    last_begin = max(begin for begin, _ in long)
    first_round = sorted(begin for begin, _ in long)[3]
    moments = [first_round + (last_begin - first_round) * step / 20 for step in range(1, 20)]
    busy = [running_at(long, moment) for moment in moments]
    assert sum(busy) / len(busy) > 2.4  # a machine that is busy itself makes those moments longer
