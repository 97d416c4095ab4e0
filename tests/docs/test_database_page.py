"""SQL of the page "Query the database" on a database with a run."""

import re
from pathlib import Path

import pytest

from cnflow.config import Config, MonitoringHub
from cnflow.monitoring.store import schema
from tests.integration.monitoring_scene import Run, query_of

PAGE = (Path(__file__).parents[2] / "docs/how-to/query-the-database.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def query(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    run = Run(folder / "000")
    run.some_tasks()
    run.end()
    return query_of(folder / "monitoring.db")


@pytest.mark.parametrize("sql", re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL))
def test_query_of_the_page_runs(sql, query):
    assert isinstance(query(sql), list)


def test_every_table_is_on_the_page():
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert listed == set(schema.metadata.tables) - {"journal_position"}


@pytest.mark.parametrize("code", re.findall(r"^config = .*$", PAGE, re.MULTILINE))
def test_configuration_of_the_page_is_one(code):
    names = {"Config": Config, "MonitoringHub": MonitoringHub}
    exec(code, names)
    assert names["config"].monitoring is not None
