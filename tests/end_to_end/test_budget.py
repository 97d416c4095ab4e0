"""A budget stops a run in time, on real blocks: plain processes of this machine with a price."""

import time

import pytest

import cnflow
from cnflow import Budget, Config
from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.dataflow.control import answer_query
from cnflow.errors import BudgetError, CnflowError, ConfigurationError

CENT_A_SECOND = 36.0


@cnflow.python_app
def wait(seconds):
    import time

    time.sleep(seconds)
    return seconds


def config(folder, budget, label="paid", **provider):
    local = LocalProvider(init_blocks=0, **{"max_blocks": 2, "price_per_hour": CENT_A_SECOND, **provider})
    executor = HighThroughputExecutor(label=label, max_workers=1, provider=local)
    return Config(executors=[executor], budget=budget, run_dir=str(folder), retries=2)


def outcomes(futures):
    return [future.exception() for future in futures]


def test_run_stops_within_its_budget_and_the_other_tasks_name_it(tmp_path):
    with cnflow.load(config(tmp_path, Budget(usd=0.16, drain_time=1))) as dfk:
        errors = outcomes([wait(0.4) for _ in range(60)])
        assert "of $0.16" in repr(dfk)
        assert answer_query(dfk, {"ask": "blocks"})["spent"].startswith("$")
        spent = dfk.spending().spent.usd
    done, failed = errors.count(None), [error for error in errors if error is not None]
    assert 4 <= done < 60
    assert all(isinstance(error, BudgetError) for error in failed)
    assert "of the budget of $0.16 are spent" in str(failed[0])
    assert 0.05 < spent <= 0.16
    assert dfk.spending().spent.usd <= 0.16
    assert (tmp_path / "000" / "spending.json").exists()


def test_task_that_outlasts_the_time_to_drain_is_ended_with_its_block_at_the_limit(tmp_path):
    began = time.monotonic()
    with cnflow.load(config(tmp_path, Budget(usd=0.08, drain_time=0), max_blocks=1)) as dfk:
        (error,) = outcomes([wait(120)])
    assert isinstance(error, CnflowError)
    assert time.monotonic() - began < 60
    assert dfk.spending().spent.usd <= 0.08


def test_budget_for_less_than_one_block_starts_none(tmp_path):
    with cnflow.load(config(tmp_path, Budget(usd=0.001, drain_time=5))) as dfk:
        (error,) = outcomes([wait(0)])
    assert isinstance(error, BudgetError)
    assert "too little for one more block, at $36.00 per hour" in str(error)
    assert dfk.spending().spent.usd == 0


def test_core_hours_of_blocks_that_cost_nothing_are_limited(tmp_path):
    with cnflow.load(config(tmp_path, Budget(core_hours=1e-6), price_per_hour=None)):
        (error,) = outcomes([wait(0)])
    assert "of the budget of 1e-06 core hours" in str(error)


def test_spending_is_known_without_a_budget_where_blocks_have_a_price(tmp_path):
    with cnflow.load(config(tmp_path, None)) as dfk:
        assert wait(0).result() == 0
        assert dfk.spending().spent.usd > 0
    with cnflow.load(config(tmp_path, None, price_per_hour=None)) as dfk:
        assert dfk.spending() is None


def test_budget_without_a_limit_is_refused():
    with pytest.raises(ConfigurationError, match="limits nothing"):
        Budget()
