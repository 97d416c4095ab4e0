from collections import defaultdict
from concurrent.futures import Future
from typing import Any, NamedTuple

from cnflow.dataflow.dependencies import futures_in, with_results


class Point(NamedTuple):
    x: Any
    y: Any


def done(value):
    future = Future()
    future.set_result(value)
    return future


def test_futures_are_found_in_nested_containers_once_each():
    a, b, c = done(1), done(2), done(3)
    assert futures_in(([a, (b, {"k": c})], {a}), {"key": b}) == [a, b, c]


def test_results_take_the_place_of_futures_at_any_depth():
    value = [done(1), (done(2), {"k": {done(3)}}), "x"]
    assert with_results(value) == [1, (2, {"k": {3}}), "x"]


def test_a_future_as_a_dictionary_key_is_replaced_too():
    assert with_results({done("k"): 1}) == {"k": 1}


def test_named_tuples_stay_named_tuples():
    assert with_results(Point(done(1), 2)) == Point(1, 2)


def test_dictionaries_of_other_kinds_keep_their_kind():
    value = with_results(defaultdict(list, a=done(1)))
    assert value == {"a": 1}
    assert value["b"] == []


def test_containers_without_futures_are_passed_on_as_they_are():
    value = [1, [2, {"k": (3,)}]]
    assert with_results(value) is value


def test_the_callers_containers_are_never_changed():
    future = done(1)
    value = [future, {"k": [future]}]
    with_results(value)
    assert value == [future, {"k": [future]}]
