from cnflow.blocks.strategy import GiveUp, StartBlock, Strategy
from cnflow.config import LocalProvider


def strategy(init_blocks=1):
    return Strategy(LocalProvider(init_blocks=init_blocks))


def test_init_blocks_are_started_at_once():
    assert strategy(2).begin() == [StartBlock("0"), StartBlock("1")]


def test_without_init_blocks_one_is_started_as_nothing_else_would():
    assert strategy(0).begin() == [StartBlock("0")]


def test_a_first_block_that_fails_is_the_end_with_its_reason():
    state = strategy()
    state.begin()
    assert state.ended("0", "no such image") == [GiveUp("no such image")]


def test_a_block_that_was_of_use_is_replaced():
    state = strategy()
    state.begin()
    state.connected("0")
    assert state.ended("0", "killed") == [StartBlock("1")]


def test_replacements_that_never_connect_are_given_up_after_three():
    state = strategy()
    state.begin()
    state.connected("0")
    state.ended("0", "killed")
    assert state.ended("1", "x") == [StartBlock("2")]
    assert state.ended("2", "x") == [StartBlock("3")]
    assert state.ended("3", "x") == [GiveUp("x")]


def test_nothing_is_given_up_while_another_block_lives():
    state = strategy(2)
    state.begin()
    assert state.ended("0", "x") == []
    assert state.living == ["1"]


def test_an_end_that_is_heard_twice_counts_once():
    state = strategy()
    state.begin()
    state.connected("0")
    state.ended("0", "x")
    assert state.ended("0", "x") == []
