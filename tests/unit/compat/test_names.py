import importlib
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

import cnflow
from cnflow.compat.parsl import names
from cnflow.errors import NotCoveredError


@pytest.mark.parametrize("module", names.NAMES)
def test_each_name_of_each_module_can_be_imported(module):
    imported = importlib.import_module(module)
    assert {name for name in names.NAMES[module] if getattr(imported, name, None) is None} == set()


def test_star_import_brings_the_public_names():
    namespace: dict[str, object] = {}
    exec("from parsl import *", namespace)
    assert {"python_app", "bash_app", "File", "Config", "load", "AUTO_LOGNAME"} <= namespace.keys()
    assert namespace["File"] is cnflow.File


def test_submodule_is_an_attribute_of_its_package():
    import parsl

    assert parsl.executors.threads.ThreadPoolExecutor is parsl.ThreadPoolExecutor


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("from parsl import WorkQueueExecutor", "parsl.WorkQueueExecutor"),
        ("import parsl.monitoring.visualization", "parsl.monitoring.visualization"),
        ("from parsl.executors import WorkQueueExecutor", "parsl.executors.WorkQueueExecutor"),
        ("from parsl.channels.base import Channel", "parsl.channels.base"),
    ],
)
def test_error_names_a_part_of_parsl_that_is_not_covered(statement, named):
    with pytest.raises(NotCoveredError, match=rf"^{named} is not covered by cnflow: "):
        exec(statement)


def test_name_unknown_to_parsl_is_an_import_error():
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from parsl import no_such_name")
    with pytest.raises(ModuleNotFoundError, match=r"parsl\.no_such_module"):
        exec("import parsl.no_such_module")


def test_modules_of_a_package_that_somebody_has_made_below_parsl_are_imported(monkeypatch, tmp_path):
    for name in ("configs", "other"):  # the first is in the table
        (tmp_path / f"{name}.py").write_text("label = 'theirs'\n")
    package = ModuleType("parsl.tests")
    package.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "parsl.tests", package)
    for name in ("parsl.tests.configs", "parsl.tests.other"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        assert importlib.import_module(name).label == "theirs"
        del sys.modules[name]


def test_module_can_be_pickled():
    import parsl.utils

    assert pickle.loads(pickle.dumps(parsl.utils)) is parsl.utils


def test_install_refuses_an_imported_parsl():
    code = "import sys, types; sys.modules['parsl'] = types.ModuleType('parsl'); import cnflow.compat.parsl"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Import cnflow.compat.parsl before anything that imports parsl" in done.stderr


def test_cnflow_imports_nothing_of_the_parsl_layer():
    code = "import sys, cnflow; cnflow.python_app; print([name for name in sys.modules if 'parsl' in name])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
