"""Spending of a run: accounts, the record that outlives a driver, runs of one day, and what is refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from cnflow.budget import store
from cnflow.budget.amounts import Amounts, Billing, Limit, Terms, per_second
from cnflow.budget.spending import Spending
from cnflow.errors import ConfigurationError
from cnflow.model.machine import Rate
from cnflow.testing import FakeClock
from cnflow.units import Seconds

if TYPE_CHECKING:
    from pathlib import Path

HOURLY = Rate(3.6, 4)
VM = Billing(HOURLY, Seconds(60.0), Seconds(30.0), Seconds(60.0), Seconds(5.0), is_queue_free=False)
NOON = 1_795_694_400.0  # 2026-11-26 12:00 UTC


class Run:
    """Spending of a run on a clock of the test."""

    def __init__(self, folder: Path, terms: Terms, at: float = NOON, *, adopted: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.clock = FakeClock()
        self.spending = Spending(folder, self.clock, terms, wall=lambda: at, adopted=adopted)
        self.account = self.spending.open_account("htex", VM, lasts=100.0)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.account.rule()

    @property
    def usd(self) -> float:
        return self.spending.report().spent.usd


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "007", Terms(Limit(usd=1.0), Seconds(60.0)))


def test_block_is_paid_from_its_submission_to_its_end_and_shutdown(run: Run) -> None:
    run.account.on_submitted("0")
    run.wait(100)
    run.account.on_started("0", HOURLY)
    run.wait(100)
    assert run.usd == pytest.approx(0.2)
    run.account.on_over("0")
    run.wait(1000)
    assert run.usd == pytest.approx(0.23)


def test_refused_block_costs_nothing(run: Run) -> None:
    run.account.on_submitted("0")
    run.wait(10)
    run.account.on_over("0", was_refused=True)
    assert run.usd == 0


def test_machine_beside_the_blocks_is_paid_until_the_run_ends(tmp_path: Path) -> None:
    one = Run(tmp_path / "007", Terms(Limit(usd=10.0)))
    one.spending.open_account("other", VM._replace(overhead=HOURLY))
    one.wait(100)
    one.spending.close()
    one.wait(100)
    assert one.usd == pytest.approx(0.1)


def test_executor_with_a_machine_beside_its_blocks_gives_up_when_no_block_is_affordable(tmp_path: Path) -> None:
    one = Run(tmp_path / "007", Terms(Limit(usd=0.2), Seconds(60.0)))
    account = one.spending.open_account("other", VM._replace(overhead=Rate(0.036)))
    assert account.rule().is_final


def test_line_names_what_is_spent_the_limit_and_the_price_per_hour(run: Run) -> None:
    run.account.on_started("0")
    run.wait(100)
    assert run.spending.report().line == "$0.10 of $1.00, $3.60 an hour"


def test_user_is_warned_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.account.on_started("0")
    with caplog.at_level(logging.WARNING):
        for _ in range(18):
            run.wait(50)
    assert [record.message for record in caplog.records] == [
        "$0.80 of the budget of $1.00 are spent",
        "$0.90 of the budget of $1.00 are spent: blocks get no further task, and end; the rest is for what runs",
    ]


def test_driver_that_takes_a_run_over_goes_on_with_what_was_spent(tmp_path: Path) -> None:
    terms = Terms(Limit(usd=1.0), Seconds(60.0))
    killed = Run(tmp_path / "007", terms)
    for block in ("0", "1", "2"):
        killed.account.on_started(block)
    killed.wait(100)
    killed.account.on_over("0")
    killed.wait(10)  # written, and killed
    heir = Run(tmp_path / "007", terms, at=NOON + 130, adopted=True)
    assert heir.usd == pytest.approx(0.13 + 2 * 0.13)
    heir.account.on_started("1")
    heir.wait(70)  # block 2 was not found again
    assert heir.usd == pytest.approx(0.13 + 0.2 + 0.23)
    heir.wait(10)
    assert heir.usd == pytest.approx(0.13 + 0.21 + 0.23)


def test_machine_of_the_interchange_is_paid_on_by_the_driver_that_takes_the_run_over(tmp_path: Path) -> None:
    terms, billing = Terms(Limit(usd=1.0), Seconds(60.0)), VM._replace(overhead=HOURLY)
    killed = Run(tmp_path / "007", terms)
    killed.spending.open_account("cloud", billing)
    killed.wait(10)
    heir = Run(tmp_path / "007", terms, at=NOON + 20, adopted=True)
    account = heir.spending.open_account("cloud", billing)
    heir.wait(100)
    heir.wait(100)
    assert heir.usd == pytest.approx(0.22)
    heir.wait(650)
    assert account.rule().is_final  # no end of a block leaves room


def test_runs_of_one_day_share_its_budget(tmp_path: Path) -> None:
    terms = Terms(Limit(usd=1.0), Seconds(60.0), per_day=True)
    first = Run(tmp_path / "007", terms)
    first.account.on_started("0")
    first.wait(400)
    first.spending.close()
    second = Run(tmp_path / "008", terms, at=NOON + 500)
    second.wait(0)
    assert second.usd == pytest.approx(0.4)
    assert second.account.rule().further == 2
    tomorrow = Run(tmp_path / "009", terms, at=NOON + 86400)
    tomorrow.wait(0)
    assert tomorrow.usd == 0


def test_midnight_begins_a_new_budget_for_blocks_that_run_on(tmp_path: Path) -> None:
    one = Run(tmp_path / "007", Terms(Limit(usd=1.0), Seconds(60.0), per_day=True), at=NOON + 43200 - 930)
    one.account.on_started("0")
    one.wait(920)
    assert one.account.rule().drains
    one.wait(20)
    assert not one.account.rule().drains
    assert one.usd == pytest.approx(0.01)


def test_record_of_another_run_is_read_again_only_while_that_run_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms, looked = Terms(Limit(usd=1.0), Seconds(60.0), per_day=True), []
    for name in ("005", "006"):
        ended = Run(tmp_path / name, terms)
        ended.account.on_started("0")
        ended.wait(100)
        ended.spending.close()
    living, one = Run(tmp_path / "007", terms), Run(tmp_path / "008", terms)
    read = store.read
    monkeypatch.setattr(store, "read", lambda folder: (looked.append(folder.name), read(folder))[1])
    for _ in range(5):
        living.account.on_started("0")
        living.clock.advance(10)
        one.wait(10)
    assert sorted(looked) == ["005", "006", *["007"] * 5]
    assert one.usd == pytest.approx(2 * 0.1 + 0.05)


def test_record_that_cannot_be_read_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "007").mkdir()
    (tmp_path / "007" / store.FILE).write_text("{")
    one = Run(tmp_path / "008", Terms(Limit(usd=1.0), Seconds(60.0), per_day=True))
    for _ in range(5):
        one.wait(10)
    assert caplog.text.count("cannot be read") == 1


def test_job_that_was_taken_over_costs_on_though_its_system_does_not_answer_for_minutes(tmp_path: Path) -> None:
    terms, billing = Terms(Limit(usd=10.0), Seconds(60.0)), VM._replace(is_queue_free=True)
    killed = Run(tmp_path / "007", terms)
    killed.spending.open_account("slurm", billing).on_started("0")
    killed.wait(100)
    heir = Run(tmp_path / "007", terms, at=NOON + 100, adopted=True)
    account = heir.spending.open_account("slurm", billing)
    account.on_submitted("0")
    heir.wait(300)
    account.on_started("0")
    heir.wait(100)
    assert heir.usd == pytest.approx(0.5)


def test_blocks_of_a_killed_driver_cost_for_as_long_as_they_may_outlive_it(tmp_path: Path) -> None:
    record = store.Record("2026-11-26", Amounts(0.1), NOON, [store.Entry("a", NOON, per_second(HOURLY), 30, 100)])
    spent, burn, _ = store.spent_by(record, "2026-11-26", NOON - 43200, NOON + 100)
    assert spent.usd == pytest.approx(0.2)
    assert burn.usd == pytest.approx(0.001)
    spent, burn, _ = store.spent_by(record, "2026-11-26", NOON - 43200, NOON + 5000)
    assert spent.usd == pytest.approx(0.23)
    assert burn.usd == 0
    assert store.spent_by(record, "2026-11-27", NOON + 43200, NOON + 50000)[0].usd == 0


def test_record_that_is_no_record_is_warned_of_and_not_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / store.FILE).write_text('{"day": 1')
    assert store.read(tmp_path) is None
    assert "cannot be read, and is not counted" in caplog.text
    assert store.read(tmp_path / "none") is None


def test_budget_in_dollars_refuses_machines_without_a_price(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="Set price_per_hour="):
        run.spending.open_account("gpu", VM._replace(rate=Rate(None, 8)))


def test_budget_in_core_hours_refuses_blocks_without_known_cores(tmp_path: Path) -> None:
    spending = Spending(tmp_path, FakeClock(), Terms(Limit(core_hours=1.0)))
    with pytest.raises(ConfigurationError, match="cores_per_node"):
        spending.open_account("slurm", Billing())
