"""Versions of functions in the driver: when a function is pickled again, and when it counts as another one."""

import functools

import pytest

from cnflow.executors.high_throughput import function_versions
from cnflow.executors.high_throughput.code_state import CodeState
from cnflow.executors.high_throughput.function_versions import version_of
from cnflow.model.task import AppFunction
from cnflow.wire import serialization


def script(source):
    """Names that a script defines."""
    names = {"__name__": "__main__"}
    exec(source, names)
    return names


def class_parts(cls):
    """What is pickled of a class."""
    found = []
    serialization.dump(cls, lambda cls, made, parts: found.append(parts) or made)
    return found[0]


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): return x",
        "k = 1\ndef f(x, y=(1, 'a'), *, z=None): return k",
        "settings = {'k': [1, {2}]}\ndef f(): return settings",
        "import math, functools\ndef g(): return math.pi\nf = functools.partial(g)",
        "class C:\n    step = 1\n    @property\n    def p(self): return 1\nc = C()\nc.n = 1\ndef f(): return C, c",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    x: int = 1\nc = C()\ndef f(): return c",
        "import enum\nclass E(enum.Enum): A = 1\ndef f(): return E.A",
        "import functools\n@functools.lru_cache\ndef g(): return g\ndef f(): return g",
        "import logging, datetime\nlog, day = logging.getLogger('a'), datetime.date.min\ndef f(): return log, day",
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\np = P(1, 2)\ndef f(): return P, p.x",
    ],
)
def test_a_function_whose_parts_can_be_compared_is_pickled_once(source):
    app = AppFunction(script(source)["f"])
    version = version_of(app)
    assert version.error is None
    assert version.state.holds()
    assert version_of(app) is version


def test_a_part_that_cannot_be_compared_is_pickled_again_and_sent_again_only_if_it_is_another():
    names = script("pixels = bytearray(3)\ndef f(): return pixels")
    app = AppFunction(names["f"])
    first = version_of(app)
    assert not first.state.is_provable
    assert version_of(app).function is first.function
    names["pixels"][0] = 1
    second = version_of(app)
    names["pixels"][0] = 0
    assert second.function.id != first.function.id == version_of(app).function.id


def test_a_look_runs_no_code_of_the_user():
    class Hostile:
        def __bool__(self):
            raise AssertionError

        __eq__ = __hash__ = __len__ = __getattr__ = __bool__

    hostile = Hostile()
    state = CodeState(lambda: hostile)
    assert state.holds()
    hostile = Hostile()
    assert not state.holds()


def test_a_class_gets_another_id_when_it_changes_and_the_first_when_that_is_taken_back():
    names = script("class C: step = 1\ndef f(): return C")
    app, cls = AppFunction(names["f"]), names["C"]
    ids = []
    for step in (1, 2, 1):
        cls.step = step
        version = version_of(app)
        ids.append(version.class_id(cls, "unused", class_parts(cls)))
        assert serialization.load(version.function.body)() is cls
    assert ids[0] == ids[2] != ids[1]
    assert cls.step == 1


def test_pickling_an_instance_does_not_change_its_class():
    names = script("class C: pass\nc = C()\ndef f(): return C\ndef g(): return c")
    f, g = AppFunction(names["f"]), AppFunction(names["g"])
    before = version_of(f)
    version_of(g)
    assert version_of(f).function.id == before.function.id


def test_a_function_that_cannot_be_pickled_is_tried_again():
    names = script("import threading\nlock = threading.Lock()\ndef f(): return lock")
    app = AppFunction(names["f"])
    assert "lock" in str(version_of(app).error)
    names["lock"] = None
    assert version_of(app).error is None


def test_a_wrapper_around_a_function_that_is_imported_by_name_is_pickled_by_name():
    cached = serialization._code_pickler  # of an installed module: one of the user's is pickled by value, or as source
    assert isinstance(cached, type(functools.lru_cache(print)))
    assert serialization.load(serialization.dump(cached).body) is cached


def test_a_pickle_is_made_again_until_calls_agree_that_it_is_that_of_the_state():
    """As if a thread had set 2 while the function was pickled, and then 1 again."""
    names = script("rate = 1\ndef f(): return rate")
    app = AppFunction(names["f"])
    version = version_of(app)
    names["rate"] = 2
    version.state = CodeState(names["f"])  # the looks found 2, and the pickle has 1
    assert version_of(app).function_apart()() == 2


def test_the_id_of_a_class_is_that_of_what_is_pickled_of_it():
    """A thread sets an attribute between the moment when it is pickled and that when the id is made, and then back."""
    names = script("class C: step = 1\ndef f(): return C")
    cls, app = names["C"], AppFunction(names["f"])
    version = version_of(app)
    parts = class_parts(cls)
    cls.step = 2
    assert version_of(app).classes != version.classes
    assert function_versions._class_versions.id_for_task({}, cls, "unused", parts) == version.classes[cls]
