import dataclasses
import enum
import hashlib
import sys
import threading

import pytest

from cnflow.executors.high_throughput import portable
from cnflow.executors.high_throughput.portable import NotPortableError
from cnflow.ids import FunctionId
from cnflow.wire import serialization
from cnflow.wire.function_messages import Function


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Function that runs a text as the script and returns its names."""

    def run(text):
        path = tmp_path / "script.py"
        path.write_text(text)
        names = {"__name__": "__main__"}
        exec(compile(text, str(path), "exec", dont_inherit=True), names)
        return names

    return run


def sent(function):
    body, _, python = serialization.dump(function)
    return Function(FunctionId(hashlib.blake2b(body, digest_size=16).digest()), "f", 0, python, body)


def test_a_function_without_bytecode_stays_as_it_is():
    function = sent(len)
    assert portable.portable_function(function) is function


def test_a_portable_function_has_no_bytecode_and_gives_the_same(script):
    names = script(
        "RATE = 3\ndef helper(x):\n    return x * RATE\ndef f(x, y=2, *, z=1):\n    return helper(x) + y + z\n"
    )
    made = portable.portable_function(sent(names["f"]))
    assert made.python == ""
    loaded = serialization.load(made.body)
    assert loaded(1) == 6
    assert (loaded.__name__, loaded.__module__, loaded.__defaults__) == ("f", "__main__", (2,))


def test_a_portable_function_is_made_once(script):
    function = sent(script("def f():\n    return 1\n")["f"])
    assert portable.portable_function(function) is portable.portable_function(function)


def test_an_argument_without_source_is_named_by_its_place():
    names = {}
    exec("def made(): return 1", names)
    payload = serialization.dump((([1, {"model": names["made"]}],), {}))
    with pytest.raises(NotPortableError, match=r"^the argument args\[0\]\[1\]\['model'\]: made .*has no source"):
        portable.portable_arguments(payload)


def test_a_keyword_argument_without_source_is_named_by_its_name():
    names = {}
    exec("def made(): return 1", names)
    with pytest.raises(NotPortableError, match=r"^the argument callback: made"):
        portable.portable_arguments(serialization.dump(((), {"callback": names["made"]})))


def test_a_function_whose_values_cannot_cross_is_refused_in_words(script):
    names = script("import enum\nclass E(enum.Enum):\n    def __new__(cls, v):\n        o = object.__new__(cls)\n"
                   "        o._value_ = v\n        return o\n    A = 1\ndef f():\n    return E.A\n")  # fmt: skip
    with pytest.raises(NotPortableError, match="The enumeration E makes its members by a __new__ of its own"):
        portable.portable_function(sent(names["f"]))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="boundaries are new in Python 3.11")
def test_an_enumeration_with_a_boundary_of_its_own_is_refused_in_words(script):
    names = script("import enum\nclass M(enum.Flag, boundary=enum.KEEP):\n    A = 1\ndef f():\n    return M(9)\n")
    with pytest.raises(NotPortableError, match="The enumeration M has a boundary of its own"):
        portable.portable_function(sent(names["f"]))


def make_class(kind):
    """A class that is pickled by value."""
    kind.__module__ = "__main__"
    return kind


def copied(value):
    """*value* as another process of the same Python loads it: with classes of its own."""
    from cnflow.wire.apart import load_with_ids

    body, buffers, _ = serialization.dump(value)
    return load_with_ids(body, buffers, {})[0]


def test_a_field_without_default_has_none_after_the_class_was_pickled():
    point = copied(make_class(dataclasses.make_dataclass("Point", [("x", int)])))
    assert dataclasses.fields(point)[0].default is dataclasses.MISSING


def test_a_member_of_an_enumeration_keeps_its_second_name_and_its_attributes():
    class Planet(enum.Enum):
        EARTH = (5.9, 6.3)
        TERRA = EARTH

        def __init__(self, mass, radius):
            self.mass = mass

    planet = copied(make_class(Planet))
    assert planet["TERRA"] is planet.EARTH
    assert planet.EARTH.mass == 5.9


def test_a_driver_pickles_as_before_after_it_has_loaded_results_from_another_python(monkeypatch):
    from cnflow.model import source_code

    monkeypatch.setattr(source_code, "foreign", True)
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert serialization.dump(lambda: 1).python == minor


def test_an_unpicklable_result_is_an_error_in_both_forms(monkeypatch):
    from cnflow.model import source_code

    for foreign in (False, True):
        monkeypatch.setattr(source_code, "foreign", foreign)
        with pytest.raises(TypeError, match="lock"):
            serialization.dump_result(threading.Lock())
