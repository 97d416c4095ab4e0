import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cnflow
from cnflow import cli
from cnflow.cli import checks
from cnflow.cli.app import app
from cnflow.cli.dependencies import Installed, Requirement
from cnflow.cli.engine import Engine
from cnflow.config import load_config
from cnflow.errors import BlockError, MissingExtraError

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def told(monkeypatch, capsys):
    """Run `cnflow` as its entry point does: exit code, stdout, stderr."""

    def tell(*args):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["cnflow", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return tell


@pytest.fixture
def engine(monkeypatch):
    """Make the doctor believe in the engine that is given, or fail with the error that is given."""

    def pretend(found):
        def default_engine():
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(checks, "default_engine", default_engine)

    pretend(Engine("28.2", ["172.17.0.1"]))
    return pretend


def test_the_version_is_told(told):
    assert told("--version") == (0, f"cnflow {cnflow.__version__}\n", "")


def test_the_version_is_told_without_importing_what_is_slow():
    code = (
        "import sys; from cnflow.cli import app; print([m for m in ('pydantic', 'zmq', 'docker') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_cnflow_alone_shows_its_commands():
    shown = CliRunner().invoke(app, []).output
    assert all(command in shown for command in ("run", "perf", "doctor", "config", "capsule"))


def test_a_misspelt_command_is_answered_with_the_nearest(told):
    code, _, error = told("docter")
    assert code == 2
    assert "Did you mean 'doctor'?" in error


def test_a_script_that_is_not_there_is_a_usage_error(told):
    code, _, error = told("run", "nowhere.py")
    assert code == 2
    assert "nowhere.py" in error


@pytest.mark.usefixtures("engine")
def test_the_doctor_is_content_where_local_runs_work(told):
    code, shown, _ = told("doctor")
    assert code == 0
    assert re.search(r"Docker engine +good +version 28.2 answers", shown)
    assert "172.17.0.1 (from containers)" in shown
    assert "Local runs will work." in shown


def test_the_doctor_passes_on_what_the_engine_says(told, engine):
    engine(BlockError("The Docker engine does not answer: no such file\nStart it."))
    code, shown, _ = told("doctor")
    assert code == 0
    assert re.search(r"Docker engine +absent +The Docker engine does not answer: no such file *\n +Start it.", shown)


def test_the_doctor_says_how_to_install_the_docker_package(told, engine):
    engine(MissingExtraError("The provider 'docker'", "docker"))
    code, shown, _ = told("doctor")
    assert code == 0
    assert "Run: pip install 'cnflow[docker]'" in shown


@pytest.mark.usefixtures("engine")
def test_the_doctor_fails_where_a_needed_package_is_missing(told, monkeypatch):
    missing = Installed(Requirement("pyzmq", "26.2", extra="", before=""), version="")
    monkeypatch.setattr(checks, "installed_by_extra", lambda: {"": [missing]})
    code, shown, _ = told("doctor")
    assert code == 1
    assert re.search(r"package +bad +pyzmq \(not installed\)", shown)


@pytest.mark.usefixtures("engine")
def test_the_doctor_tells_programs_the_same(told):
    code, shown, _ = told("doctor", "--json")
    found = json.loads(shown)
    assert code == 0
    assert found["local_runs_work"] is True
    assert {"about", "verdict", "found", "advice"} == set(found["findings"][0])


def test_the_doctor_refuses_a_python_that_is_too_old():
    assert checks.python_finding((3, 9)).verdict is checks.Verdict.BAD
    assert checks.python_finding((3, 10)).verdict is checks.Verdict.GOOD


def test_the_doctor_says_what_cannot_be_done_without_pip(monkeypatch):
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda _: None)
    assert checks.pip_finding().verdict is checks.Verdict.ABSENT


def test_an_extra_is_absent_when_one_of_its_packages_is_too_old():
    old = Installed(Requirement("docker", "7.1", extra="docker", before=""), version="6.0.1")
    finding = checks.extra_finding("docker", [old])
    assert finding.verdict is checks.Verdict.ABSENT
    assert finding.found == "docker 6.0.1 (older than 7.1)"


def test_the_default_configuration_is_shown_with_every_option(told):
    code, shown, _ = told("config", "show")
    assert code == 0
    assert json.loads(shown) == cnflow.Config().model_dump(mode="json")


def test_a_configuration_is_shown_as_yaml(told):
    yaml = pytest.importorskip("yaml")
    _, shown, _ = told("config", "show", "--format", "yaml")
    assert yaml.safe_load(shown) == cnflow.Config().model_dump(mode="json")


def test_a_configuration_shown_as_toml_is_a_file_to_load(told, tmp_path):
    code, shown, _ = told("config", "show", "--format", "toml")
    (tmp_path / "c.toml").write_text(shown)
    assert code == 0
    assert load_config(tmp_path / "c.toml") == cnflow.Config()


def test_what_would_be_sent_is_shown_without_sending_it(told, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        """
        [[executors]]
        kind = "high_throughput"
        image = "app1:0.1"
        provider = {kind = "docker", environment = {COLOUR = "blue"}}
        [[executors]]
        kind = "high_throughput"
        label = "template"
        provider = {kind = "docker"}
        [[executors]]
        kind = "threads"
        """,
    )
    code, shown, _ = told("config", "show", file, "--requests")
    sent = json.loads(shown)
    assert code == 0
    assert sent["htex"]["image"] == "app1:0.1"
    assert sent["htex"]["environment"]["COLOUR"] == "blue"
    assert sent["template"]["image"] == "IMAGE"
    assert sent["threads"] is None


def test_a_mistake_in_a_file_is_one_sentence_and_no_traceback(told, tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"retires": 3}')
    code, shown, error = told("config", "show", file)
    assert (code, shown) == (2, "")
    assert error.startswith(f"{file}: Config has no option 'retires'. Did you mean 'retries'?")
    assert len(error.splitlines()) == 1


def test_what_perf_was_told_wrong_is_said_with_the_option(told, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("retries = 1")
    for option, value, said in (
        ("--iterate", "10,x", "'10,x' is neither estimate nor exponential"),
        ("--resources", "{'cores': 1}", "asks for no resources of its own"),
        ("--resources", "cores", "'cores' is no dictionary"),
    ):
        code, shown, error = told("perf", "--config", file, option, value)
        assert (code, shown) == (2, "")
        assert option in error
        assert said in " ".join(error.split())


def test_perf_tells_its_version(told):
    assert told("perf", "--version") == (0, f"cnflow perf from cnflow {cnflow.__version__}\n", "")


def test_a_capsule_is_unpacked_by_the_docker_provider(told, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("cnflow.cli.engine.unpack_capsule", lambda *args: asked.append(args))
    code, shown, _ = told("capsule", "unpack", "app1:0.1", tmp_path)
    assert code == 0
    assert asked == [("app1:0.1", tmp_path)]
    assert shown == f"The capsule for app1:0.1 is in {tmp_path}.\n"


def test_a_folder_that_cannot_be_written_is_named(told, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cnflow.cli.engine.unpack_capsule", refuse)
    assert told("capsule", "unpack", "app1:0.1", tmp_path) == (2, "", f"{tmp_path}: Permission denied\n")


def test_every_command_and_option_is_on_the_page_about_the_command_line():
    page = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")
    for command in (["run"], ["perf"], ["doctor"], ["config", "show"], ["capsule", "unpack"]):
        assert f"## cnflow {' '.join(command)}" in page
        shown = CliRunner().invoke(app, [*command, "--help"], env={"TERMINAL_WIDTH": "200"}).output
        options = set(re.findall(r"(?<![\w-])--[a-z-]+", shown)) - {"--help"}
        assert {option for option in options if f"`{option}" not in page} == set()
