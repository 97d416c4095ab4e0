import importlib
import pickle
import subprocess
import sys

import pytest

import cnflow
from cnflow.compat.parsl import names
from cnflow.errors import NotCoveredError


@pytest.mark.parametrize("module", names.NAMES)
def test_each_name_of_each_module_is_there(module):
    there = importlib.import_module(module)
    assert {name for name in names.NAMES[module] if getattr(there, name, None) is None} == set()


def test_a_star_import_brings_the_public_names():
    namespace: dict[str, object] = {}
    exec("from parsl import *", namespace)
    assert {"python_app", "bash_app", "File", "Config", "load", "AUTO_LOGNAME"} <= namespace.keys()
    assert namespace["File"] is cnflow.File


def test_a_module_is_reached_as_an_attribute_of_the_one_above():
    import parsl

    assert parsl.executors.threads.ThreadPoolExecutor is parsl.ThreadPoolExecutor


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("from parsl import MonitoringHub", "parsl.MonitoringHub"),
        ("import parsl.monitoring", "parsl.monitoring"),
        ("from parsl.executors import WorkQueueExecutor", "parsl.executors.WorkQueueExecutor"),
        ("from parsl.providers import SlurmProvider", "parsl.providers.SlurmProvider"),
        ("from parsl.channels import SSHChannel", "parsl.channels.SSHChannel"),
    ],
)
def test_what_is_not_covered_says_its_name(statement, named):
    with pytest.raises(NotCoveredError, match=rf"^{named} is not covered by cnflow: "):
        exec(statement)


def test_what_parsl_does_not_have_either_is_an_ordinary_import_error():
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from parsl import no_such_name")
    with pytest.raises(ModuleNotFoundError, match=r"parsl\.no_such_module"):
        exec("import parsl.no_such_module")


def test_a_module_can_be_pickled():
    import parsl.utils

    assert pickle.loads(pickle.dumps(parsl.utils)) is parsl.utils


def test_parsl_itself_imported_before_is_refused():
    code = "import sys, types; sys.modules['parsl'] = types.ModuleType('parsl'); import cnflow.compat.parsl"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Import cnflow.compat.parsl before anything that imports parsl" in done.stderr


def test_nothing_of_it_is_imported_with_cnflow():
    code = "import sys, cnflow; cnflow.python_app; print([name for name in sys.modules if 'parsl' in name])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
