"""The built wheel works in an environment that has it and its dependencies, and nothing of this repository."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cnflow

ROOT = Path(__file__).parents[2]
FIRST_PAGE = ROOT / "docs" / "tutorials" / "getting-started.md"
SCRIPT = re.compile(
    r"^<!-- file: (?P<name>\S+) -->\n(?P<needs><!-- needs: .*\n)?```python\n(?P<source>.*?)^```$"
    r"(?:\n+<!-- prints -->\n```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
PAGE = FIRST_PAGE.read_text(encoding="utf-8")
SCRIPTS = {found["name"]: found for found in SCRIPT.finditer(PAGE) if not found["needs"]}

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Folder of programs of an empty environment into which the wheel was installed."""
    venv = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([ROOT / ".ci" / "venv", venv, sys.executable, wheel], check=True, capture_output=True)
    return venv / "bin"


@pytest.fixture
def run(environment, tmp_path):
    """Runs a program of the environment in an empty folder and returns the finished process."""

    def run(program, *arguments):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        command = [environment / program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=clean, check=False, capture_output=True, text=True, timeout=90)

    return run


def test_first_page_has_scripts_that_need_no_image():
    assert len(SCRIPTS) >= 2


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_of_the_first_page_runs(run, tmp_path, name):
    (tmp_path / name).write_text(SCRIPTS[name]["source"], encoding="utf-8")
    done = run("python", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (SCRIPTS[name]["printed"] or "")


def test_command_prints_its_version(run):
    done = run("cnflow", "--version")
    assert done.returncode == 0
    assert cnflow.__version__ in done.stdout


def test_doctor_finds_local_runs_to_work(run):
    done = run("cnflow", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cnflow.__version__ in done.stdout
    assert re.search(r"local processes\s+good", done.stdout)


def test_cnflow_is_imported_from_the_wheel_and_without_extras(run):
    where = "import cnflow, importlib.util; print(cnflow.__file__, importlib.util.find_spec('docker'))"
    file, docker = run("python", "-c", where).stdout.split()
    assert "site-packages" in file
    assert docker == "None"


def test_wheel_holds_the_package_with_its_types_and_licence_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = [Path(name) for name in archive.namelist()]
    assert {file.parts[0] for file in files} == {"cnflow", f"cnflow-{cnflow.__version__}.dist-info"}
    assert Path("cnflow/py.typed") in files
    assert any(file.name == "LICENSE" for file in files)
    assert not [file for file in files if "tests" in file.parts or file.name.startswith(("test_", "conftest"))]
