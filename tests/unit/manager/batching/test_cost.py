"""Estimates of the duration of batches."""

import random

import pytest

from cnflow.manager.batching.cost import CostModel


def seen(*batches):
    cost = CostModel()
    for rows, seconds in batches:
        cost.record(rows, seconds)
    return cost


def test_nothing_is_known_of_a_new_model_and_it_begins_with_one_row():
    cost = CostModel()
    assert (cost.is_known, cost.seconds(10), cost.most_rows(1.0)) == (False, 0.0, 1)


def test_size_at_most_doubles_with_each_step():
    cost = seen((1, 0.001))
    assert cost.most_rows(10.0) == 2
    cost.record(2, 0.001)
    assert cost.most_rows(10.0) == 4


def test_fixed_time_and_time_of_each_row_are_told_apart():
    cost = seen(*[(rows, 0.010 + 0.002 * rows) for rows in (1, 2, 4, 8, 16)] * 3)
    assert cost.seconds(0) == pytest.approx(0.010, rel=0.05)
    assert cost.seconds(32) == pytest.approx(0.074, rel=0.05)
    assert 15 <= cost.most_rows(0.050) <= 20


def test_batch_within_the_budget_is_found_whatever_the_model():
    chance = random.Random(7)
    for _ in range(200):
        fixed, per_row, budget = chance.uniform(0, 0.02), chance.uniform(1e-5, 0.01), chance.uniform(0.03, 0.2)
        budget = max(budget, 2.5 * (fixed + per_row))
        cost = CostModel()
        rows = 1
        for _ in range(40):
            cost.record(rows, fixed + per_row * rows)
            rows = cost.most_rows(budget)
        assert fixed + per_row * rows <= budget * 1.01 or rows == 1
        assert fixed + per_row * (rows + 2) * 1.1 > budget * 0.9 or rows >= 2**20, "it is not too careful"


def test_pause_of_the_machine_does_not_make_batches_tiny():
    cost = seen(*[(8, 0.010), (4, 0.006)] * 20)
    before = cost.most_rows(0.015)
    cost.record(8, 30.0)
    assert cost.seconds(8) < 0.02
    for _ in range(40):
        cost.record(8, 0.010)
        cost.record(4, 0.006)
    assert abs(cost.most_rows(0.015) - before) <= 1


def test_model_that_becomes_slower_is_followed():
    cost = seen(*[(8, 0.010), (4, 0.006)] * 20)
    for _ in range(60):
        cost.record(8, 0.100)
        cost.record(4, 0.060)
    assert cost.seconds(8) == pytest.approx(0.100, rel=0.15)


@pytest.mark.parametrize("budget", [0.0, -1.0, 1e-9])
def test_one_row_runs_however_small_the_budget(budget):
    assert seen((1, 1.0), (2, 2.0)).most_rows(budget) == 1


def test_longer_time_for_fewer_rows_makes_no_negative_estimate():
    cost = seen((1, 0.5), (10, 0.1), (1, 0.5), (10, 0.1))
    assert cost.seconds(100) >= cost.seconds(1) >= 0.0


def test_workers_share_rows_only_where_that_saves_time():
    assert seen(*[(rows, 0.001 * rows) for rows in (1, 2, 4, 8)]).is_worth_dividing(8, 4)
    assert not seen(*[(rows, 0.01 + 1e-6 * rows) for rows in (1, 2, 4, 8)]).is_worth_dividing(8, 4)
    assert not CostModel().is_worth_dividing(8, 4)
