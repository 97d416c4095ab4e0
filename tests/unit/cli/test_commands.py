import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cnflow
from cnflow.cli import checks
from cnflow.cli.app import app
from cnflow.cli.dependencies import Installed, Requirement
from cnflow.config import load_config
from cnflow.config.engines import find_engine
from cnflow.errors import BlockError, MissingExtraError
from cnflow.model.finding import Verdict
from cnflow.providers.docker.dialect import dialect_of
from cnflow.providers.docker.provider import DockerBackend

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def engine(monkeypatch):
    """Function that replaces the Docker engine by the given one, or by the given error."""

    class Engine:
        is_local = True
        version = "28.2"
        dialect = dialect_of({})
        address = find_engine("unix:///run/engine.sock", None)

        def info(self):
            return {"OperatingSystem": "Docker Desktop"}

        def close(self):
            pass

    def replace(error=None):
        def connect(provider):
            if error is not None:
                raise error
            return Engine()

        monkeypatch.setattr(DockerBackend, "_engine", connect)

    replace()
    return replace


def test_version_is_printed(run_cnflow):
    assert run_cnflow("--version") == (0, f"cnflow {cnflow.__version__}\n", "")


def test_version_is_printed_without_slow_imports():
    code = (
        "import sys; from cnflow.cli import app; print([m for m in ('pydantic', 'zmq', 'docker') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_cnflow_without_arguments_lists_its_commands():
    shown = CliRunner().invoke(app, []).output
    assert all(command in shown for command in ("run", "perf", "doctor", "config", "capsule"))


def test_misspelt_command_suggests_the_nearest(run_cnflow):
    code, _, error = run_cnflow("docter")
    assert code == 2
    assert "Did you mean 'doctor'?" in error


def test_missing_script_is_a_usage_error(run_cnflow):
    code, _, error = run_cnflow("run", "nowhere.py")
    assert code == 2
    assert "nowhere.py" in error


@pytest.mark.usefixtures("engine")
def test_doctor_succeeds_if_local_runs_work(run_cnflow):
    code, shown, _ = run_cnflow("doctor")
    assert code == 0
    assert re.search(
        r"Docker engine +good +version 28.2 answers at unix:///run/engine.sock \(DockerProvider\(host\)\)", shown
    )
    assert "containers reach this machine at host.docker.internal" in shown
    assert re.search(r"local processes +good +workers run on", shown)
    assert re.search(r"addresses +good +\S", shown)
    assert "Local runs will work." in shown


def test_doctor_shows_the_error_of_the_engine(run_cnflow, engine):
    engine(BlockError("The Docker engine does not answer: no such file\nStart it."))
    code, shown, _ = run_cnflow("doctor")
    assert code == 0
    assert re.search(r"Docker engine +absent +The Docker engine does not answer: no such file *\n +Start it.", shown)


def test_doctor_shows_how_to_install_the_docker_package(run_cnflow, engine):
    engine(MissingExtraError("The provider 'docker'", "docker"))
    code, shown, _ = run_cnflow("doctor")
    assert code == 0
    assert "Run: pip install 'cnflow[docker]'" in shown


@pytest.mark.usefixtures("engine")
def test_doctor_fails_if_a_required_package_is_missing(run_cnflow, monkeypatch):
    missing = Installed(Requirement("pyzmq", "26.2", extra="", before=""), version="")
    monkeypatch.setattr(checks, "installed_by_extra", lambda: {"": [missing]})
    code, shown, _ = run_cnflow("doctor")
    assert code == 1
    assert re.search(r"package +bad +pyzmq \(not installed\)", shown)


@pytest.mark.usefixtures("engine")
def test_doctor_prints_findings_as_json(run_cnflow):
    code, shown, _ = run_cnflow("doctor", "--json")
    found = json.loads(shown)
    assert code == 0
    assert found["local_runs_work"] is True
    assert {"about", "verdict", "found", "advice"} == set(found["findings"][0])


def test_doctor_marks_an_old_python_as_bad():
    assert checks.python_finding((3, 9)).verdict is Verdict.BAD
    assert checks.python_finding((3, 10)).verdict is Verdict.GOOD


def test_doctor_marks_a_missing_pip_as_absent(monkeypatch):
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda _: None)
    assert checks.pip_finding().verdict is Verdict.ABSENT


def test_extra_with_an_old_package_is_absent():
    old = Installed(Requirement("docker", "7.1", extra="docker", before=""), version="6.0.1")
    finding = checks.extra_finding("docker", [old])
    assert finding.verdict is Verdict.ABSENT
    assert finding.found == "docker 6.0.1 (older than 7.1)"


def test_config_show_prints_all_options_of_the_default(run_cnflow):
    code, shown, _ = run_cnflow("config", "show")
    assert code == 0
    assert json.loads(shown) == cnflow.Config().model_dump(mode="json")


def test_config_show_prints_yaml(run_cnflow):
    yaml = pytest.importorskip("yaml")
    _, shown, _ = run_cnflow("config", "show", "--format", "yaml")
    assert yaml.safe_load(shown) == cnflow.Config().model_dump(mode="json")


