"""The journal of monitoring and its writer, a real process, on SQLite; with kills."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from cnflow.config import MonitoringHub
from cnflow.errors import ConfigurationError
from cnflow.monitoring.sinks.database import DatabaseSink, WriterProcess
from cnflow.monitoring.store.endpoint import SCHEMA
from tests.integration.monitoring_scene import Run, query_of, wait_for

pytestmark = pytest.mark.timeout(180)


def test_killed_writer_loses_and_doubles_nothing(tmp_path):
    run = Run(tmp_path / "000")
    query = query_of(tmp_path / "monitoring.db")
    run.some_tasks()
    wait_for((tmp_path / "monitoring.db").exists)
    os.kill(run.sink.writer.pid, signal.SIGKILL)
    run.some_tasks()
    run.end()
    assert run.is_complete(query)
    assert not (tmp_path / "000/monitoring.journal").exists()


def test_writer_that_is_killed_after_the_last_event_leaves_an_ended_run(tmp_path):
    run = Run(tmp_path / "000")
    query = query_of(tmp_path / "monitoring.db")
    run.some_tasks()
    holder = (tmp_path / "000/monitoring.journal").open("rb")
    run.end()
    (tmp_path / "000/monitoring.journal").write_bytes(holder.read())  # as if it was killed before it removed that
    holder.close()
    writer = WriterProcess(tmp_path / "000", f"sqlite:///{tmp_path}/monitoring.db", is_debugging=False)
    started = time.monotonic()
    writer.wait(started + 60)
    assert time.monotonic() < started + 50  # it does not wait for the end of this process
    assert run.is_complete(query)


def test_reader_that_holds_the_database_and_one_that_locks_it_stop_nothing(tmp_path):
    run = Run(tmp_path / "000")
    wait_for((tmp_path / "monitoring.db").exists)
    query = query_of(tmp_path / "monitoring.db")
    wait_for(lambda: query("SELECT count(*) FROM sqlite_master WHERE name = 'workflow'") == [(1,)])
    holder = sqlite3.connect(tmp_path / "monitoring.db", isolation_level=None, timeout=60)
    holder.execute("BEGIN EXCLUSIVE")
    run.some_tasks()
    holder.execute("ROLLBACK")
    holder.execute("BEGIN")
    holder.execute("SELECT count(*) FROM task").fetchall()
    run.end()
    holder.close()
    assert run.is_complete(query)


def test_database_that_a_reader_has_open_can_be_copied_after_the_run(tmp_path):
    run = Run(tmp_path / "000")
    wait_for((tmp_path / "monitoring.db").exists)
    query = query_of(tmp_path / "monitoring.db")
    wait_for(lambda: query("SELECT count(*) FROM sqlite_master WHERE name = 'workflow'") == [(1,)])
    reader = sqlite3.connect(f"file:{tmp_path}/monitoring.db?mode=ro", uri=True)
    reader.execute("SELECT count(*) FROM task").fetchall()
    run.some_tasks()
    run.end()
    shutil.copy(tmp_path / "monitoring.db", tmp_path / "copy.db")
    reader.close()
    assert run.is_complete(query_of(tmp_path / "copy.db"))


def test_database_that_is_deleted_is_written_anew(tmp_path):
    run = Run(tmp_path / "000")
    query = query_of(tmp_path / "monitoring.db")
    run.some_tasks()
    wait_for((tmp_path / "monitoring.db").exists)
    wait_for(lambda: query("SELECT name FROM sqlite_master WHERE name = 'workflow'"))
    for each in tmp_path.glob("monitoring.db*"):
        each.unlink()
    run.some_tasks()
    run.end()
    assert run.is_complete(query)


def test_run_of_a_driver_that_vanishes_is_crashed_and_complete(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from tests.integration.monitoring_scene import Run
        run = Run(Path(sys.argv[1]))
        run.some_tasks()
        os.kill(os.getpid(), 9)
    """
    command = [sys.executable, "-c", dedent(script), str(tmp_path / "000"), str(Path.cwd())]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    wait_for(lambda: not (tmp_path / "000/monitoring.journal").exists())
    query = query_of(tmp_path / "monitoring.db")
    assert query("SELECT state, tasks_completed_count FROM workflow") == [("crashed", 100)]


