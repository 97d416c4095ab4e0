"""The driver's side of own modules: what is sent of them, and when it changes."""

import importlib
import os
import pickle
import sys
import textwrap
import threading

import pytest

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput.function_versions import version_of
from cnflow.executors.high_throughput.own_modules.imports import uses_of
from cnflow.executors.high_throughput.own_modules.registry import registry
from cnflow.model.task import AppFunction
from cnflow.tasks.own_modules import SOURCE, VALUES
from cnflow.wire import serialization

LIBRARY = """
import threading
import json
_lock = threading.Lock()
RATE = 1
TABLE = {"a": [1]}
COMPUTED = 1 + len("a")
memory = None
class Model:
    rate = 1
    def run(self): return self.rate
def work():
    with _lock: return RATE
def make(n):
    def inner(): return n + RATE
    return inner
def remember(value):
    global memory
    memory = value
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write modules of the user's, and import the first; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name, text, *, is_imported=True):
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return importlib.import_module(name) if is_imported else path

    yield write
    for name in [name for name in sys.modules if name.startswith("cnflow_test_")]:
        del sys.modules[name]


@pytest.fixture
def library(write):
    return write("cnflow_test_library", LIBRARY)


def records(function):
    """Content of the records that go along with a function: kind and content."""
    return [pickle.loads(record.body) for record in version_of(AppFunction(function)).function.records]


def values(function):
    found = [content[1] for kind, content in records(function) if kind == VALUES]
    return {name: pickle.loads(pickled) for content in found for name, (_, pickled) in content.items()}


SETTINGS = """
class Settings:
    def __init__(self): self.rate, self.paths = 1, ["a"]
