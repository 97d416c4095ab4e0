"""Stories of blocks of several nodes: who is late, who is lost, and what the strategy makes of it."""

from cnflow.blocks.nodes import Nodes
from cnflow.blocks.strategy import Limits, Situation, Start, htex_auto_scale, none, simple


def nodes(per_block=4, hosts=()):
    return Nodes("htex", per_block, 60.0, lambda _: hosts)


def test_block_whose_nodes_all_came_is_not_looked_at_any_more():
    this = nodes()
    for rank in (2, 0, 3, 1):
        this.on_connected("0", rank, f"n{rank}", 10.0)
    assert this.late(1000.0) == []
    assert this.gone == 0


def test_nodes_that_did_not_come_in_time_are_named_once_with_the_hosts_that_the_system_gave():
    this = nodes(hosts=("n0", "n1", "n2", "n3"))
    this.on_running("0", 0.0)
    this.on_connected("0", 0, "n0.site.org", 5.0)
    this.on_connected("0", 2, "n2.site.org", 5.0)
    assert this.late(59.0) == []
    assert this.gone == 0
    (warning,) = this.late(60.0)
    assert warning.words.startswith(
        "2 of 4 nodes of block 0 of executor 'htex' connected within 60 s; nodes 1, 3 (n1, n3) did not, and the block "
        "goes on without."
    )
    assert this.late(1000.0) == []
    assert this.gone == 2


def test_hosts_are_left_out_where_they_do_not_tell_the_nodes_apart():
    this = nodes(2, hosts=("a", "b"))
    this.on_connected("0", 1, "localhost", 0.0)
    (warning,) = this.late(60.0)
    assert "; node 0 did not, and" in warning.words


def test_late_node_that_comes_after_all_is_no_longer_gone():
    this = nodes(2)
    this.on_connected("0", 0, "a", 0.0)
    this.late(60.0)
    assert this.gone == 1
    this.on_connected("0", 1, "b", 70.0)
    assert this.gone == 0
    this.on_lost("0")
    assert this.gone == 1


def test_nodes_without_numbers_are_counted_by_their_coming():
    this = nodes(3)
    for host in "abc":
        this.on_connected("0", 0, host, 0.0)
    assert this.late(60.0) == []


def test_block_without_any_node_is_not_short_of_nodes_it_is_late_as_a_whole():
    this = nodes(2)
    this.on_running("0", 0.0)
    assert this.late(60.0) == []
    assert this.gone == 0
    this.on_connected("0", 0, "a", 70.0)
    this.on_lost("0")
    assert this.gone == 1


def test_lost_nodes_of_a_block_that_is_over_do_not_count():
    this = nodes(2)
    this.on_connected("0", 0, "a", 0.0)
    this.on_connected("0", 1, "b", 0.0)
    this.on_lost("0")
    assert this.gone == 1
    this.on_over("0")
    assert this.gone == 0
    this.on_lost("0")


def test_nothing_is_expected_of_an_adopted_block():
    this = nodes(2)
    this.on_adopted("0")
    this.on_connected("0", 1, "b", 0.0)
    this.on_running("0", 0.0)
    assert this.late(1000.0) == []
    assert this.gone == 0


def test_block_of_one_node_that_lost_it_is_replaced_before_its_provider_reports_its_end():
    this = nodes(1)
    this.on_running("0", 0.0)
    assert this.late(1000.0) == []
    this.on_connected("0", 0, "a", 0.0)
    assert this.gone == 0
    this.on_lost("0")
    assert this.late(1000.0) == []
    assert this.gone == 1
    this.on_over("0")
    assert this.gone == 0


LIMITS = Limits(1, 0, 3, 4, 1.0, 120.0)


def situation(blocks, slots_lost, tasks=16):
    return Situation(tasks, 0.0, ["a"] * blocks, 8, False, LIMITS, None, False, slots_lost)


def test_a_block_is_asked_for_in_the_place_of_nodes_that_are_gone_once_they_make_one():
    for strategy in (simple, htex_auto_scale):
        assert strategy(situation(2, 0)) == strategy(situation(2, 7)) == []
        assert strategy(situation(2, 8)) == [Start(1)]
        assert strategy(situation(3, 24)) == [], "max_blocks is the limit"
    assert none(situation(1, 24)) == []