@pytest.mark.parametrize("is_left", [False, True])
def test_run_that_another_driver_takes_over_has_the_tasks_of_both(tmp_path, is_left):
    script = """
        import os, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from tests.integration.monitoring_scene import Run
        run = Run(Path(sys.argv[1]))
        if sys.argv[3] == "True":
            run.sink.writer._process.kill()
            run.sink.writer.keep_alive = lambda: None
        for _ in range(3):
            run.some_tasks(1000)
        os.kill(os.getpid(), 9)
    """
    folder = tmp_path / "000"
    command = [sys.executable, "-c", dedent(script), str(folder), str(Path.cwd()), str(is_left)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    if not is_left:
        wait_for(lambda: not (folder / "monitoring.journal").exists())
    run = Run(folder, tasks=3000)
    assert (folder / "monitoring.journal.1").exists() is is_left
    run.some_tasks()
    wait_for(lambda: not is_left or not (folder / "monitoring.journal").exists())
    run.some_tasks()
    run.end()
    query = query_of(tmp_path / "monitoring.db")
    assert run.is_complete(query)
    assert query("SELECT count(*) FROM event") == [(3,)]
    assert not list(folder.glob("monitoring.journal*"))


def test_disk_that_is_full_at_the_beginning_costs_no_state(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    run = Run(tmp_path / "000")
    run.some_tasks()
    assert run.sink.writer.pid is None
    monkeypatch.setattr(os, "pwrite", real)
    run.some_tasks()
    run.end()
    assert run.is_complete(query_of(tmp_path / "monitoring.db"))


def test_peak_of_a_try_is_the_highest_of_all_transactions(tmp_path):
    from cnflow.model.events import ResourceSample
    from cnflow.monitoring.store import database
    from cnflow.monitoring.store.memory import Memory
    from cnflow.monitoring.store.rows import RowMaker

    url = f"sqlite:///{tmp_path}/m.db"
    database.prepare(url)
    store = database.Store(url, "run")
    for position, gpu in enumerate((None, 5, 9, 2)):
        maker = RowMaker(Memory())
        if gpu is None:
            maker.changes.put("try", (7, 0), {"task_executor": "e"})
        else:
            place = {"executor": "e", "block": "0", "manager": "m", "worker": 0}
            maker.take(position, [ResourceSample(time=1.0 + position, task=7, gpu_bytes=gpu, **place)])
        store.write(maker.finish(), position, Memory())
    store.close()
    assert query_of(tmp_path / "m.db")('SELECT gpu_peak_bytes FROM "try"') == [(9,)]


def test_journal_that_was_left_behind_is_written_by_a_command(tmp_path):
    run = Run(tmp_path / "000")
    run.some_tasks()
    wait_for((tmp_path / "monitoring.db").exists)
    os.kill(run.sink.writer.pid, signal.SIGKILL)
    run.sink.writer._process.wait()
    url = f"sqlite:///{tmp_path}/monitoring.db"
    command = [sys.executable, "-m", "cnflow.monitoring.store.writer", str(tmp_path / "000"), url]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    run.sink._journal.close()
    query = query_of(tmp_path / "monitoring.db")
    assert query("SELECT state, tasks_completed_count FROM workflow") == [("crashed", 100)]
    assert not (tmp_path / "000/monitoring.journal").exists()


def test_two_runs_at_once_share_a_database(tmp_path):
    runs = [Run(tmp_path / "000"), Run(tmp_path / "001")]
    for run in runs:
        run.some_tasks()
    for run in runs:
        run.end()
    assert all(run.is_complete(query_of(tmp_path / "monitoring.db")) for run in runs)


def schema_of(path, revision):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.close()


def of_parsl(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE workflow (run_id TEXT)")
    connection.close()


BAD = {
    "of a newer schema": (lambda path: schema_of(path, "9999"), "has the schema '9999'"),
    "of another program": (of_parsl, "tables of another program"),
    "no database": (lambda path: path.write_text("a letter to Ann, in some words" * 100), "not a database"),
    "a folder": (lambda path: path.mkdir(), "it is no file"),
}


@pytest.mark.parametrize("case", BAD)
def test_database_that_cannot_be_used_is_refused_before_the_run(case, tmp_path):
    make, message = BAD[case]
    make(tmp_path / "m.db")
    with pytest.raises(ConfigurationError, match=message):
        DatabaseSink(MonitoringHub(logging_endpoint=f"sqlite:///{tmp_path}/m.db"), tmp_path / "000")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////no/such/folder/m.db", "there is no folder"),
        ("mysql://ann:secret@host/db", "writes SQLite and PostgreSQL"),
        ("sqlite:///$NO_SUCH_VARIABLE/m.db", "NO_SUCH_VARIABLE"),
    ],
)
def test_endpoint_that_cannot_be_used_is_refused_without_its_password(url, message, tmp_path):
    with pytest.raises(ConfigurationError, match=message) as refused:
        DatabaseSink(MonitoringHub(logging_endpoint=url), tmp_path / "000")
    assert "secret" not in str(refused.value)


def test_schema_that_the_driver_checks_is_the_last_revision():
    from cnflow.monitoring.store.migrate import head

    assert head() == SCHEMA


def test_migrated_tables_are_those_of_the_schema(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from cnflow.monitoring.store import database, schema

    url = f"sqlite:///{tmp_path}/m.db"
    database.prepare(url)
    database.prepare(url)
    engine = database.open_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_database_of_the_first_schema_keeps_its_rows_and_can_be_asked_for_models(tmp_path):
    from alembic import command

    from cnflow.model import events as ev
    from cnflow.monitoring.queries.reader import Reader
    from cnflow.monitoring.store import database, migrate
    from cnflow.monitoring.store.memory import Memory
    from cnflow.monitoring.store.rows import RowMaker

    def write(*events):
        maker = RowMaker(Memory())
        maker.take(1, list(events))
        store = database.Store(url, "old")
        store.write(maker.finish(), 1, Memory())
        store.close()

    url = f"sqlite:///{tmp_path}/m.db"
    engine, config = database.open_engine(url), migrate._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    write(ev.RunEvent(time=1.0, run="old", state="running"), ev.SubmittedEvent(time=2.0, task=0, app="f", executor="e"))
    with pytest.raises(ConfigurationError, match=r"another schema \(version 0001\).*brings an older one of cnflow up"):
        Reader(url)
    database.prepare(url)
    write(ev.ModelFigures(time=3.0, model="m", version="1", interval=5.0, requests=2, state="ready"))
    reader = Reader(url)
    assert [each.id for each in reader.runs()] == ["old"]
    assert [each.app for each in reader.apps("old")] == ["f"]
    assert [(each.version, each.requests) for each in reader.models("old")] == [("1", 2)]
    assert [each.requests for each in reader.model_steps("old")][:1] == [2]
