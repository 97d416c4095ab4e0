"""Scaling of blocks with the number of tasks, with real processes."""

import logging
import os
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.blocks import Drain, Start
from cnflow.errors import BlockError, ConfigurationError
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider
from cnflow.providers.local.provider import LocalBackend


@python_app
def nap(seconds):
    import os
    import time

    time.sleep(seconds)
    return os.environ["CNFLOW_WORKER_BLOCK_ID"]


@python_app
def hold(began, release):
    """Make the file *began*, and return once the file *release* exists."""
    import os
    import time
    from pathlib import Path

    Path(began).touch()
    while not Path(release).exists():
        time.sleep(0.02)
    return os.environ["CNFLOW_WORKER_BLOCK_ID"]


@pytest.fixture
def load(tmp_path):
    def load_run(strategy="simple", max_idletime=120.0, **blocks):
        settings = {"init_blocks": 0, "max_blocks": 3, **blocks}
        executor = HighThroughputExecutor(provider=LocalProvider(**settings), max_workers=1)
        config = Config(
            executors=[executor], strategy=strategy, max_idletime=max_idletime, run_dir=str(tmp_path), retries=0
        )
        return cnflow.load(config)

    return load_run


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def block_count(dfk):
    return dfk.executor_status()[0].blocks


def test_blocks_start_with_the_first_task_and_stop_at_max_blocks(load):
    with load() as dfk:
        time.sleep(0.5)  # there is no event to wait for: no block may start
        assert block_count(dfk) == 0
        futures = [nap(0.4) for _ in range(12)]
        wait_until(lambda: block_count(dfk) == 3)
        assert {future.result(30) for future in futures} <= {"0", "1", "2"}
        assert block_count(dfk) == 3


def test_parallelism_sets_the_blocks_for_few_tasks(load):
    with load(parallelism=0) as dfk:
        assert {future.result(30) for future in [nap(0.05) for _ in range(10)]} == {"0"}
        assert block_count(dfk) == 1


def test_idle_blocks_end_down_to_min_blocks_and_return_with_tasks(load):
    with load(max_idletime=0.5, min_blocks=1, init_blocks=1) as dfk:
        [future.result(30) for future in [nap(0.5) for _ in range(6)]]
        assert block_count(dfk) == 3
        wait_until(lambda: block_count(dfk) == 1)
        wait_until(lambda: dfk.executor_status()[0].managers == 1)
        futures = [nap(0.5) for _ in range(6)]
        wait_until(lambda: block_count(dfk) == 3)
        assert all(future.result(30) for future in futures)


def test_surplus_blocks_end_while_a_task_runs_on(load, tmp_path):
    began, release = tmp_path / "began", tmp_path / "release"
    with load(strategy="htex_auto_scale", max_idletime=0.5) as dfk:
        futures = [nap(0.2) for _ in range(6)]
        wait_until(lambda: dfk.executor_status()[0].managers == 3)
        long = hold(str(began), str(release))
        [future.result(30) for future in futures]
        wait_until(lambda: block_count(dfk) == 1)
        release.touch()
        assert long.result(30)
        assert nap(0).result(30)


def test_users_strategy_drains_a_block_after_its_running_task(load, tmp_path, caplog):
    began, release = tmp_path / "began", tmp_path / "release"
    orders = {"drain": False}

    def strategy(situation):
        if orders["drain"]:
            return [Drain(tuple(block.id for block in situation.blocks if block.id == "0"))]
        return [Start(1)] if not situation.blocks and situation.tasks else []

    caplog.set_level(logging.INFO, "cnflow.blocks")
    with load(strategy=strategy, max_blocks=2) as dfk:
        running = hold(str(began), str(release))
        wait_until(began.exists)
        orders["drain"] = True
        wait_until(lambda: "drains" in caplog.text)
        orders["drain"] = False
        assert nap(0).result(30) == "1"
        assert block_count(dfk) == 2
        release.touch()
        assert running.result(30) == "0"
        wait_until(lambda: block_count(dfk) == 1)


