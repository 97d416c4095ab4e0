"""Whole runs on machines of a fake cloud, played by processes that run their user data."""

import pytest

import cnflow
from cnflow import Budget, Config, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.errors import BudgetError
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.clouds import REGIONS, FakeMachineProvider, FakeRegion
from cnflow.testing.machines import ProcessPlayer, can_play

pytestmark = pytest.mark.skipif(not can_play(), reason="unshare --pid is not allowed here")


@pytest.fixture
def region(tmp_path):
    region = FakeRegion(player=ProcessPlayer(tmp_path / "machines"))
    REGIONS[str(tmp_path)] = (region, DirectBootSite)
    yield region
    region.close()


@pytest.fixture
def config(tmp_path, region):
    def make(**options):
        provider = FakeMachineProvider(region=str(tmp_path), **options)
        executor = HighThroughputExecutor(label="cloud", provider=provider, max_workers=1)
        return Config(executors=[executor], run_dir=str(tmp_path / "runs"))

    return make


@python_app
def where(number):
    import pathlib

    return number * number, pathlib.Path("/proc/self/ns/pid").stat().st_ino


def test_tasks_run_on_machines_which_end_with_the_run(config, region):
    with cnflow.load(config(init_blocks=2, max_blocks=2)):
        results = [future.result(timeout=120) for future in [where(number) for number in range(20)]]
    assert [square for square, _ in results] == [number * number for number in range(20)]
    assert len(region.machines) == 2
    assert region.living() == {}


def test_tasks_of_a_preempted_machine_run_elsewhere_without_a_retry(config, region):
    with cnflow.load(config(init_blocks=1, max_blocks=1)):
        assert where(2).result(timeout=120)[0] == 4
        region.preempt(next(iter(region.living())))
        assert where(3).result(timeout=120)[0] == 9
    assert len(region.machines) == 2
    assert region.living() == {}


def test_a_zone_without_capacity_is_passed_over_for_the_next(config, region):
    region.capacity["m1", "a", False] = 0
    with cnflow.load(config(init_blocks=2, max_blocks=2)):
        assert [future.result(timeout=120)[0] for future in map(where, range(4))] == [0, 1, 4, 9]
    assert {each.machine.placement.zone for each in region.machines.values()} == {"b"}
    assert region.calls.count("launch") <= 4


def test_budget_ends_a_run_on_machines_in_time_and_leaves_none(config, region, monkeypatch):
    monkeypatch.setattr("cnflow.config.machines._MINIMUM", 5.0)
    a_millidollar_a_second = {"price_per_hour": 3.6, "startup_time": 2, "shutdown_time": 2}
    wanted = config(init_blocks=0, max_blocks=2, **a_millidollar_a_second)
    wanted.budget = Budget(usd=0.04, drain_time=2)
    with cnflow.load(wanted) as dfk:
        errors = [future.exception(timeout=120) for future in [slow(number) for number in range(2000)]]
        assert dfk.spending().spent.usd <= 0.04
    assert 0 < errors.count(None) < 2000
    assert {type(error) for error in errors if error is not None} == {BudgetError}
    assert len(region.machines) == 2
    assert region.living() == {}
    assert 0.01 < dfk.spending().spent.usd <= 0.04


@python_app
def slow(number):
    import time

    time.sleep(0.5)
    return number
