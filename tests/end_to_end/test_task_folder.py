"""Folder, variables and umask of tasks; relative paths mean the folder at the call."""

import os
from pathlib import Path

import pytest

import cnflow
from cnflow import AUTO_LOGNAME, Config, File, bash_app, python_app
from cnflow.config import HighThroughputExecutor, LocalProvider, ThreadPoolExecutor

EXECUTORS = {
    "threads": lambda: ThreadPoolExecutor(max_threads=1),
    "processes": lambda: HighThroughputExecutor(provider=LocalProvider(), max_workers=1),
}


@pytest.fixture(params=EXECUTORS)
def executor(request):
    return EXECUTORS[request.param]()


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def worker(home, monkeypatch):
    """A run with one worker process."""
    monkeypatch.setenv("BEFORE", "1")
    with cnflow.load(Config(executors=[EXECUTORS["processes"]()])) as dfk:
        yield dfk


@python_app
def place():
    import os

    mask = os.umask(0)
    os.umask(mask)
    return os.path.realpath("."), mask, {name: os.environ.get(name) for name in ("BEFORE", "ADDED", "PATH")}


@bash_app
def write(text, outputs=(), stdout=None):
    return f"echo {text} > {outputs[0]}; echo said {text}"


@python_app
def read(file):
    import pathlib

    return pathlib.Path(file).read_text().strip()


def goes_away():
    import os

    os.chdir("/")


def stays_in_a_removed_folder():
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)


def changes_variables():
    import os

    os.environ.update(BEFORE="2", ADDED="3")
    del os.environ["PATH"]


def replaces_all_variables():
    import os

    os.environ = {"BEFORE": "2"}  # noqa: B003 - the fault that is tested


def changes_the_umask():
    import os

    os.umask(0o777)


def fails_elsewhere():
    import os

    os.chdir("/")
    os.environ.clear()
    raise ValueError("elsewhere")


CHANGES = [
    goes_away,
    stays_in_a_removed_folder,
    changes_variables,
    replaces_all_variables,
    changes_the_umask,
    fails_elsewhere,
]


def test_task_begins_where_the_worker_began_whatever_tasks_before_it_have_changed(worker, home):
    before = place().result(30)
    assert before[0] == str(home)
    for number, change in enumerate(CHANGES):
        python_app(change)().exception(30)
        assert place().result(30) == before, change.__name__
        python_app(change)().exception(30)
        made = write("x", outputs=[f"made-{number}.txt"])
        assert made.result(30) == 0
        assert (home / f"made-{number}.txt").read_text() == "x\n"
        assert oct((home / f"made-{number}.txt").stat().st_mode & 0o777) == oct(0o666 & ~before[1])


def test_task_of_a_removed_folder_is_in_no_other_one(home, tmp_path):
    home.rmdir()
    config = Config(executors=[EXECUTORS["processes"]()], run_dir=str(tmp_path / "runinfo"))
    with cnflow.load(config):
        python_app(goes_away)().result(30)
        assert isinstance(place().exception(30), FileNotFoundError)


def test_worker_that_starts_later_starts_where_the_run_was_loaded(home, tmp_path):
    executor = HighThroughputExecutor(provider=LocalProvider(init_blocks=0), max_workers=1)
    with cnflow.load(Config(executors=[executor])):
        os.chdir(tmp_path)
        assert place().result(30)[0] == str(home)


def test_relative_paths_mean_the_folder_at_the_call(home, tmp_path, executor):
    gate = cnflow.python_app(lambda: __import__("time").sleep(0.3))
    with cnflow.load(Config(executors=[executor])):
        later = tmp_path / "later"
        later.mkdir()
        os.chdir(later)
        hold = gate()
        made = write("there", outputs=["made.txt"], stdout="log/said.txt")
        pair = write("two", outputs=[Path("two.txt")], stdout=("log/two.txt", "w"))
        os.chdir(tmp_path)
        text = read(made.outputs[0])
        again = read(made.outputs[0].file_obj)
        assert hold.result(30) is None
        assert (made.result(30), pair.result(30)) == (0, 0)
        assert (text.result(30), again.exception(30)) == ("there", None)
    assert made.outputs[0].filepath == str(later / "made.txt")
    assert made.outputs[0].file_obj == File("made.txt"), "the file is the one that the call names"
    assert made.stdout == "log/said.txt"
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.txt")} == {
        "later/made.txt",
        "later/two.txt",
        "later/log/said.txt",
        "later/log/two.txt",
    }
    assert (later / "log/said.txt").read_text() == "said there\n"


def test_sandbox_takes_and_gives_relative_files_of_the_folder_at_the_call(home, tmp_path, executor):
    @bash_app
    def double(inputs=(), outputs=()):
        return f"cat {inputs[0]} {inputs[0]} > {outputs[0]}; cat {inputs[0]} > plain.txt"

    with cnflow.load(Config(executors=[executor])):
        os.chdir(tmp_path)
        Path("in").mkdir()
        Path("in/a.txt").write_text("a\n")
        made = double(inputs=[File("in/a.txt")], outputs=[File("out/b.txt"), "plain.txt"], sandbox=True)
        os.chdir("in")
        above = double(inputs=[File("../in/a.txt")], outputs=["above.txt", "plain.txt"], sandbox=True)
        again = double(inputs=[made.outputs[0]], outputs=["c.txt", "plain.txt"], sandbox=True)
        os.chdir(home)
        assert (made.result(30), again.result(30), above.result(30)) == (0, 0, 0)
    assert (tmp_path / "out/b.txt").read_text() == "a\n" * 2
    assert (tmp_path / "plain.txt").read_text() == "a\n"
    assert (tmp_path / "in/c.txt").read_text() == "a\n" * 4
    assert (tmp_path / "in/above.txt").read_text() == "a\n" * 2
    assert sorted(path.name for path in home.iterdir()) == ["runinfo"]


def test_output_that_is_missing_at_the_call_is_missing_though_it_is_elsewhere(home, tmp_path, executor):
    (home / "made.txt").write_text("of another folder")
    with cnflow.load(Config(executors=[executor])):
        os.chdir(tmp_path)
        error = bash_app(lambda outputs=(): "true")(outputs=["made.txt"]).exception(30)
    assert str(tmp_path / "made.txt") in str(error)


def test_name_of_a_log_file_is_that_of_the_run_in_any_folder(home, tmp_path, executor):
    with cnflow.load(Config(executors=[executor])) as dfk:
        os.chdir(tmp_path)
        said = write("x", outputs=["x"], stdout=AUTO_LOGNAME)
        assert said.result(30) == 0
        assert Path(said.stdout).read_text() == "said x\n"
        assert Path(said.stdout).is_relative_to(dfk.run_dir)
