"""Places of the nodes of a graph on the page that draws it."""

import itertools

import pytest

from cnflow.monitoring.dashboard.drawing import ASPECT, MOST_BOXES, drawn, placed
from cnflow.monitoring.queries import views

SHAPES = {
    "without edges": (5000, []),
    "chain": (3000, [(str(at), str(at + 1)) for at in range(2999)]),
    "reduction": (5500, [(str(at), str(5000 + at // 10)) for at in range(5000)]),
    "roots before a chain": (3000, [(str(at), str(at + 1)) for at in range(1000, 2999)]),
}


def node(name, app="fit", task=None, **states):
    return views.GraphNode(id=name, label=name, app=app, states=states or {"done": 1}, task=task)


def graph(nodes, edges=()):
    return views.Graph(nodes=nodes, edges=list(edges), grouping="none", is_cut=False)


@pytest.mark.parametrize("shape", SHAPES)
def test_nodes_of_a_large_graph_do_not_lie_on_each_other(shape):
    count, edges = SHAPES[shape]
    places = placed([str(at) for at in range(count)], edges, has_boxes=False)
    assert len(set(places)) == count


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_graph_fits_a_screen(shape):
    count, edges = SHAPES[shape]
    places = placed([str(at) for at in range(count)], edges, has_boxes=False)
    wide, high = (max(each) - min(each) for each in zip(*places, strict=True))
    assert ASPECT / 2.5 < wide / high < ASPECT * 2.5


def test_a_small_graph_points_to_the_right():
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    places = dict(zip("abcd", placed("abcd", edges, has_boxes=True), strict=True))
    assert all(places[first][0] < places[second][0] for first, second in edges)
    assert places["b"][1] != places["c"][1]


def test_groups_that_need_each_other_are_drawn():
    cycle = graph([node("a"), node("b")], [("a", "b", 3), ("b", "a", 1), ("a", "a", 2)])
    made = drawn(cycle)
    assert len(set(zip(made.x, made.y, strict=True))) == 2
    assert made.edges == [0, 1, 3, 1, 0, 1, 0, 0, 2]


def test_an_edge_to_a_task_that_was_left_out_is_left_out():
    assert drawn(graph([node("a")], [("a", "z", 1)])).edges == []


def test_apps_are_numbered_from_the_most_frequent_on():
    made = drawn(graph([node("1", "rare"), node("2", "often"), node("3", "often")]))
    assert (made.apps, made.app) == (["often", "rare"], [1, 0, 0])


def test_few_nodes_are_boxes_and_many_are_dots():
    nodes = [node(str(at)) for at in range(MOST_BOXES + 1)]
    assert drawn(graph(nodes[:-1])).has_boxes
    assert not drawn(graph(nodes)).has_boxes


def test_boxes_of_a_wide_graph_do_not_lie_on_each_other():
    made = drawn(graph([node(str(at)) for at in range(MOST_BOXES)]))
    for one, other in itertools.combinations(zip(made.x, made.y, strict=True), 2):
        assert abs(one[0] - other[0]) >= made.width * 0.9 or abs(one[1] - other[1]) >= made.height * 0.9


def test_a_graph_without_nodes_is_drawn():
    assert drawn(graph([])).ids == []
