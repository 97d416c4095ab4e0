"""Blocks that follow the tasks, with real processes."""

import logging
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.blocks import Drain, Start
from cnflow.errors import BlockError, ConfigurationError
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider


@python_app
def nap(seconds):
    import os
    import time

    time.sleep(seconds)
    return os.environ["CNFLOW_WORKER_BLOCK_ID"]


@python_app
def hold(began, release):
    """Runs from when it has made the one file until the other is there."""
    import os
    import time
    from pathlib import Path

    Path(began).touch()
    while not Path(release).exists():
        time.sleep(0.02)
    return os.environ["CNFLOW_WORKER_BLOCK_ID"]


@pytest.fixture
def load(tmp_path):
    def loaded(strategy="simple", max_idletime=120.0, **blocks):
        settings = {"init_blocks": 0, "max_blocks": 3, **blocks}
        executor = HighThroughputExecutor(provider=LocalProvider(**settings), max_workers=1)
        config = Config(
            executors=[executor], strategy=strategy, max_idletime=max_idletime, run_dir=str(tmp_path), retries=0
        )
        return cnflow.load(config)

    return loaded


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def blocks_of(dfk):
    return dfk.executor_status()[0].blocks


def test_no_block_is_started_without_a_task_and_a_burst_starts_no_more_than_allowed(load):
    with load() as dfk:
        time.sleep(0.5)  # there is no event to wait for: nothing is to happen
        assert blocks_of(dfk) == 0
        futures = [nap(0.4) for _ in range(12)]
        wait_until(lambda: blocks_of(dfk) == 3)
        assert {future.result(30) for future in futures} <= {"0", "1", "2"}
        assert blocks_of(dfk) == 3


def test_few_tasks_start_few_blocks_and_parallelism_zero_one(load):
    with load(parallelism=0) as dfk:
        assert {future.result(30) for future in [nap(0.05) for _ in range(10)]} == {"0"}
        assert blocks_of(dfk) == 1


def test_idle_blocks_go_but_for_the_minimum_and_come_again_with_tasks(load):
    with load(max_idletime=0.5, min_blocks=1, init_blocks=1) as dfk:
        [future.result(30) for future in [nap(0.5) for _ in range(6)]]
        assert blocks_of(dfk) == 3
        wait_until(lambda: blocks_of(dfk) == 1)
        wait_until(lambda: dfk.executor_status()[0].managers == 1)
        futures = [nap(0.5) for _ in range(6)]
        wait_until(lambda: blocks_of(dfk) == 3)
        assert all(future.result(30) for future in futures)


def test_blocks_that_are_not_needed_go_while_a_task_runs_on_undisturbed(load, tmp_path):
    began, release = tmp_path / "began", tmp_path / "release"
    with load(strategy="htex_auto_scale", max_idletime=0.5) as dfk:
        futures = [nap(0.2) for _ in range(6)]
        wait_until(lambda: dfk.executor_status()[0].managers == 3)
        long = hold(str(began), str(release))
        [future.result(30) for future in futures]
        wait_until(lambda: blocks_of(dfk) == 1)
        release.touch()
        assert long.result(30)
        assert nap(0).result(30)


def test_a_strategy_of_ones_own_and_a_drain_that_waits_for_the_running_task(load, tmp_path, caplog):
    began, release = tmp_path / "began", tmp_path / "release"
    wishes = {"drain": False}

    def own(situation):
        if wishes["drain"]:
            return [Drain(tuple(block.id for block in situation.blocks if block.id == "0"))]
        return [Start(1)] if not situation.blocks and situation.tasks else []

    caplog.set_level(logging.INFO, "cnflow.blocks")
    with load(strategy=own, max_blocks=2) as dfk:
        running = hold(str(began), str(release))
        wait_until(began.exists)
        wishes["drain"] = True
        wait_until(lambda: "drains" in caplog.text)
        wishes["drain"] = False
        assert nap(0).result(30) == "1"
        assert blocks_of(dfk) == 2
        release.touch()
        assert running.result(30) == "0"
        wait_until(lambda: blocks_of(dfk) == 1)


def test_a_strategy_that_fails_leaves_blocks_as_they_are(load, caplog):
    calls = []

    def own(situation):
        calls.append(situation)
        if len(calls) > 1:
            raise RuntimeError("mine")
        return [Start(1)]

    with load(strategy=own) as dfk:
        assert nap(0).result(30) == "0"
        wait_until(lambda: len(calls) > 3)
        assert blocks_of(dfk) == 1
    assert "the strategy of executor htex failed" in caplog.text


def test_none_keeps_init_blocks(load):
    with load(strategy=None, init_blocks=2, max_idletime=0.1) as dfk:
        [future.result(30) for future in [nap(0.05) for _ in range(12)]]
        time.sleep(0.5)
        assert blocks_of(dfk) == 2


def test_none_without_blocks_fails_the_tasks(load):
    with load(strategy="none"), pytest.raises(BlockError, match="init_blocks=0"):
        nap(0).result(30)


def test_blocks_that_fail_and_then_work_are_recovered_from(load, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("x\n")
    once = f"if [ $(wc -l < {broken}) -lt 3 ]; then echo x >> {broken}; echo no licence; exit 3; fi"
    with load(worker_init=once):
        assert nap(0).result(30) == "2"


def test_blocks_that_never_work_are_quoted(load):
    with load(worker_init="echo no licence for $CNFLOW_NOT_SET today; exit 3"):
        error = nap(0).exception(30)
    assert isinstance(error, BlockError)
    assert "exited with code 3" in str(error)
    assert "no licence for" in str(error)
    assert "3 blocks failed" in str(error)


def test_a_block_whose_manager_never_connects_is_reported_with_what_it_said_and_tried(load):
    with load(worker_init="echo still loading modules; sleep 600", startup_timeout=0.3, max_blocks=1):
        error = nap(0).exception(60)
    assert isinstance(error, BlockError)
    assert "still loading modules" in str(error)
    assert "Its managers try ipc://" in str(error)


def test_a_strategy_that_is_not_known_is_answered_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"no strategy is called 'simpel'. Did you mean 'simple'\?"):
        Config(strategy="simpel")
