"""Many tasks that are cancelled while they wait in the interchange."""

import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider


@python_app
def nothing(number):
    return number


@pytest.mark.timeout(300)
def test_futures_are_cancelled_one_by_one_in_time_that_grows_with_their_number(tmp_path, monkeypatch):
    seconds = {}
    for count in (2_000, 8_000):
        htex = HighThroughputExecutor(provider=LocalProvider(init_blocks=0, max_blocks=0), label=f"h{count}")
        with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path), strategy=lambda _: [])) as dfk:
            executor = dfk.executors[htex.label]
            # That max_blocks=0 runs nothing is what is wanted here.
            monkeypatch.setattr(executor, "on_failure", lambda error: None)
            futures = [nothing(number) for number in range(count)]
            deadline = time.monotonic() + 60
            while (report := executor._managers.report(count - 1)) is None or report.ahead < count - 1:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            begin = time.monotonic()
            for future in futures:
                future.cancel()
            while not all(future.done() for future in futures):
                time.sleep(0.01)
            seconds[count] = time.monotonic() - begin
    assert seconds[8_000] < 8 * seconds[2_000], f"four times as many take {seconds}"