settings = Settings()
shared = [settings]
def work(): return settings.rate, settings.paths
"""


def test_object_with_plain_attributes_goes_along_as_it_is_at_the_call(write):
    library = write("cnflow_test_settings", SETTINGS)
    library.settings.rate = 2  # before the first call: nobody knows what the import gave
    assert values(library.work)["settings"].rate == 2
    library.settings.paths.append("b")
    assert values(library.work)["settings"].paths == ["a", "b"]
    library.settings.lock = threading.Lock()
    library.settings.rate = 3
    assert values(library.work)["settings"].rate == 2, "what cannot be sent any more is left as it was sent"
    assert _is_same(library.work, "settings")
    library.settings = library.Settings()
    assert values(library.work)["settings"].rate == 1
    assert not _is_same(library.work, "settings"), "others that refer to the one of the import keep it"


def _is_same(function, path):
    ((_, content),) = [content for kind, content in records(function) if kind == VALUES]
    return content[path][0]


def test_object_that_holds_itself_is_left_to_the_import(write):
    library = write("cnflow_test_settings", SETTINGS + "settings.me = settings")
    assert "settings" not in values(library.work)


def test_source_goes_along_and_the_function_is_a_name(library):
    app = AppFunction(library.work)
    version = version_of(app)
    assert version.function.python == "", "no bytecode"
    assert [kind for kind, _ in records(library.work)] == [SOURCE, VALUES]
    assert pickle.loads(version.function.body) is library.work
    assert version_of(app) is version


def test_inner_functions_are_places_in_the_source(library):
    version = version_of(AppFunction(library.make(2)))
    assert version.error is None
    assert version.function.python == ""
    assert b"code_at" in version.function.body


def test_values_that_are_no_literals_of_the_source_are_sent(library):
    assert values(library.work) == {"COMPUTED": 2}
    library.RATE = 5
    library.Model.rate = 3
    assert values(library.work) == {"COMPUTED": 2, "RATE": 5, "Model.rate": 3}
    library.RATE = 1
    assert values(library.work)["RATE"] == 1, "workers have the value before"


def test_each_change_makes_another_version(library):
    app = AppFunction(library.work)
    ids = [version_of(app).function.id]
    for change in (
        lambda: library.TABLE["a"].append(2),
        lambda: setattr(library, "RATE", 7),
        lambda: setattr(library.Model, "run", lambda self: 3),
        lambda: setattr(library, "added", 1),
        lambda: library.TABLE.update(b=1),
    ):
        change()
        ids.append(version_of(app).function.id)
        assert version_of(app).modules.holds()
    assert len(set(ids)) == len(ids)


def test_a_reload_sends_the_new_source_and_an_edit_alone_does_not(library, write):
    app = AppFunction(lambda: library.work() + 0)
    first = version_of(app).function.id
    write("cnflow_test_library", LIBRARY.replace("RATE = 1", "RATE = 100"), is_imported=False)
    assert version_of(app).function.id == first
    importlib.reload(library)
    assert version_of(app).function.id != first
    assert b"RATE = 100" in dict(records(app.function))[SOURCE][3]


def test_a_module_that_was_edited_before_its_first_use_travels_by_value(write):
    module = write("cnflow_test_edited", "def work(): return 1")
    write("cnflow_test_edited", "def work(): return 2", is_imported=False)
    function = version_of(AppFunction(module.work)).function
    assert not function.modules
    assert function.python, "bytecode"
    importlib.reload(module)
    assert version_of(AppFunction(module.work)).function.modules


def test_a_module_that_was_edited_before_its_first_use_is_refused_where_another_imports_it(write):
    write("cnflow_test_edited", "def work(): return 1")
    user = write("cnflow_test_user", "from cnflow_test_edited import work\ndef use(): return work()")
    write("cnflow_test_edited", "def work(): return 2", is_imported=False)
    error = version_of(AppFunction(user.use)).error
    assert isinstance(error, SerializationError)
    assert "'cnflow_test_edited' has other code in memory than in its file" in str(error)
    importlib.reload(sys.modules["cnflow_test_edited"])
    assert version_of(AppFunction(user.use)).error is None


def test_a_decorator_that_compiles_functions_anew_is_no_edit_of_a_file_from_before(write):
    source = """
    def again(function):
        function.__code__ = function.__code__.replace(co_name="other")
        return function

    @again
    def work(): return 1
    """
    module = write("cnflow_test_decorated", source)
    os.utime(module.__file__, (1, 1))
    assert version_of(AppFunction(module.work)).function.modules


def test_a_value_that_cannot_be_sent_fails_the_call_unless_the_module_itself_has_set_it(library, caplog):
    app = AppFunction(library.work)
    version_of(app)
    library.remember(threading.Lock())
    assert version_of(app).error is None
    assert "'memory'" in caplog.text
    library.added = library._lock
    error = version_of(app).error
    assert isinstance(error, SerializationError)
    assert "'added' of the module 'cnflow_test_library' was changed" in str(error)
    del library.added
    assert version_of(app).error is None


def test_modules_come_with_what_they_import_also_in_functions_and_by_relative_names(write):
    write("cnflow_test_pack.deep.inner", "def f():\n    from .. import lazy\n    import cnflow_test_other.late")
    write("cnflow_test_pack.lazy", "import json", is_imported=False)
    write("cnflow_test_other.late", "", is_imported=False)
    found = registry.closure(["cnflow_test_pack.deep.inner"]).names
    assert found == {
        "cnflow_test_pack", "cnflow_test_pack.deep", "cnflow_test_pack.deep.inner", "cnflow_test_pack.lazy",
        "cnflow_test_other", "cnflow_test_other.late",
    }  # fmt: skip


def test_a_submodule_that_is_reached_as_an_attribute_comes_along(write):
    write("cnflow_test_attr.part", "")
    module = write("cnflow_test_user", "import cnflow_test_attr\ndef f(): return cnflow_test_attr.part")
    assert "cnflow_test_attr.part" in registry.closure([module.__name__]).names


def test_installed_modules_and_those_of_the_standard_library_stay_at_home():
    for name in ("json", "os.path", "pytest", "_pytest.fixtures", "cnflow", "cnflow.errors", "no_such_module", "sys"):
        assert registry.find(name) is None


def test_names_that_code_imports():
    source = """
    import a.b, c as d
    from e import f, g
    from k import *
    def function():
        from . import h
        from ..i import j
        global total
        total = __import__("l")
    """
    uses = uses_of(compile(textwrap.dedent(source), "file", "exec"), "p.q")
    assert uses.imports == {"a.b", "c", "e", "e.f", "e.g", "p.q", "p.q.h", "p.i", "p.i.j", "k"}
    assert uses.is_dynamic
    assert uses.sets == {"total"}


def test_value_that_another_thread_changes_and_changes_back_while_it_is_pickled_does_not_stay(write, monkeypatch):
    library = write("cnflow_test_settings", "TABLE = [1, 1]\ndef work(): return TABLE")
    library.TABLE[:] = [2, 2]
    dump = serialization.dump_in_band

    def dump_between(value, *args, **kwargs):
        if value is library.TABLE:
            library.TABLE[:] = [9, 9]
        try:
            return dump(value, *args, **kwargs)
        finally:
            library.TABLE[:] = [2, 2]

    app = AppFunction(library.work)
    with monkeypatch.context() as patch:
        patch.setattr(serialization, "dump_in_band", dump_between)
        version_of(app)
    version_of(app)
    found = [pickle.loads(record.body) for record in version_of(app).function.records]
    ((_, (_, content)),) = [(kind, content) for kind, content in found if kind == VALUES]
    assert pickle.loads(content["TABLE"][1]) == [2, 2]
