"""Executors with several providers: real processes of two local providers, and one of which nothing works."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import python_app
from cnflow.config import Config, HighThroughputExecutor, LocalProvider
from cnflow.errors import BlockError

LONGEST = 60.0


@python_app
def where(seconds):
    import os
    import time

    time.sleep(seconds)
    return os.environ.get("WHERE")


def local(name, **options):
    return LocalProvider(environment={"WHERE": name}, **options)


def broken(**options):
    return LocalProvider(worker_init="echo no such module >&2; exit 7", **options)


def load(folder, *providers, **options):
    executor = HighThroughputExecutor(label="mixed", max_workers=1, provider=list(providers), **options)
    return cnflow.load(Config(executors=[executor], run_dir=str(folder)))


def reports(dfk):
    return dfk.executors["mixed"].block_reports()


def providers(dfk):
    return {report.native.partition("/")[0] for report in reports(dfk)}


def test_tasks_run_on_blocks_of_both_providers_once_the_first_is_full(tmp_path):
    with load(tmp_path, local("first"), local("second", max_blocks=2), spill_after=0.5) as dfk:
        ran = {each.result(LONGEST) for each in [where(0.5) for _ in range(16)]}
        natives = providers(dfk)
    assert ran == {"first", "second"}
    assert natives == {"local", "local-2"}


def test_short_work_stays_with_the_first_provider(tmp_path):
    with load(tmp_path, local("first"), local("second"), spill_after=LONGEST):
        assert {each.result(LONGEST) for each in [where(0) for _ in range(20)]} == {"first"}


def test_provider_whose_blocks_fail_is_passed_over_with_its_reason(tmp_path):
    with load(tmp_path, broken(), local("second"), spill_after=LONGEST) as dfk:
        assert where(0).result(LONGEST) == "second"
        waiting = [where(2) for _ in range(3)]
        words = "\n".join([dfk.explain(waiting[-1].tid)])
        assert [each.result(LONGEST) for each in waiting] == ["second"] * 3
    assert "Provider local is" in words
    assert "no such module" in words


def test_tasks_fail_with_the_reasons_of_all_providers_when_none_works(tmp_path):
    with load(tmp_path, broken(), broken()), pytest.raises(BlockError) as failed:
        where(0).result(LONGEST)
    assert "None of the 2 providers" in str(failed.value)
    assert "local-2: " in str(failed.value)


def test_hedged_block_that_comes_later_is_withdrawn(tmp_path):
    late = LocalProvider(worker_init="sleep 30", init_blocks=0)
    with load(tmp_path, late, local("second"), hedge=2, spill_after=LONGEST) as dfk:
        task = where(1.0)
        assert task.result(LONGEST) == "second"
        deadline = time.monotonic() + LONGEST
        while len(reports(dfk)) != 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert providers(dfk) == {"local-2"}


CRASHED = """
import os, signal, sys
import cnflow
from test_several_providers import adoptable, where

dfk = cnflow.load(adoptable(sys.argv[1]))
assert {each.result(60) for each in [where(1) for _ in range(6)]} == {"first", "second"}
os.kill(os.getpid(), signal.SIGKILL)
"""


def adoptable(folder):
    providers = [local("first"), local("second")]
    executor = HighThroughputExecutor(label="mixed", max_workers=1, provider=providers, spill_after=0.2)
    return Config(executors=[executor], run_dir=str(folder), adoptable_for=60)


def test_blocks_of_both_providers_are_taken_over_after_the_driver_was_killed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    killed = subprocess.run([sys.executable, "-c", CRASHED, str(tmp_path)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    with cnflow.load(adoptable(tmp_path), adopt=tmp_path / "000") as dfk:
        assert {each.result(LONGEST) for each in [where(0.5) for _ in range(8)]} == {"first", "second"}
        assert [(report.block, report.native.partition("/")[0]) for report in reports(dfk)] == [
            ("0", "local"),
            ("1", "local-2"),
        ]
