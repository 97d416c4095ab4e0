import os
from pathlib import Path

import pytest

import cnflow
from cnflow.config import Config, DockerProvider, HighThroughputExecutor, JsonLinesSink, LocalProvider, load_config
from cnflow.config.paths import expand_path
from cnflow.errors import ConfigurationError
from cnflow.executors import ThreadPoolExecutor


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)
    return str(folder)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("~", "{home}"),
        ("~/runs/", "{home}/runs/"),
        ("$SCRATCH/runs", "/scratch/me/runs"),
        ("${SCRATCH}runs", "/scratch/meruns"),
        ("~/$SCRATCH", "{home}//scratch/me"),
        ("runs/~", "runs/~"),
        ("./~", "./~"),
        ("price$$5", "price$5"),
        ("costs 5$", "costs 5$"),
        ("", ""),
        (Path("~/runs"), "{home}/runs"),
    ],
)
def test_path_is_expanded_as_a_shell_does(written, expected, home):
    assert expand_path(written) == expected.format(home=home)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("$NOWHERE/runs", "names the variable 'NOWHERE', which is not set"),
        ("/data/${NOWHERE}", "names the variable 'NOWHERE', which is not set"),
        ("/data/${}", "names the variable '', which is not set"),
        ("~no-such-user/runs", "no user is called 'no-such-user'"),
    ],
)
def test_path_with_an_unknown_name_is_refused(written, message):
    with pytest.raises(ValueError, match=message.replace("$", r"\$")):
        expand_path(written)


def test_home_folder_and_value_with_a_dollar_sign_are_not_expanded_again(monkeypatch):
    monkeypatch.setenv("HOME", "/home/a$NOWHERE")
    monkeypatch.setenv("SCRATCH", "$NOWHERE")
    assert expand_path("~/$SCRATCH") == "/home/a$NOWHERE/$NOWHERE"


def test_existing_absolute_path_is_the_name_of_that_file(tmp_path):
    (tmp_path / "a$NOWHERE").mkdir()
    assert expand_path(tmp_path / "a$NOWHERE") == f"{tmp_path}/a$NOWHERE"


@pytest.mark.parametrize(
    "path_of",
    [
        lambda path: Config(run_dir=path).run_dir,
        lambda path: Config(checkpoint_files=[path]).checkpoint_files[0],
        lambda path: ThreadPoolExecutor(working_dir=path).working_dir,
        lambda path: HighThroughputExecutor(working_dir=path).working_dir,
        lambda path: LocalProvider(python=path).python,
        lambda path: JsonLinesSink(path=path).path,
        lambda path: next(iter(DockerProvider(mounts={os.fspath(path): "/data"}).mounts)),
    ],
    ids=["run_dir", "checkpoint_files", "threads", "htex", "python", "sink", "mounts"],
)
def test_path_of_every_setting_is_expanded(path_of, home):
    assert path_of("~/x") == f"{home}/x"
    assert path_of(Path("$SCRATCH/x")) == "/scratch/me/x"
    with pytest.raises(ConfigurationError, match="'NOWHERE', which is not set"):
        path_of("$NOWHERE/x")


def test_assigned_path_is_expanded(home):
    config = Config()
    config.run_dir = "~/x"
    assert config.run_dir == f"{home}/x"
    executor = HighThroughputExecutor()
    executor.working_dir = "~/x"
    assert executor.working_dir == f"{home}/x"


def test_home_folder_of_a_container_is_not_that_of_this_machine():
    with pytest.raises(ConfigurationError, match="Executor 'big': working_dir='~/x' is a folder of the container"):
        HighThroughputExecutor(label="big", provider=DockerProvider(), working_dir="~/x")
    assert HighThroughputExecutor(provider=DockerProvider(), working_dir="/work").working_dir == "/work"


def test_run_is_recorded_in_the_home_folder(home, tmp_path):
    with cnflow.load(Config(run_dir="~/runs")) as dfk:
        assert dfk.run_dir == Path(home, "runs", "000")
    assert not (tmp_path / "~").exists()
    assert cnflow.get_all_checkpoints("~/runs") == []


def test_arguments_that_are_paths_are_expanded(home):
    Path(home, "c.toml").write_text("retries = 3\n")
    assert load_config("~/c.toml").retries == 3
    cnflow.set_file_logger("~/logs/driver.log")()
    assert Path(home, "logs/driver.log").exists()
    with pytest.raises(ConfigurationError, match=r"path: '\$NOWHERE/c.toml' names the variable 'NOWHERE'"):
        load_config("$NOWHERE/c.toml")
    with pytest.raises(ConfigurationError, match="adopt: "):
        cnflow.load(adopt="$NOWHERE/000")
