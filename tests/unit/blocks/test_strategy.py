"""Parsl's formulas and worked examples."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cnflow.blocks.strategy import BlockView, Drain, Limits, Situation, Start, blocks_for, htex_auto_scale, none, simple


def limits(low=0, first=0, high=4, nodes=1, parallelism=1.0, max_idletime=120.0, warm=0):  # noqa: PLR0913, PLR0917
    return Limits(first, low, high, nodes, parallelism, max_idletime, warm)


def blocks(*idle_for, workers=2):
    return tuple(BlockView(str(n), workers, seconds) for n, seconds in enumerate(idle_for))


def situation(tasks=0, there=(), slots=2, idle_for=0.0, *, first=False, **limited):
    return Situation(tasks, idle_for, there, slots, first, limits(**limited))


class TestNumberOfBlocks:
    @pytest.mark.parametrize(
        ("parallelism", "tasks", "expected"),
        [
            *[(0.0, 0, 0), (0.0, 1, 1), (0.0, 1_000, 1)],
            *[(1.0, 0, 0), (1.0, 1, 1), (1.0, 2, 1), (1.0, 3, 2), (1.0, 8, 4), (1.0, 1_000, 4)],
            *[(0.5, 0, 0), (0.5, 2, 1), (0.5, 4, 1), (0.5, 5, 2), (0.5, 8, 2), (0.5, 9, 3), (0.5, 1_000, 4)],
            (0.1, 30 * 2, 3),  # in floating point a little more than 3
        ],
    )
    def test_the_number_of_blocks_follows_parallelism(self, parallelism, tasks, expected):
        assert blocks_for(tasks, 2, limits(parallelism=parallelism)) == expected

    def test_a_minimum_is_kept_without_a_task_and_with_few(self):
        assert [blocks_for(tasks, 2, limits(low=2, parallelism=0.0)) for tasks in (0, 1, 100)] == [2, 2, 2]

    @given(
        st.integers(0, 500), st.integers(1, 8), st.integers(0, 5), st.integers(0, 5), st.floats(0, 1), st.integers(0, 3)
    )
    def test_the_number_is_within_the_limits_and_grows_with_the_tasks(self, tasks, slots, low, more, parallelism, warm):
        allowed = limits(low=low, high=low + more, parallelism=parallelism, warm=warm)
        few, many = (blocks_for(count, slots, allowed) for count in (tasks, tasks + 1))
        assert low <= few <= many <= low + more


class TestWarmBlocks:
    @pytest.mark.parametrize(("tasks", "expected"), [(0, 1), (1, 2), (2, 2), (3, 3), (7, 4), (100, 4)])
    def test_a_block_beyond_those_of_the_tasks_is_kept_within_the_maximum(self, tasks, expected):
        assert blocks_for(tasks, 2, limits(warm=1)) == expected

    def test_blocks_of_the_minimum_that_the_tasks_do_not_take_are_warm_already(self):
        assert [blocks_for(tasks, 1, limits(low=2, warm=1)) for tasks in (0, 1, 2)] == [2, 2, 3]

    @pytest.mark.parametrize("strategy", [simple, htex_auto_scale])
    def test_warm_blocks_start_without_a_task_and_outlast_the_idle_time(self, strategy):
        assert strategy(situation(warm=2)) == [Start(2)]
        assert strategy(situation(warm=2, there=blocks(500.0, 500.0, 500.0), idle_for=500.0)) == [Drain(("2",))]

    def test_auto_scale_keeps_warm_blocks_while_others_work(self):
        there = blocks(0.0, 500.0, 500.0)
        assert htex_auto_scale(situation(tasks=1, there=there, warm=1)) == [Drain(("2",))]

    def test_strategy_none_keeps_warm_blocks_in_addition(self):
        calm = situation(warm=1)
        assert none(calm._replace(limits=limits(first=2, warm=1))) == [Start(3)]
        assert none(calm._replace(limits=limits(first=2, warm=9))) == [Start(4)]


class TestGrowing:
    def test_a_burst_starts_all_blocks_at_once(self):
        assert simple(situation(tasks=8)) == [Start(4)]

    def test_the_fifth_task_of_the_worked_example_starts_the_second_block(self):
        assert simple(situation(tasks=4, there=blocks(0.0), parallelism=0.5)) == []
        assert simple(situation(tasks=5, there=blocks(0.0), parallelism=0.5)) == [Start(1)]

    def test_init_blocks_are_started_without_a_task_and_once(self):
        start = Situation(0, 0.0, (), 2, True, limits(first=2))
        assert [strategy(start) for strategy in (none, simple, htex_auto_scale)] == [[Start(2)]] * 3
        assert simple(start._replace(is_first=False)) == []

    def test_without_init_blocks_none_is_started_until_there_is_a_task(self):
        assert simple(situation(first=True)) == []
        assert simple(situation(tasks=1)) == [Start(1)]

    def test_min_blocks_are_kept(self):
        assert simple(situation(there=blocks(0.0), low=2)) == [Start(1)]

    def test_strategy_none_keeps_init_blocks_for_any_number_of_tasks(self):
        calm = Situation(0, 1e9, blocks(0.0), 2, False, limits(first=2))
        assert none(calm) == [Start(1)]
        assert none(calm._replace(tasks=1_000, blocks=blocks(0.0, 0.0))) == []
        assert none(calm._replace(blocks=blocks(1e9, 1e9))) == []


class TestShrinking:
    @pytest.mark.parametrize("strategy", [simple, htex_auto_scale])
    def test_blocks_beyond_the_minimum_are_drained_after_a_long_idle_time(self, strategy):
        there = blocks(120.0, 120.0, 120.0)
        assert strategy(situation(there=there, idle_for=119.9, low=1)) == []
        assert strategy(situation(there=there, idle_for=120.0, low=1)) == [Drain(("2", "1"))]

    def test_blocks_that_do_not_run_yet_are_drained_first(self):
        there = (BlockView("0", 0, 0.0), BlockView("1", 2, 0.0))
        assert simple(situation(there=there, idle_for=200.0, low=1)) == [Drain(("0",))]

    def test_simple_leaves_idle_blocks_alone_while_there_is_a_task(self):
        assert simple(situation(tasks=1, there=blocks(0.0, 500.0))) == []

    def test_auto_scale_drains_idle_blocks_while_others_work(self):
        there = blocks(0.0, 500.0, 119.0, 500.0)
        assert htex_auto_scale(situation(tasks=1, there=there)) == [Drain(("3", "1"))]

    def test_auto_scale_keeps_as_many_blocks_as_the_tasks_need(self):
        assert htex_auto_scale(situation(tasks=5, there=blocks(500.0, 500.0, 500.0))) == []
        assert htex_auto_scale(situation(tasks=1, there=blocks(500.0), parallelism=0.0)) == []

    @pytest.mark.parametrize(
        ("tasks", "slots", "expected"),
        [(14, 48, 1), (1, 1, 1), (100, 1, 20), (47, 48, 1), (48, 48, 1), (49, 48, 2), (149, 50, 3)],
    )
    def test_the_number_of_blocks_settles_where_parsl_once_oscillated(self, tasks, slots, expected):
        there = ()
        for _ in range(5):
            now = situation(tasks=tasks, there=there, slots=slots, high=20, max_idletime=0.0)
            for change in htex_auto_scale(now):
                assert isinstance(change, Start)
                there = blocks(*[1.0] * (len(there) + change.number))
        assert len(there) == expected

    @given(st.integers(0, 50), st.integers(0, 6), st.floats(0, 1), st.floats(0, 300), st.integers(0, 3))
    def test_a_drained_block_is_not_replaced_for_the_same_tasks(self, tasks, there, parallelism, idle, warm):
        idle_for = 0.0 if tasks else idle
        before = situation(
            tasks=tasks, there=blocks(*[idle] * there), idle_for=idle_for, high=6, parallelism=parallelism, warm=warm
        )
        for change in htex_auto_scale(before):
            if isinstance(change, Drain):
                left = tuple(block for block in before.blocks if block.id not in change.blocks)
                assert htex_auto_scale(before._replace(blocks=left)) == []
