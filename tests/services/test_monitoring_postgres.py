"""Monitoring in a real PostgreSQL, which is killed, and comes back."""

import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from cnflow.monitoring.store.database import parse_url
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
