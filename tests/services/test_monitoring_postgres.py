"""Monitoring in a real PostgreSQL, which is killed, and comes back."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine, insert, select, text

from benchmarks.monitoring_data import make_database
from cnflow.monitoring.queries.filters import parse_filter
from cnflow.monitoring.queries.reader import Reader
from cnflow.monitoring.store import schema
from cnflow.monitoring.store.database import parse_url, prepare
from tests.integration.monitoring_scene import Run, wait_for
from tests.services.postgres_server import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server():
    # Not below pytest's own folder, which each pytest closes to other users as it begins.
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop()


def query_of(server):
    def query(sql):
        engine = create_engine(parse_url(server.url))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(sql))]
        finally:
            engine.dispose()

    return query


def test_database_that_goes_away_and_comes_back_has_every_row_once(server, tmp_path):
    run = Run(tmp_path / "000", logging_endpoint=server.url)
    query = query_of(server)
    run.some_tasks()
    wait_for(lambda: query("SELECT count(*) FROM task") != [(0,)])
    server.kill()
    run.some_tasks()
    server.start()
    run.some_tasks()
    run.end()
    assert run.is_complete(query)
    assert "s3cret" not in (tmp_path / "000/monitoring.log").read_text()


def test_hostile_texts_are_kept(server, tmp_path):
    run = Run(tmp_path / "001", logging_endpoint=server.url)
    name = "<script>\0'; DROP TABLE task; --\ud800%s\\"
    from cnflow.model.events import SubmittedEvent

    run.sink.write([SubmittedEvent(time=run.began, task=10**6, app=name, executor='"', arguments="{}")])
    run.end()
    [(app,)] = query_of(server)("SELECT task_func_name FROM task WHERE task_id = 1000000")
    assert app == "<script>\ufffd'; DROP TABLE task; --?%s\\"


QUESTIONS = {
    "runs": lambda reader: reader.runs(text="VARI"),
    "run": lambda reader: reader.run("run-asked"),
    "has_folder": lambda reader: reader.has_folder(reader.run("run-asked")),
    "apps": lambda reader: [(each.app, each.states) for each in reader.apps("run-asked")],  # seconds are rounded
    "states": lambda reader: reader.states("run-asked"),
    "steps": lambda reader: reader.steps("run-asked"),
    "steps of an app": lambda reader: reader.steps("run-asked", points=20, app="align"),
    "tasks": lambda reader: reader.tasks("run-asked", where=parse_filter({}), limit=20, after=50),
    "tasks before": lambda reader: reader.tasks("run-asked", where=parse_filter({"state": "done"}), before=200),
    "tasks with a text": lambda reader: reader.tasks("run-asked", where=parse_filter({"text": "SAMPLE-00001"})),
    "tasks of one cause": lambda reader: reader.tasks(
        "run-asked", where=parse_filter({"error_group": reader.errors("run-asked")[0].id, "host": "node-003"})
    ),
    "task": lambda reader: [reader.task("run-asked", number) for number in range(0, 300, 50)],
    "samples": lambda reader: [reader.samples("run-asked", number) for number in range(300)],
    "node_samples": lambda reader: reader.node_samples("run-asked", "m003", points=20),
    "blocks": lambda reader: reader.blocks("run-asked"),
    "nodes": lambda reader: reader.nodes("run-asked"),
    "images": lambda reader: reader.images("run-asked"),
    "files": lambda reader: reader.files("run-asked", text="DATA"),
    "errors": lambda reader: reader.errors("run-asked"),
    "bars": lambda reader: reader.bars("run-asked", limit=50),
    "graph": lambda reader: reader.graph("run-asked", grouping="none"),
    "graph of groups": lambda reader: reader.graph("run-asked", grouping="app and state"),
    "usage": lambda reader: reader.usage("run-asked"),
}


@pytest.fixture(scope="module")
def readers(server, tmp_path_factory):
    """Readers of one run, in SQLite and in PostgreSQL."""
    path = tmp_path_factory.mktemp("asked") / "monitoring.db"
    make_database(path, tasks=300, run="run-asked", folder=path.parent / "000")
    prepare(server.url)
    source, target = create_engine(f"sqlite:///{path}"), create_engine(parse_url(server.url))
    with source.connect() as file, target.begin() as connection:
        for table in schema.metadata.sorted_tables:
            if found := [dict(row) for row in file.execute(select(table)).mappings()]:
                connection.execute(insert(table), found)
    source.dispose()
    target.dispose()
    both = Reader(str(path)), Reader(server.url)
    yield both
    for reader in both:
        reader.close()


@pytest.mark.xdist_group("questions to PostgreSQL")  # one process makes the database
@pytest.mark.parametrize("name", QUESTIONS)
def test_question_of_the_dashboard_has_the_answer_that_sqlite_gives(readers, name):
    in_file, in_server = (msgspec.to_builtins(QUESTIONS[name](reader)) for reader in readers)
    assert in_file
    assert in_server == in_file
