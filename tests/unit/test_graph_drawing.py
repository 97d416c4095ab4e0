import threading
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

import cnflow
from cnflow import graph_drawing
from cnflow.config import MonitoringHub
from cnflow.errors import NoDataFlowKernelError, UnknownNameError
from cnflow.graph_drawing import LIMIT, graph_of
from cnflow.monitoring.queries import reader
from cnflow.monitoring.queries.views import Graph, GraphNode

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load(cnflow.Config(garbage_collect=False)) as dfk:
        yield dfk


@cnflow.python_app
def doubled(x):
    return 2 * x


@cnflow.python_app
def added(*numbers):
    return sum(numbers)


def texts(svg, tag):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}{tag}")]


def test_each_task_is_a_node_and_each_dependency_an_edge(run):
    total = added(*(doubled(n) for n in range(3)))
    assert total.result() == 6
    run.wait_for_current_tasks()
    drawing = cnflow.graph()
    assert repr(drawing) == "<GraphDrawing: 4 nodes, 3 edges>"
    assert texts(drawing.svg, "text") == ["doubled 0", "doubled 1", "doubled 2", "added 3"]
    assert texts(drawing.svg, "title").count("1 dependency") == 3
    assert "added 3: 1 done" in texts(drawing.svg, "title")


def test_groups_count_tasks_and_dependencies(run):
    added(*(doubled(n) for n in range(3)), doubled("x"), doubled(None)).exception()
    run.wait_for_current_tasks()
    by_app = cnflow.graph(grouping="app")
    assert texts(by_app.svg, "text") == ["doubled x 5", "added x 1"]
    assert "5 dependencies" in texts(by_app.svg, "title")
    by_state = cnflow.graph(grouping="app and state")
    assert texts(by_state.svg, "text") == ["doubled: done x 4", "doubled: failed x 1", "added: dependency fa… x 1"]


def test_chain_within_one_app_is_an_edge_to_itself(run):
    doubled(doubled(doubled(1))).result()
    assert "2 dependencies" in texts(cnflow.graph(grouping="app").svg, "title")


def test_many_tasks_are_drawn_by_app(run):
    for number in range(LIMIT + 1):
        doubled(number)
    run.wait_for_current_tasks()
    assert repr(cnflow.graph()) == "<GraphDrawing: 1 nodes, 0 edges, by app>"


def test_names_are_escaped(run):
    def hostile():
        return 1

    hostile.__name__ = "<script>"
    cnflow.python_app(hostile)().result()
    shown = cnflow.graph()._repr_html_()
    assert "&lt;script&gt; 0" in shown
    assert "<script>" not in shown


def test_drawing_is_saved(run, tmp_path):
    doubled(1).result()
    cnflow.graph().save(tmp_path / "graph.svg")
    assert ET.parse(tmp_path / "graph.svg").getroot().tag == f"{SVG}svg"


def test_remark_tells_of_tasks_that_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load() as run:
        go_on = threading.Event()
        doubled(1).result()
        waiting = cnflow.python_app(go_on.wait)(60)
        shown = cnflow.graph()._repr_html_()
        go_on.set()
        waiting.result()
        assert run.task_count == 2
    assert "1 of 2 tasks are missing" in shown
    assert ">wait 1<" in shown


def test_empty_run_has_an_empty_drawing(run):
    assert graph_of([]).nodes == []
    assert texts(cnflow.graph().svg, "text") == []


def test_grouping_that_is_none_is_refused(run):
    with pytest.raises(UnknownNameError, match="Did you mean 'app'"):
        cnflow.graph(grouping="apps")


def test_graph_needs_a_run():
    with pytest.raises(NoDataFlowKernelError):
        cnflow.graph()


def test_finished_tasks_are_drawn_from_the_database(run, monkeypatch):
    asked = []

    class Recorded:
        def __init__(self, url):
            asked.append(url)

        def run(self, run_id):
            return SimpleNamespace(done=len(asked) // 2, failed=0, cancelled=0)

        def graph(self, run_id, *, grouping, limit):
            asked.append((run_id, grouping))
            return Graph(nodes=[GraphNode(**DONE)], edges=[], grouping=grouping, is_cut=False)

        def close(self):
            asked.append("closed")

    monkeypatch.setattr(reader, "Reader", Recorded)
    monkeypatch.setattr(type(run), "task_count", 1)
    run.config.monitoring = MonitoringHub(logging_endpoint="sqlite:////runs/all.db")
    assert texts(cnflow.graph().svg, "title") == ["fit 0: 1 done"]
    url = "sqlite:////runs/all.db"
    assert asked == [url, "closed", url, (run.run_id, "none"), "closed"]  # it has the task at the second look
    run.config.monitoring = None


def test_run_that_is_not_in_its_database_yet_is_drawn_without_its_finished_tasks(run, monkeypatch, tmp_path):
    monkeypatch.setattr(type(run), "task_count", 3)
    monkeypatch.setattr(graph_drawing, "PATIENCE", 0.0)
    run.config.monitoring = MonitoringHub(logging_endpoint=f"sqlite:///{tmp_path}/all.db")
    shown = cnflow.graph()._repr_html_()
    assert "3 of 3 tasks are missing, which the database of monitoring does not have yet" in shown
    run.config.monitoring = None


DONE = {"id": "0", "label": "fit 0", "app": "fit", "states": {"done": 1}, "task": 0}
