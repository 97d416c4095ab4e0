"""Tasks that are cancelled while they wait: many in the interchange, and one for an identical call."""

import time
from concurrent.futures import CancelledError

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider


@python_app
def nothing(number):
    return number


@pytest.mark.timeout(300)
def test_futures_are_cancelled_one_by_one_in_time_that_grows_with_their_number(tmp_path):
    seconds = {}
    for count in (2_000, 8_000):
        htex = HighThroughputExecutor(provider=LocalProvider(init_blocks=0, max_blocks=1), label=f"h{count}")
        with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path), strategy=lambda _: [])) as dfk:
            executor = dfk.executors[htex.label]
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
    assert seconds[8_000] < 12 * seconds[2_000], f"four times as many take {seconds}; sixteen times is quadratic"


@python_app(cache=True)
def nap_once(folder, seconds):
    import time
    from pathlib import Path

    Path(folder, "started").touch()
    time.sleep(seconds)
    return seconds


@pytest.mark.timeout(60)
def test_call_that_waits_for_an_identical_one_is_cancelled_while_the_other_runs(tmp_path):
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=2)], run_dir=str(tmp_path / "runs"))):
        running = nap_once(str(tmp_path), 5)
        deadline = time.monotonic() + 30
        while not (tmp_path / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        waiting = nap_once(str(tmp_path), 5)
        assert waiting.cancel()
        with pytest.raises(CancelledError):
            waiting.result(3)
        assert not running.done()
        assert running.result(30) == 5
