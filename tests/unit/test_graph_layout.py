import itertools

from hypothesis import given
from hypothesis import strategies as st

from cnflow.graph_layout import layout


def test_node_is_right_of_all_that_it_needs():
    cells = layout(["a", "b", "c", "d"], [("a", "b"), ("b", "d"), ("a", "d"), ("c", "d")])
    assert {node: cell.column for node, cell in cells.items()} == {"a": 0, "b": 1, "c": 0, "d": 2}


def test_rows_follow_those_of_the_nodes_before():
    firsts, seconds = [f"a{n}" for n in range(6)], [f"b{n}" for n in range(6)]
    cells = layout([*firsts, *reversed(seconds)], list(zip(firsts, seconds, strict=True)))
    assert [cells[node].row for node in seconds] == [cells[node].row for node in firsts]


def test_node_that_needs_all_is_in_the_middle():
    firsts = [f"a{n}" for n in range(5)]
    cells = layout([*firsts, "sum"], [(node, "sum") for node in firsts])
    assert cells["sum"].row == cells["a2"].row == 0


def test_cycle_and_edge_to_itself_are_drawn():
    cells = layout(["a", "b", "c"], [("a", "b"), ("b", "a"), ("b", "c"), ("c", "c"), ("x", "a")])
    assert sorted(cells) == ["a", "b", "c"]
    assert cells["c"].column > cells["b"].column


def test_ten_thousand_nodes_are_placed():
    nodes = [str(n) for n in range(10_000)]
    cells = layout(nodes, [(str(n // 2), str(n)) for n in range(1, 10_000)])
    assert len(cells) == 10_000


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
def test_no_two_nodes_have_one_place(edges):
    cells = layout([str(n) for n in range(13)], [(str(a), str(b)) for a, b in edges])
    by_column = {}
    for cell in cells.values():
        by_column.setdefault(cell.column, []).append(cell.row)
    for rows in by_column.values():
        ordered = sorted(rows)
        assert all(later - earlier > 0.99 for earlier, later in itertools.pairwise(ordered))
