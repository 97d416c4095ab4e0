import pickle

import pytest

from cnflow.wire import moved_names, serialization
from cnflow.wire.unloadable import name_place, place_in


def without_module(value, present, missing):
    """Pickle of *value* that names a module *missing* of the same length as *present*."""
    assert len(present) == len(missing)
    return pickle.dumps(value, protocol=2).replace(present, missing)


class Here:
    pass


def test_the_place_of_a_value_whose_module_is_missing_is_named():
    import fractions

    value = ((1, {"when": [fractions.Fraction(1, 2)]}), {})
    body = without_module(value, b"fractions", b"fraktions")
    assert place_in(body, (), ("args", "kwargs")) == "args[1]['when'][0], fraktions.Fraction"


def test_an_attribute_of_an_instance_is_named():
    import fractions

    here = Here()
    here.part = fractions.Fraction(1, 2)
    body = without_module([here], b"fractions", b"fraktions")
    assert place_in(body, (), ("result",)) == "result[0].part, fraktions.Fraction"


class Rebuilt:
    """Value that a class method of its own unpickles, as zoneinfo.ZoneInfo is one."""

    @classmethod
    def of(cls):
        return cls()

    def __reduce__(self):
        return Rebuilt.of, ()


def test_a_value_that_a_class_method_unpickles_is_named():
    own = __name__.encode()
    body = without_module({"when": [Rebuilt()]}, own, own[:-1] + b"_")
    assert place_in(body, (), ("result",)) == f"result['when'][0], {own[:-1].decode()}_.Rebuilt"


class Ending:
    def __init__(self, kind):
        self.kind = kind

    def __reduce__(self):
        return _end, (self.kind,)


def _end(kind):
    raise kind


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_value_that_ends_the_program_has_no_place(kind):
    assert place_in(pickle.dumps([Ending(kind)]), (), ("result",)) == ""


def test_a_value_that_can_be_loaded_has_no_such_place():
    assert place_in(pickle.dumps([1, {2: 3}]), (), ("result",)) == ""


def test_code_is_found_without_being_made(monkeypatch):
    body = serialization.dump({"f": [lambda: 1]}).body
    monkeypatch.setattr("cloudpickle.cloudpickle._make_function", lambda *_: pytest.fail("code was made"))
    place = place_in(body, (), ("result",), has_foreign_code=True)
    assert place == "result['f'][0], a function or class of the script"


def test_an_error_of_an_import_gets_the_place():
    import fractions

    body = without_module(((fractions.Fraction(1, 2),), {}), b"fractions", b"fraktions")
    with pytest.raises(ModuleNotFoundError) as caught:
        serialization.load(body)
    name_place(caught.value, body, (), ("args", "kwargs"))
    assert str(caught.value) == "No module named 'fraktions' (it is needed by args[0], fraktions.Fraction)"


@pytest.mark.parametrize("module", ["pathlib._local", "pathlib"])
def test_paths_of_python_3_13_are_loaded_anywhere(module):
    import pathlib

    body = f"c{module}\nPurePosixPath\n(Va\nVb\ntR.".encode()
    assert serialization.load(body) == pathlib.PurePosixPath("a/b")


def test_a_missing_module_that_was_not_moved_is_missing():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        serialization.load(b"cno_such_module\nname\n.")
    assert not moved_names.has_any(b"cno_such_module\nname\n.")
