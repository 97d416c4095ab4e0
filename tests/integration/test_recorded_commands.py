"""`cnflow top`, `tasks`, `task` and `report` on a run in a database."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from benchmarks.monitoring_data import make_database
from cnflow.cli.app import app
from cnflow.cli.runs.lookup import find_run
from cnflow.errors import ConfigurationError


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Database of one run of 500 tasks, in a folder of runs."""
    folder = tmp_path_factory.mktemp("runs")
    make_database(folder / "monitoring.db", tasks=500, folder=folder / "000")
    (folder / "000").mkdir()
    return folder / "monitoring.db"


def command(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def json_of(*arguments):
    done = command(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_run_is_found_by_folder_number_of_runs_and_database(database, monkeypatch):
    for name in (database.parent, database.parent / "000", database):
        found = find_run(str(name))
        assert (found.id, found.is_live) == ("run-1", False)
    assert find_run("run-1", str(database)).id == "run-1"
    monkeypatch.chdir(database.parent.parent)
    (database.parent.parent / "runinfo").symlink_to(database.parent)
    assert find_run("000").id == "run-1"
    assert find_run("run-1").id == "run-1"


def test_run_that_is_not_there_is_refused(database, tmp_path):
    with pytest.raises(ConfigurationError):
        find_run("no-such-run", str(database))
    with pytest.raises(ConfigurationError, match="There is no run"):
        find_run(str(tmp_path / "nowhere"))


def test_file_that_is_no_database_is_refused(tmp_path):
    file = tmp_path / "monitoring.db"
    file.write_text("hello" * 1000)
    with pytest.raises(ConfigurationError):
        find_run(str(file))
    (tmp_path / "000").mkdir()
    with pytest.raises(ConfigurationError):
        find_run(str(tmp_path))


def test_database_of_another_program_is_refused(tmp_path):
    file = tmp_path / "monitoring.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE workflow (run_id TEXT)")
    with pytest.raises(ConfigurationError):
        find_run("", str(file))


def test_tasks_are_paged_and_filtered(database):
    first = json_of("tasks", "--run", database, "--limit", 3)
    second = json_of("tasks", "--run", database, "--limit", 3, "--after", first["next"])
    assert [task["id"] for task in first["tasks"] + second["tasks"]] == [0, 1, 2, 3, 4, 5]
    done = json_of("tasks", "--run", database, "--state", "done,cancelled", "--app", "train")["tasks"]
    assert {task["app"] for task in done} == {"train"}
    assert "failed" not in {task["state"] for task in done}
    assert command("tasks", "--run", database, "--app", "none").output == "No task matches.\n"


def test_top_and_tasks_agree_on_states(database):
    states = json_of("top", "--run", database)["states"]
    assert sum(states.values()) == 500
    failed = json_of("tasks", "--run", database, "--state", "failed")["tasks"]
    assert len(failed) == states["failed"]


def test_task_has_tries_and_the_error_of_a_failed_one(database):
    failed = json_of("tasks", "--run", database, "--state", "failed", "--limit", 1)["tasks"][0]
    detail = json_of("task", failed["id"], "--run", database)
    assert detail["tries"][-1]["error_type"]
    text = command("task", failed["id"], "--run", database).output
    assert detail["tries"][-1]["error_type"] in text
    assert "timeline" in text
    assert command("task", 99_999, "--run", database).exit_code != 0


def test_report_is_written_and_has_the_run(database, tmp_path):
    file = tmp_path / "report.html"
    assert command("report", database, "-o", file).output.strip() == str(file)
    text = file.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert command("report", database, "-o", tmp_path).exit_code != 0
    assert json_of("report", database)["run"]["id"] == "run-1"