def test_strategy_that_raises_leaves_blocks_unchanged(load, caplog):
    calls = []

    def strategy(situation):
        calls.append(situation)
        if len(calls) > 1:
            raise RuntimeError("mine")
        return [Start(1)]

    with load(strategy=strategy) as dfk:
        assert nap(0).result(30) == "0"
        wait_until(lambda: len(calls) > 3)
        assert block_count(dfk) == 1
    assert "the strategy of executor htex failed" in caplog.text


def test_strategy_none_keeps_init_blocks(load):
    with load(strategy=None, init_blocks=2, max_idletime=0.1) as dfk:
        [future.result(30) for future in [nap(0.05) for _ in range(12)]]
        time.sleep(0.5)
        assert block_count(dfk) == 2


def test_strategy_none_without_blocks_fails_the_tasks(load):
    with load(strategy="none"), pytest.raises(BlockError, match="init_blocks=0"):
        nap(0).result(30)


def test_run_recovers_from_blocks_that_fail_at_first(load, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("x\n")
    once = f"if [ $(wc -l < {broken}) -lt 3 ]; then echo x >> {broken}; echo no licence; exit 3; fi"
    with load(worker_init=once):
        assert nap(0).result(30) == "2"


def test_error_quotes_blocks_that_always_fail(load):
    with load(worker_init="echo no licence for $CNFLOW_NOT_SET today; exit 3"):
        error = nap(0).exception(30)
    assert isinstance(error, BlockError)
    assert "exited with code 3" in str(error)
    assert "no licence for" in str(error)
    assert "3 blocks failed" in str(error)


def test_error_quotes_output_and_addresses_of_a_manager_that_never_connects(load):
    with load(worker_init="echo still loading modules; sleep 600", startup_timeout=0.3, max_blocks=1):
        error = nap(0).exception(60)
    assert isinstance(error, BlockError)
    assert "still loading modules" in str(error)
    assert "Its managers try ipc://" in str(error)


def test_unknown_strategy_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"no strategy is called 'simpel'. Did you mean 'simple'\?"):
        Config(strategy="simpel")


def test_a_block_that_started_though_its_submission_timed_out_is_adopted(load, monkeypatch):
    submit, started = LocalBackend.submit, []

    def time_out(self, requests):
        answers = submit(self, requests)
        started.extend(answers)
        if len(started) == 1:
            raise BlockError("no answer within 30 s")
        return answers

    monkeypatch.setattr(LocalBackend, "submit", time_out)
    with load(init_blocks=1, max_blocks=1) as dfk:
        assert nap(0).result(30) == "0"
        wait_until(lambda: block_count(dfk) == 1)
        assert nap(0).result(30) == "0"
    assert started == ["0"]


@pytest.mark.timeout(90)
def test_tasks_that_need_a_node_each_get_more_than_one_block(tmp_path):
    cores = len(os.sched_getaffinity(0))

    @python_app
    def nap(seconds):
        import time

        time.sleep(seconds)

    htex = HighThroughputExecutor(
        provider=LocalProvider(init_blocks=0, max_blocks=4), cores_per_worker=cores / 4, max_workers=4
    )
    with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path))) as dfk:
        futures = [nap(1.5, resources={"cores": cores}) for _ in range(4)]
        most = 0
        while not all(future.done() for future in futures):
            most = max(most, dfk.executor_status()[0].blocks)
            time.sleep(0.05)
    assert most > 1, "each task takes a whole node, and they ran one after the other"


@pytest.mark.timeout(60)
def test_nothing_is_kept_of_blocks_that_were_drained(tmp_path):
    provider = LocalProvider(init_blocks=0, max_blocks=1)
    htex = HighThroughputExecutor(provider=provider, max_workers=1, address="127.0.0.1", encrypted=True)
    with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path), max_idletime=0.3)) as dfk:
        executor = dfk.executors["htex"]
        for _ in range(3):
            nap(0).result(30)
            deadline = time.monotonic() + 30
            while executor.status().blocks:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        settings = executor._client._make_settings(executor._client.folder, 0)
        assert settings.blocks == {}, "what a restarted interchange admits, though no block lives"
        assert executor._client._orders.standing() == []