def test_config_shown_as_toml_can_be_loaded(run_cnflow, tmp_path):
    code, shown, _ = run_cnflow("config", "show", "--format", "toml")
    (tmp_path / "c.toml").write_text(shown)
    assert code == 0
    assert load_config(tmp_path / "c.toml") == cnflow.Config()


def test_config_show_requests_prints_them_without_sending(run_cnflow, tmp_path):
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
    code, shown, _ = run_cnflow("config", "show", file, "--requests")
    sent = json.loads(shown)
    assert code == 0
    assert sent["htex"]["image"] == "app1:0.1"
    assert sent["htex"]["environment"]["COLOUR"] == "blue"
    assert sent["template"]["image"] == "IMAGE"
    assert sent["threads"] is None


def test_mistake_in_a_file_is_printed_without_traceback(run_cnflow, tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"retires": 3}')
    code, shown, error = run_cnflow("config", "show", file)
    assert (code, shown) == (2, "")
    assert error.startswith(f"{file}: Config has no option 'retires'. Did you mean 'retries'?")
    assert len(error.splitlines()) == 1


def test_wrong_value_of_a_perf_option_names_the_option(run_cnflow, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("retries = 1")
    for option, value, message in (
        ("--iterate", "10,x", "'10,x' is neither estimate nor exponential"),
        ("--resources", "{'cores': 1}", "cannot set resources of a task"),
        ("--resources", "cores", "'cores' is no dictionary"),
    ):
        code, shown, error = run_cnflow("perf", "--config", file, option, value)
        assert (code, shown) == (2, "")
        assert option in error
        assert message in " ".join(error.split())


def test_perf_prints_its_version(run_cnflow):
    assert run_cnflow("perf", "--version") == (0, f"cnflow perf from cnflow {cnflow.__version__}\n", "")


def test_capsule_unpack_calls_the_docker_provider(run_cnflow, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("cnflow.cli.engine.unpack_capsule", lambda *args: asked.append(args))
    code, shown, _ = run_cnflow("capsule", "unpack", "app1:0.1", tmp_path)
    assert code == 0
    assert asked == [("app1:0.1", tmp_path)]
    assert shown == f"The capsule for app1:0.1 is in {tmp_path}.\n"


def test_capsule_unpack_names_a_folder_that_cannot_be_written(run_cnflow, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cnflow.cli.engine.unpack_capsule", refuse)
    assert run_cnflow("capsule", "unpack", "app1:0.1", tmp_path) == (2, "", f"{tmp_path}: Permission denied\n")


def test_capsule_build_takes_the_python_and_the_folder(run_cnflow, tmp_path, monkeypatch):
    kinds = []
    made = tmp_path / "cached"
    made.mkdir()
    (made / "file").touch()
    monkeypatch.setattr("cnflow.cli.engine.capsule_folder", lambda kind: kinds.append(kind) or made)
    code, shown, _ = run_cnflow("capsule", "build", "3.9", tmp_path / "new")
    assert (code, shown) == (0, f"The capsule for Python 3.9 is in {tmp_path / 'new'}.\n")
    assert [kind.python for kind in kinds] == ["3.9"]
    assert (tmp_path / "new" / "file").exists()


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["3.14", "--libc", "musl", "--machine", "aarch64"], "cp314-aarch64-musl"),
        (["carried"], f"cp3{sys.version_info[1]}-{os.uname().machine}-glibc-carried"),
    ],
)
def test_capsule_build_takes_another_machine_and_c_library_and_carries_its_own_python(
    run_cnflow, tmp_path, monkeypatch, arguments, slug
):
    kinds = []
    monkeypatch.setattr("cnflow.cli.engine.capsule_folder", lambda kind: kinds.append(kind) or tmp_path)
    code, shown, _ = run_cnflow("capsule", "build", *arguments, tmp_path.with_name("new"))
    assert (code, [kind.slug for kind in kinds]) == (0, [slug]), shown


def test_capsule_build_refuses_to_carry_its_python_to_another_architecture(run_cnflow, tmp_path):
    code, _, error = run_cnflow("capsule", "build", "carried", tmp_path, "--machine", "riscv64")
    assert code != 0
    assert "not for riscv64" in error


@pytest.mark.parametrize("python", ["3.8", "2.7", "3.99", "python3.9", "3.9.1"])
def test_capsule_build_refuses_other_pythons(run_cnflow, tmp_path, python):
    code, _, error = run_cnflow("capsule", "build", python, tmp_path / "new")
    assert code != 0
    assert "not supported" in error
    assert not (tmp_path / "new").exists()


def test_command_line_page_lists_all_commands_and_options():
    page = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")
    for command in (
        ["run"],
        ["perf"],
        ["doctor"],
        ["config", "show"],
        ["capsule", "unpack"],
        ["capsule", "build"],
        ["image", "check"],
    ):
        assert f"## cnflow {' '.join(command)}" in page
        shown = CliRunner().invoke(app, [*command, "--help"], env={"TERMINAL_WIDTH": "200"}).output
        options = set(re.findall(r"(?<![\w-])--[a-z-]+", shown)) - {"--help"}
        assert {option for option in options if f"`{option}" not in page} == set()
