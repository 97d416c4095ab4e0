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


def future_of(value):
    future = Future()
    future.set_result(value)
    return future


def test_futures_are_found_in_nested_containers_once_each():
    a, b, c = future_of(1), future_of(2), future_of(3)
    assert find_futures(([a, (b, {"k": c})], {a}), {"key": b}) == [a, b, c]


def test_results_take_the_place_of_futures_at_any_depth():
    value = [future_of(1), (future_of(2), {"k": {future_of(3)}}), "x"]
    assert fill_results(value) == [1, (2, {"k": {3}}), "x"]


def test_future_as_a_dictionary_key_is_replaced():
    assert fill_results({future_of("k"): 1}) == {"k": 1}


def test_named_tuples_stay_named_tuples():
    assert fill_results(Point(future_of(1), 2)) == Point(1, 2)


def test_subclasses_of_dict_keep_their_type():
    value = fill_results(defaultdict(list, a=future_of(1)))
    assert value == {"a": 1}
    assert value["b"] == []


def test_containers_without_futures_are_passed_on_unchanged():
    value = [1, [2, {"k": (3,)}]]
    assert fill_results(value) is value


def test_containers_of_the_caller_are_never_changed():
    future = future_of(1)
    value = [future, {"k": [future]}]
    fill_results(value)
    assert value == [future, {"k": [future]}]


def test_futures_are_found_in_dataclasses_and_their_fields():
    a, b, c = future_of(1), future_of(2), future_of(3)
    pair = Pair([a], Frozen(b))
    pair.made = {"k": c}
    assert find_futures((pair,), {}) == [a, b, c]


def test_dataclass_is_copied_with_results_without_its_constructor():
    pair = Pair([future_of(1)], Frozen(future_of(2)))
    pair.made = future_of(3)
    filled = fill_results(pair)
    expected = Pair([1], Frozen(2))
    expected.made = 3
    assert filled == expected
    assert isinstance(pair.made, Future), "the caller's own is as it was"


def test_dataclass_without_futures_is_passed_on_unchanged():
    pair = Pair([1], Frozen(2))
    assert fill_results(pair) is pair
    assert fill_results(Pair) is Pair


def test_objects_with_references_back_are_searched_once():
    root = Node(None, [])
    root.children.append(Node(root, [future_of(1)]))
    root.children.append(Node(root, []))
    assert [future.result() for future in find_futures(([root], root), {})] == [1]


def test_objects_with_references_back_and_no_future_are_passed_on_unchanged():
    root = Node(None, [])
    root.children.append(Node(root, []))
    arguments = (root, future_of(2))
    assert fill_results(arguments) == (root, 2)
    assert fill_results(arguments)[0] is root


def test_object_that_refers_to_itself_is_refused_where_it_holds_a_future():
    root = Node(None, [])
    root.children.append(Node(root, [future_of(1)]))
    with pytest.raises(ConfigurationError, match=r"a Node, holds a future and points back.*beside it"):
        fill_results((root,))


def test_container_passed_twice_is_filled_once():
    shared = [future_of(1)]
    left, right = fill_results((shared, [shared]))
    assert left == [1]
    assert right[0] is left


def test_object_reached_in_many_ways_is_searched_once():
    diamonds = Pair(future_of(1))
    for _ in range(200):
        diamonds = Pair(diamonds, diamonds)  # 2 ** 200 ways
    assert len(find_futures((diamonds,), {})) == 1
    assert fill_results(diamonds).left.right.left is not None


def test_shallow_resolver_finds_arguments_keywords_and_elements_of_inputs():
    a, b, c, hidden = future_of(1), future_of(2), future_of(3), future_of(4)
    args, kwargs = (a, [hidden], "x"), {"k": b, "inputs": [c, a, [hidden]], "other": (hidden,)}
    assert SHALLOW.find(args, kwargs) == [a, b, c]
    assert SHALLOW.fill(args) == (1, [hidden], "x")
    assert SHALLOW.fill(kwargs) == {"k": 2, "inputs": [3, 1, [hidden]], "other": (hidden,)}
    assert kwargs["inputs"][0] is c, "the caller's list is as it was"


def test_shallow_resolver_ignores_inputs_that_are_no_list():
    assert SHALLOW.find((), {"inputs": "abc"}) == []
    assert SHALLOW.fill({"inputs": (future_of(1), 2)}) == {"inputs": (1, 2)}


def test_deep_resolver_finds_futures_in_nested_containers():
    hidden = future_of(4)
    assert DEEP.find(([hidden],), {"other": {hidden: 1}}) == [hidden]
    assert DEEP.fill({"other": {hidden: 1}}) == {"other": {4: 1}}


def nested(kind, levels, innermost):
    value = innermost
    for _ in range(levels):
        value = kind(value)
    return value


@dataclass
class Link:
    rest: object


KINDS_OF_NESTING = {
    "lists": lambda value: [0, value],
    "tuples": lambda value: (0, value),
    "dicts": lambda value: {"k": value},
    "dataclasses": Link,
}


@pytest.mark.parametrize("kind", KINDS_OF_NESTING)
def test_future_is_found_and_filled_at_any_depth(kind):
    future = Future()
    future.set_result("result")
    value = nested(KINDS_OF_NESTING[kind], 5000, future)
    assert find_futures((value,), {}) == [future]
    made = fill_results((value,))[0]
    for _ in range(5000):
        made = made.rest if kind == "dataclasses" else made["k"] if kind == "dicts" else made[1]
    assert made == "result"


@pytest.mark.parametrize("kind", KINDS_OF_NESTING)
def test_value_of_any_depth_without_futures_is_passed_on_as_it_is(kind):
    value = nested(KINDS_OF_NESTING[kind], 5000, "x")
    assert find_futures((value,), {}) == []
    assert fill_results((value,))[0] is value


def test_shared_containers_are_searched_once():
    future = Future()
    value = nested(lambda value: [value, value], 60, [future])
    assert find_futures((value,), {}) == [future]


def test_objects_inside_a_container_may_refer_back_to_it():
    link = Link(None)
    link.rest = [link, [1, 2]]
    assert find_futures(([link, link.rest],), {}) == []
