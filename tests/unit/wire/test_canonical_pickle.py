"""Contents of pickles: the same for one script in two processes, and different for whatever means something else."""

import enum
import functools
import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.wire import serialization
from cnflow.wire.canonical_pickle import content_of

SCRIPT = """\
import dataclasses, enum, functools, json, pathlib, sys
from cnflow.wire import serialization
from cnflow.wire.canonical_pickle import content_of

NAMES = {"x", "y", "zeta", "alpha", ("a", frozenset({"p", "q"}))}

@dataclasses.dataclass
class Point:
    x: int
    y: "Point" = None

class Colour(enum.Enum):
    RED = "red"

class Base:
    names = frozenset({"one", "two", "three"})
    def go(self): return Colour.RED

class Derived(Base):
    def go(self): return super().go()

def members(x): return x in {"a", "b", "c"} or x in NAMES
def points(x): return Point(x, Point(1))
def annotated(x: Point, y=Point(1)) -> Colour: return Colour.RED
def inherits(x): return Derived().go(), members(x), [points(each) for each in NAMES]
def recursive(x): return recursive(x - 1) if x in {"a", "b"} else Point
def closure(point):
    def inner(x): return point, x
    return inner

values = [
    members, points, annotated, inherits, recursive, closure(Point(5)), functools.partial(points, {"k", "l"}),
    Derived().go, {"a", "b", "c"}, [Point(1), Point(2)], Colour.RED, {"k": {("a", "b"), ("c", "d")}},
    pathlib.Path("a"), Point, Derived,
]
print(json.dumps([content_of(serialization.dump(value).body).digest.hex() for value in values]))
"""


def test_a_script_that_is_started_again_has_the_same_contents(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    runs = [
        json.loads(
            subprocess.run(
                [sys.executable, str(script)],
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "2", "3")
    ]
    assert runs[0] == runs[1] == runs[2]
    assert len(set(runs[0])) == len(runs[0])


RETURN = "def f(x): return C"
CLASS = "class C: pass\n"
BOTH = "def f(x): return C, D"
CALL = "k = {'s'}\ndef f(x): return g(), k"


def function(source):
    scope = {"__name__": "__main__"}
    exec(source, scope)
    return content_of(serialization.dump(scope["f"]).body)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x): return x in {'a', 'b'}", "def f(x): return x in {'a', 'c'}"),
        ("def f(x): return x in {'a', 'b'}", "def f(x): return x not in {'a', 'b'}"),
        ("K = {'a', 'b'}\ndef f(x): return K, x", "K = {'a', 'bb'}\ndef f(x): return K, x"),
        ("K = {1, 2}\ndef f(x): return K, x", "K = {1.0, 2}\ndef f(x): return K, x"),
        ("K = {'a'}\nL = 1\ndef f(x): return K, L", "K = {'a'}\nL = 2\ndef f(x): return K, L"),
        ("class C:\n a = 1\ndef f(x): return C", "class C:\n a = 2\ndef f(x): return C"),
        (f"class C:\n def m(self): return 1\n{RETURN}", f"class C:\n def m(self): return 2\n{RETURN}"),
        (f"{CLASS}class D(C): pass\n{BOTH}", f"{CLASS}class D: pass\n{BOTH}"),
        (f"{CLASS}D = C()\nD.x = 1\n{BOTH}", f"{CLASS}D = C()\nD.x = 2\n{BOTH}"),
        (f"{CLASS}D = C()\nE = D\n{BOTH}, E", f"{CLASS}D = C()\nE = C()\n{BOTH}, E"),
        (f"{CLASS}D = C\n{BOTH}", f"{CLASS}D = type('C', (), {{}})\n{BOTH}"),
        ("def f(x, y={'a'}): return x", "def f(x, y={'b'}): return x"),
        (f"def g(): return 1\n{CALL}", f"def g(): return 2\n{CALL}"),
    ],
)
def test_functions_that_do_something_else_have_other_contents(one, other):
    assert function(one).digest == function(one).digest
    assert function(one).digest != function(other).digest


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner)
        | st.frozensets(st.text() | st.integers())
        | st.sets(st.tuples(st.text(), st.integers()))
    ),
)


@given(VALUES, VALUES)
def test_equal_contents_are_equal_values(one, other):
    contents = [content_of(serialization.dump([{"mark"}, value]).body) for value in (one, other)]
    assert contents[0] == content_of(serialization.dump([{"mark"}, one]).body)
    if contents[0] == contents[1]:
        assert repr_of(one) == repr_of(other)


def repr_of(value):
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [repr_of(each) for each in value]
    if isinstance(value, dict):
        return [(key, repr_of(each)) for key, each in value.items()]
    return repr(value)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_damaged_pickle_counts_as_its_bytes(cut):
    body = pickle.dumps([{"a", "b"}, functools.partial(print, Colour.RED)])[: -cut or None]
    assert content_of(body) != content_of(body + b"x")
    assert content_of(body) == content_of(body)


def test_nothing_in_a_pickle_is_called(tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "made"), "w")

    content_of(pickle.dumps([Evil(), {"a"}]))
    assert list(tmp_path.iterdir()) == []


def test_a_deep_pickle_has_a_content():
    nested = [{"a"}]
    for _ in range(300):
        nested = [nested]
    assert content_of(pickle.dumps(nested)) != content_of(pickle.dumps([nested]))


def test_buffers_out_of_band_have_places_in_the_content():
    def body(*sizes):
        value = [{"a"}, *(pickle.PickleBuffer(bytearray(size)) for size in sizes)]
        return pickle.dumps(value, protocol=5, buffer_callback=lambda buffer: False)

    assert content_of(body(10, 20)) == content_of(body(10, 20))
    assert content_of(body(10)) != content_of(body(10, 20))


def test_the_user_s_class_of_another_process_is_found_by_its_place(tmp_path):
    code = """
import sys, pickle, pathlib
from cnflow.wire import serialization
from cnflow.wire.canonical_pickle import content_of
class Point:
    def __init__(self, x): self.x = x
content = content_of(serialization.dump(lambda: Point).body)
if sys.argv[1] == "old":
    pathlib.Path("old").write_bytes(pickle.dumps((content, serialization.dump(Point(5)).body)))
else:
    old, result = pickle.loads(pathlib.Path("old").read_bytes())
    assert old.digest == content.digest and old.classes != content.classes
    assert serialization.unite_classes(old.classes, content.classes)
    point = serialization.load(result)
    assert type(point) is Point and point.x == 5
    assert not serialization.unite_classes(old.classes, ("unknown",))
    assert not serialization.unite_classes(old.classes, ())
    print("united")
"""
    for turn, expected in (("old", ""), ("new", "united\n")):
        done = subprocess.run(
            [sys.executable, "-c", code, turn], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.stdout == expected, done.stderr
