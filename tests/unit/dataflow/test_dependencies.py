from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest

from cnflow.dataflow.dependencies import RESOLVERS, fill_results, find_futures
from cnflow.errors import ConfigurationError

DEEP, SHALLOW = RESOLVERS["deep"], RESOLVERS["shallow"]


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Pair:
    left: Any
    right: Any = None
    made: Any = field(default=None, init=False)
    kind: ClassVar[str] = "pair"


@dataclass(frozen=True)
class Frozen:
    value: Any


@dataclass
class Node:
    parent: Any
    children: list[Any]


def done(value):
    future = Future()
    future.set_result(value)
    return future


def test_futures_are_found_in_nested_containers_once_each():
    a, b, c = done(1), done(2), done(3)
    assert find_futures(([a, (b, {"k": c})], {a}), {"key": b}) == [a, b, c]


def test_results_take_the_place_of_futures_at_any_depth():
    value = [done(1), (done(2), {"k": {done(3)}}), "x"]
    assert fill_results(value) == [1, (2, {"k": {3}}), "x"]


def test_a_future_as_a_dictionary_key_is_replaced_too():
    assert fill_results({done("k"): 1}) == {"k": 1}


def test_named_tuples_stay_named_tuples():
    assert fill_results(Point(done(1), 2)) == Point(1, 2)


def test_dictionaries_of_other_kinds_keep_their_kind():
    value = fill_results(defaultdict(list, a=done(1)))
    assert value == {"a": 1}
    assert value["b"] == []


def test_containers_without_futures_are_passed_on_as_they_are():
    value = [1, [2, {"k": (3,)}]]
    assert fill_results(value) is value


def test_the_callers_containers_are_never_changed():
    future = done(1)
    value = [future, {"k": [future]}]
    fill_results(value)
    assert value == [future, {"k": [future]}]


def test_futures_are_found_in_dataclasses_and_what_these_hold():
    a, b, c = done(1), done(2), done(3)
    pair = Pair([a], Frozen(b))
    pair.made = {"k": c}
    assert find_futures((pair,), {}) == [a, b, c]


def test_a_dataclass_is_copied_with_its_results_whatever_its_constructor_wants():
    pair = Pair([done(1)], Frozen(done(2)))
    pair.made = done(3)
    filled = fill_results(pair)
    expected = Pair([1], Frozen(2))
    expected.made = 3
    assert filled == expected
    assert isinstance(pair.made, Future), "the caller's own is as it was"


def test_a_dataclass_without_futures_is_passed_on_as_it_is():
    pair = Pair([1], Frozen(2))
    assert fill_results(pair) is pair
    assert fill_results(Pair) is Pair


def test_objects_that_point_back_at_what_holds_them_are_searched_once():
    root = Node(None, [])
    root.children.append(Node(root, [done(1)]))
    root.children.append(Node(root, []))
    assert [future.result() for future in find_futures(([root], root), {})] == [1]


def test_objects_that_point_back_and_hold_no_future_are_passed_on_as_they_are():
    root = Node(None, [])
    root.children.append(Node(root, []))
    arguments = (root, done(2))
    assert fill_results(arguments) == (root, 2)
    assert fill_results(arguments)[0] is root


def test_what_points_back_at_itself_cannot_be_copied_with_a_result():
    root = Node(None, [])
    root.children.append(Node(root, [done(1)]))
    with pytest.raises(ConfigurationError, match=r"a Node, holds a future and points back.*beside it"):
        fill_results((root,))


def test_what_is_passed_twice_is_filled_once():
    shared = [done(1)]
    left, right = fill_results((shared, [shared]))
    assert left == [1]
    assert right[0] is left


def test_many_ways_to_the_same_object_take_no_longer():
    diamonds = Pair(done(1))
    for _ in range(200):
        diamonds = Pair(diamonds, diamonds)  # 2 ** 200 ways
    assert len(find_futures((diamonds,), {})) == 1
    assert fill_results(diamonds).left.right.left is not None


def test_shallow_finds_arguments_keywords_and_the_elements_of_inputs():
    a, b, c, hidden = done(1), done(2), done(3), done(4)
    args, kwargs = (a, [hidden], "x"), {"k": b, "inputs": [c, a, [hidden]], "other": (hidden,)}
    assert SHALLOW.find(args, kwargs) == [a, b, c]
    assert SHALLOW.fill(args) == (1, [hidden], "x")
    assert SHALLOW.fill(kwargs) == {"k": 2, "inputs": [3, 1, [hidden]], "other": (hidden,)}
    assert kwargs["inputs"][0] is c, "the caller's list is as it was"


def test_shallow_leaves_inputs_alone_that_are_no_list():
    assert SHALLOW.find((), {"inputs": "abc"}) == []
    assert SHALLOW.fill({"inputs": (done(1), 2)}) == {"inputs": (1, 2)}


def test_deep_finds_what_shallow_leaves():
    hidden = done(4)
    assert DEEP.find(([hidden],), {"other": {hidden: 1}}) == [hidden]
    assert DEEP.fill({"other": {hidden: 1}}) == {"other": {4: 1}}
