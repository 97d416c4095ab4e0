"""Local packages in worker processes: real folders, of any install, new after a reload, and part of cache keys."""

import importlib
import pathlib
import subprocess
import sys
import time

import pytest

import cnflow
from cnflow import Config, predict_app, python_app
from cnflow.errors import ConfigurationError, SerializationError
from cnflow.executors import HighThroughputExecutor
from cnflow.executors.high_throughput.local_packages.find import find_packages
from cnflow.executors.high_throughput.local_packages.overlay import LocalPackages

INIT = """
from importlib import resources
from pathlib import Path
import threading

_lock = threading.Lock()
VERSION = 1

def prices():
    with _lock:
        beside = Path(__file__).with_name("prices.txt").read_text()
        return VERSION, beside, resources.files(__package__).joinpath("prices.txt").read_text(), __file__

def setup():
    pass

def predict(rows):
    return [VERSION * row for row in rows]
"""


@pytest.fixture
def project(tmp_path):
    """A project with a package that has a data file."""
    folder = tmp_path / "project"
    package = folder / "src" / "shop_here"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "shop-here"\nversion = "1"\n')
    (package / "__init__.py").write_text(INIT)
    (package / "prices.txt").write_text("apples 2")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "old.pyc").write_text("")
    return folder


@pytest.fixture
def config(tmp_path):
    def make(*packages, **options):
        executor = HighThroughputExecutor(max_workers=1, local_packages=[str(each) for each in packages])
        return Config(executors=[executor], run_dir=str(tmp_path / "runs"), **options)

    return make


@pytest.fixture
def imported(project, monkeypatch):
    """The package, imported in the driver."""
    monkeypatch.syspath_prepend(str(project / "src"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module("shop_here")
    sys.modules.pop("shop_here", None)


def test_files_of_a_package_that_the_driver_has_not_imported_are_read_in_the_worker(project, config):
    def look():
        import shop_here

        return shop_here.prices()

    with cnflow.load(config(project)):
        version, beside, resource, file = python_app(look)().result(60)
        assert predict_app(module="shop_here")([2, 3]).result(60) == [2, 3]
        assert pathlib.Path(file).exists()
    assert (version, beside, resource) == (1, "apples 2", "apples 2")
    assert str(project) not in file
    assert not pathlib.Path(file).exists(), "the manager removes what its workers have unpacked"


def test_reloaded_package_is_new_at_the_next_call_with_its_data(project, config, imported):
    app = python_app(imported.prices)
    with cnflow.load(config(project)):
        assert app().result(60)[:2] == (1, "apples 2")
        (project / "src/shop_here/prices.txt").write_text("apples 3")
        (project / "src/shop_here/__init__.py").write_text(INIT.replace("VERSION = 1", "VERSION = 20"))
        assert app().result(60)[:2] == (1, "apples 2"), "edited, and not reloaded"
        importlib.reload(imported)
        assert python_app(imported.prices)().result(60)[:2] == (20, "apples 3")


def test_change_of_data_alone_is_sent_without_a_reload(project, config, imported):
    app = python_app(imported.prices)
    with cnflow.load(config(project)):
        assert app().result(60)[:2] == (1, "apples 2")
        (project / "src/shop_here/prices.txt").write_text("apples 30")
        time.sleep(1.1)
        assert app().result(60)[:2] == (1, "apples 30")


def test_edit_of_a_package_that_is_not_imported_here_is_sent_at_the_next_call(project, config):
    app = predict_app(module="shop_here")
    with cnflow.load(config(project)):
        for version in (1, 20, 300):
            (project / "src/shop_here/__init__.py").write_text(INIT.replace("VERSION = 1", f"VERSION = {version}"))
            time.sleep(0.2)
            assert app([1]).result(60) == [version]


def test_reload_of_a_module_that_was_imported_during_the_run_is_seen(project, imported):
    module = project / "src/shop_here/late.py"
    module.write_text("NUMBER = 1")
    packages = LocalPackages([str(project)])
    late = importlib.import_module("shop_here.late")
    packages._next_look = 0.0
    before = packages.current().record.id
    module.write_text("NUMBER = 22")
    packages._next_look = 0.0
    assert packages.current().record.id == before, "edited, and not reloaded"
    importlib.reload(late)
    assert packages.current().record.id != before


def test_compiled_module_that_appears_during_the_run_fails_each_call_until_it_is_gone(project):
    packages = LocalPackages([str(project)])
    compiled = project / "src/shop_here/fast.so"
    compiled.write_text("")
    packages._next_look = 0.0
    for _ in range(3):
        with pytest.raises(SerializationError, match="has a compiled module"):
            packages.current()
    compiled.unlink()
    packages._next_look = 0.0
    assert packages.current()


def test_cache_key_has_the_content_of_the_packages(project, config):
    app = predict_app(module="shop_here", cache=True)
    options = {"checkpoint_mode": "task_exit"}
    with cnflow.load(config(project, **options)) as dfk:
        assert app([1]).result(60) == [1]
    files = [str(pathlib.Path(dfk.run_dir) / "checkpoint")]
    (project / "src/shop_here/__init__.py").write_text(INIT.replace("VERSION = 1", "VERSION = 7"))
    with cnflow.load(config(project, checkpoint_files=files, **options)):
        assert app([1]).result(60) == [7]


def test_editable_install_is_found_by_both_of_its_names(project, tmp_path, monkeypatch):
    site = tmp_path / "site"
    info = site / "shop_here-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-here\nVersion: 1\n")
    (info / "direct_url.json").write_text(f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}')
    (site / "shop.pth").write_text(str(project / "src"))
    monkeypatch.syspath_prepend(str(site))
    (by_distribution,) = find_packages(["shop-here"])
    assert by_distribution[:2] == ("shop_here", project / "src" / "shop_here")
    assert [name for name, _ in by_distribution.metadata] == ["shop_here-1.dist-info/METADATA"]
    monkeypatch.syspath_prepend(str(project / "src"))
    (by_import,) = find_packages(["shop_here"])
    assert by_import[:2] == by_distribution[:2]


def test_package_module_and_plain_folder_are_found_by_path(project, tmp_path):
    package = project / "src" / "shop_here"
    (tmp_path / "tool.py").write_text("")
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "one.py").write_text("")
    assert [one.name for one in find_packages([str(package), str(tmp_path / "tool.py"), str(plain)])] == [
        "shop_here",
        "tool",
        "one",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("no_such_package", "no package 'no_such_package' is installed here or can be imported"),
        ("pydantc", "Did you mean 'pydantic'"),
        ("./no/such/folder", "there is no folder or module './no/such/folder'"),
        ("math", "is no Python source"),
    ],
)
def test_package_that_cannot_be_sent_is_refused_when_the_run_is_loaded(config, given, words):
    with pytest.raises(ConfigurationError, match=words):
        cnflow.load(config(given))


def test_compiled_module_is_refused_by_its_path(project):
    (project / "src" / "shop_here" / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    with pytest.raises(
        ConfigurationError, match=r"shop_here has a compiled module, .*fast\.cpython.* Install the package"
    ):
        LocalPackages([str(project)])


def test_content_is_the_same_in_every_process(project):
    code = (
        "import sys; from cnflow.executors.high_throughput.local_packages.overlay import LocalPackages; "
        "print(LocalPackages(sys.argv[1:]).current().record.id.hex())"
    )
    found = {
        subprocess.run([sys.executable, "-c", code, str(project)], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert found == {LocalPackages([str(project)]).current().record.id.hex() + "\n"}
