"""Backends of a package that is installed apart, in Python and in a file (tests/data/toy_backends)."""

import importlib
import itertools
import os
import pickle
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, python_app
from cnflow.config import HighThroughputExecutor, dump, load_config
from cnflow.config.registry import backend_of
from cnflow.errors import UnknownNameError
from cnflow.ids import NativeId, RunId
from cnflow.interfaces import RunContext
from cnflow.testing.contracts.executor import ExecutorContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from cnflow.testing.contracts.staging import StagingContract

SOURCE = Path(__file__).parents[1] / "data" / "toy_backends"
CONFIG = """
[[executors]]
kind = "high_throughput"
label = "processes"

[[executors.storage_access]]
kind = "toy_memory"
suffix = "!"

[executors.provider]
kind = "toy"
greeting = "good morning"

[[executors]]
kind = "toy_serial"
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder into which pip has installed the package, from a wheel."""
    folder = tmp_path_factory.mktemp("toys")
    wheel = wheel_of(SOURCE, folder)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder / "at")]
    subprocess.run([*pip, str(wheel)], check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return folder / "at"


def wheel_of(source, folder):
    """Build a wheel without asking an index for the build tool; see https://packaging.python.org/specifications."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = toml.loads((source / "pyproject.toml").read_text())["project"]
    name = f"{project['name'].replace('-', '_')}-{project['version']}"
    info = f"{name}.dist-info"
    points = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{kind} = {target}" for kind, target in entries.items()))
    ]
    files = {str(path.relative_to(source)): path.read_text() for path in source.rglob("*.py")} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(points) + "\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def toys(installed, monkeypatch):
    """The package can be imported, as in an environment that it is installed in."""
    monkeypatch.syspath_prepend(str(installed))
    yield importlib.import_module("toy_backends.settings")
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_backends"]:
        del sys.modules[name]


@python_app(executors="processes")
def greet():
    return os.environ["TOY_GREETING"]


@python_app(executors="processes")
def first_line(file):
    return Path(file).read_text()


@python_app(executors="toy_serial")
def add(a, b):
    return a + b


def test_backends_of_an_installed_package_run_tasks_from_a_file(toys, tmp_path):
    (tmp_path / "config.toml").write_text(f"run_dir = {str(tmp_path / 'runs')!r}\n{CONFIG}")
    with cnflow.load(load_config(tmp_path / "config.toml")):
        assert greet().result(60) == "good morning"
        assert first_line(File("toy:/greeting.txt")).result(60) == "hello from memory!"
        assert add(1, 2).result(60) == 3


def test_backends_of_an_installed_package_run_tasks_from_python(toys, tmp_path):
    executors = [
        HighThroughputExecutor(label="processes", provider=toys.ToyProvider(greeting="ahoy")),
        toys.ToySerialExecutor(),
    ]
    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path / "runs"))):
        assert greet().result(60) == "ahoy"
        assert add(3, 4).result(60) == 7


@pytest.mark.parametrize(
    ("write", "suffix"), [(dump.to_toml, "toml"), (dump.to_json, "json"), (dump.to_yaml, "yaml")], ids=["t", "j", "y"]
)
def test_settings_of_an_installed_package_survive_a_file_a_copy_and_a_pickle(toys, tmp_path, write, suffix):
    (tmp_path / "config.toml").write_text(CONFIG)
    config = load_config(tmp_path / "config.toml")
    assert isinstance(config.executors[0].provider, toys.ToyProvider)
    again = tmp_path / f"again.{suffix}"
    again.write_text(write(config))
    assert load_config(again) == config == config.copied() == pickle.loads(pickle.dumps(config))


def test_typo_is_refused_with_the_nearest_kind_of_an_installed_package(toys):
    with pytest.raises(UnknownNameError, match=r"No executor is called 'toy_seriel'\. Did you mean 'toy_serial'"):
        Config(executors=[{"kind": "toy_seriel"}])


def test_the_command_shows_a_file_with_kinds_of_an_installed_package(installed, tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    command = [Path(sysconfig.get_path("scripts")) / "cnflow", "config", "show", "config.toml", "--format", "toml"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '\n[executors.provider]\nkind = "toy"\n' in done.stdout
    assert '\ngreeting = "good morning"\n' in done.stdout


@pytest.mark.usefixtures("toys")
class TestToyProvider(ProviderContract, ProviderDataContract):
    @pytest.fixture
    def make_provider(self, toys):
        return lambda environment: backend_of(toys.ToyProvider())(toys.ToyProvider(), environment)

    @pytest.fixture
    def traits(self, toys):
        return toys.ToyProvider().traits()

    @pytest.fixture
    def refused_image(self):
        return "app:1"

    @pytest.fixture
    def unknown_block(self):
        return NativeId("999999999:1")


class TestToyExecutor(ExecutorContract):
    runs_commands = False
    stops_tasks = False

    @pytest.fixture
    def make_executor(self, toys, tmp_path):
        runs = (RunId(f"toy{number}") for number in itertools.count())
        settings = toys.ToySerialExecutor()
        return lambda: backend_of(settings)(settings, RunContext(run := next(runs), tmp_path / run))


class TestToyStaging(StagingContract):
    stages_out = False

    @pytest.fixture
    def staging(self, toys):
        return importlib.import_module("toy_backends.staging").ToyMemoryStaging()

    @pytest.fixture
    def store(self, staging):
        def put(folder, name, content):
            sys.modules["toy_backends.staging"].CONTENTS[f"/{folder}/{name}"] = content
            return File(f"toy:/{folder}/{name}")

        return put

    @pytest.fixture
    def missing(self):
        return File("toy:/nowhere")
