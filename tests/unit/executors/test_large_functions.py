"""A function that is large with what it refers to is named in a warning, once."""

import array

import pytest

from cnflow.executors.high_throughput.function_versions import version_of
from cnflow.model.task import AppFunction


def versions(source, name):
    """Make the version of the function ``f`` twice, as two calls do."""
    names = {"__name__": "__main__", "array": array}
    exec(source, names)
    names["f"].__name__ = name
    app = AppFunction(names["f"])
    return [version_of(app) for _ in range(2)]


@pytest.mark.parametrize(
    ("name", "source", "value"),
    [
        ("with_global", "table = bytes(2**21)\ndef f(): return table", "'table'"),
        ("with_default", "def f(x, rows=bytes(2**21)): return rows", "'rows'"),
        ("with_closure", "def make(held):\n    return lambda: held\nf = make(bytes(2**21))", "'held'"),
    ],
)
def test_a_warning_names_the_app_and_the_value_once(name, source, value, caplog):
    versions(source, name)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    for part in (f"The function of {name} takes 2.0 MiB", value, "as an argument"):
        assert part in caplog.text
    assert "at each call" not in caplog.text


def test_the_warning_says_that_an_array_is_pickled_at_each_call(caplog):
    versions("pixels = array.array('d', bytes(2**21))\ndef f(): return pixels", "with_array")
    assert "'pixels'. It is sent in one piece, and pickled at each call" in caplog.text


def test_small_functions_are_not_named(caplog):
    versions("table = bytes(1000)\ndef f(): return table", "small")
    assert not caplog.records
