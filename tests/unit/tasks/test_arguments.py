"""Copies of arguments: what is copied, what is passed as it is, and what is shared as a whole."""

import array
import collections
import dataclasses
import datetime as dt
import enum
import gc
import queue
import threading
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from pickle import PickleBuffer

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnflow
from cnflow import File
from cnflow.tasks.arguments import are_constant, copy_of, is_constant


class Colour(enum.Enum):
    RED = [1]  # noqa: RUF012 - may change, and yet there is one


@dataclasses.dataclass
class Frame:
    pixels: object


class Pixels:
    """Pickles as NumPy's arrays do: its buffer out of band."""

    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return Pixels, (PickleBuffer(self.data),)


class Locked:
    def __init__(self):
        self.lock, self.items = threading.Lock(), []


class Closing:
    """Owns something that its end closes; a copy would close it, too."""

    def __init__(self, closed):
        self.closed = closed

    def __del__(self):
        self.closed.append(1)


@cnflow.python_app
def an_app():
    return 1


def test_what_cannot_change_is_passed_as_it_is():
    future = Future()
    constants = (
        *(None, True, 1, 1.5, 1j, "text", b"bytes", range(3), ..., object(), frozenset({1}), (1, ("a",))),
        *(Path("x"), Decimal(1), dt.date(2026, 1, 1), dt.timedelta(1), Colour.RED),
        *(future, (future, 1), an_app, print, lambda: 1, Colour, threading),
    )
    assert [value for value in constants if not is_constant(value)] == []
    assert are_constant(constants, {"name": constants})
    assert not are_constant((1, [2]), {})
    assert not are_constant((1,), {"name": ((), {})})
    copied = copy_of([*constants, []])
    assert all(value is copy for value, copy in zip(constants, copied, strict=False))


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1, [2]], lambda value: value[1].append(3)),
        ({"a": {"b": 1}}, lambda value: value["a"].clear()),
        (([1],), lambda value: value[0].clear()),
        ({1, 2}, lambda value: value.add(3)),
        (bytearray(3), lambda value: value.__setitem__(0, 1)),
        (array.array("q", [1, 2]), lambda value: value.__setitem__(0, 7)),
        (collections.deque([1]), lambda value: value.append(1)),
        (collections.OrderedDict(a=[1]), lambda value: value["a"].append(1)),
        (Frame([1]), lambda value: value.pixels.append(1)),
        ({"frame": [Frame(bytearray(2))]}, lambda value: value["frame"][0].pixels.append(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_can_change_is_copied(value, change):
    before, copied = repr(value), copy_of(value)
    assert type(copied) is type(value)
    assert copied == value
    change(value)
    assert repr(copied) == before != repr(value)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_buffers_are_copied_and_can_be_written(size):
    pixels = Pixels(bytearray(size))
    copied = copy_of((pixels, Frame(pixels)))
    pixels.data[0] = 1
    assert copied[0].data[0] == 0
    assert copied[1].pixels is copied[0]
    copied[0].data[-1] = 2
    assert pixels.data[-1] == 0


def test_file_keeps_the_path_of_its_copy():
    file = File("data.txt")
    file.local_path = "/here/data.txt"
    (copied,) = copy_of([file])
    file.local_path = None
    assert (copied, copied.local_path) == (file, "/here/data.txt")


def test_object_met_twice_stays_one():
    shared, frame = [1], Frame([2])
    first, second, third = copy_of((shared, {"again": shared}, frame))
    assert second["again"] is first
    left, right = copy_of(([frame], Frame(frame)))
    assert right.pixels is left[0]
    assert third.pixels == [2]


def test_container_that_holds_itself_is_copied():
    loop = [1]
    loop.append({"loop": loop})
    copied = copy_of(loop)
    assert copied is not loop
    assert copied[1]["loop"] is copied


def test_instance_of_a_local_class_is_copied():
    class Local:
        def __init__(self):
            self.parts, self.function = [1], lambda: self

    local = Local()
    copied = copy_of([local])[0]
    local.parts.append(2)
    assert type(copied) is Local
    assert (copied.parts, copied.function) == ([1], local.function)


@pytest.mark.parametrize("shared", [threading.Event(), queue.Queue(), Locked(), Closing([]), (n for n in "ab")])
def test_what_cannot_be_copied_is_shared_as_a_whole_and_the_rest_is_copied(shared):
    around, frame = [shared, 1], Frame([1])
    copied, copied_frame, holder = copy_of((around, frame, Frame(shared)))
    around.append(2)
    frame.pixels.append(2)
    assert copied == [shared, 1]
    assert copied[0] is shared
    assert copied_frame.pixels == [1]
    assert holder.pixels is shared


def test_end_of_an_object_is_not_run_for_a_copy():
    closed = []
    closing = Closing(closed)
    copy_of([closing, Frame(closing)])
    assert closed == []


@pytest.mark.parametrize("error", [TypeError, ValueError, RecursionError])
def test_error_of_pickling_is_none_of_copying(error):
    class Odd:
        def __reduce__(self):
            raise error

    odd = Odd()
    copied = copy_of({"odd": odd, "list": [1]})
    assert copied["odd"] is odd


def test_very_deep_nesting_is_no_error():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    copy_of([deep])


values = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.builds(Path, st.just("x")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.builds(Frame, inner)
    ),
)


@given(values)
def test_copy_equals_the_value_and_shares_nothing_that_can_change(value):
    copied = copy_of(value)
    assert copied == value
    assert mutable_ids(copied).isdisjoint(mutable_ids(value))


def mutable_ids(value):
    if isinstance(value, Frame):
        return {id(value)} | mutable_ids(value.pixels)
    if isinstance(value, dict):
        return {id(value)}.union(*map(mutable_ids, value.values()))
    if isinstance(value, list):
        return {id(value)}.union(*map(mutable_ids, value))
    return set().union(*map(mutable_ids, value)) if isinstance(value, tuple) else set()


def test_copied_views_leave_no_garbage():
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            copy_of([Pixels(memoryview(bytearray(100_000))), [Frame([1])]])
        assert gc.collect() == 0, "a cycle with a memory view and its buffer crashes Python 3.11"
    finally:
        gc.enable()


NESTINGS = {"lists": lambda value: [value], "tuples": lambda value: (0, value), "dicts": lambda value: {"k": value}}


@pytest.mark.parametrize("kind", NESTINGS)
def test_value_of_any_depth_is_copied(kind):
    innermost = [1]
    value = innermost
    for _ in range(5000):
        value = NESTINGS[kind](value)
    made = copy_of(value)
    for _ in range(5000):
        made = made["k"] if kind == "dicts" else made[-1]
    assert made == innermost
    assert made is not innermost


def test_tuples_of_constants_are_passed_as_they_are_at_any_depth():
    value = ()
    for _ in range(5000):
        value = (1, value)
    assert is_constant(value)
    assert copy_of(value) is value
    shared = ()
    for _ in range(60):
        shared = (shared, shared)
    assert is_constant(shared)


def test_shared_lists_stay_shared_at_any_depth():
    value = []
    for _ in range(60):
        value = [value, value]
    made = copy_of(value)
    assert made[0] is made[1]
    assert made[0] is not value[0]
