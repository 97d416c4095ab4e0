import itertools
import sqlite3
import time

import pytest

from benchmarks.monitoring_data import APPS, create_tables, make_database
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.monitoring.queries import places, views
from cnflow.monitoring.queries import tasks as task_queries
from cnflow.monitoring.queries.answers import Answers
from cnflow.monitoring.queries.filters import TaskFilter, parse_filter, words_of
from cnflow.monitoring.queries.reader import Reader
from cnflow.monitoring.queries.workers import merge_bars

TASKS = 600


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("monitoring") / "monitoring.db"
    make_database(path, tasks=TASKS, run="run-1", folder=path.parent / "000")
    make_database(path, tasks=40, run="run-2", is_live=True, folder=path.parent / "001", seed=1)
    return path


@pytest.fixture(scope="module")
def reader(database):
    made = Reader(str(database))
    yield made
    made.close()


def rows(database, statement):
    connection = sqlite3.connect(database)
    found = connection.execute(statement).fetchall()
    connection.close()
    return found


def test_runs_are_listed_from_the_newest(reader):
    assert [run.id for run in reader.runs()] == ["run-2", "run-1"]
    assert [run.id for run in reader.runs(state="running")] == ["run-2"]
    assert [run.id for run in reader.runs(before="run-2")] == ["run-1"]
    assert [run.id for run in reader.runs(text="VARI", limit=1)] == ["run-2"]
    assert not reader.runs(text="%")


@pytest.mark.parametrize(("name", "run"), [("run-1", "run-1"), ("000", "run-1"), ("001", "run-2"), ("", "run-2")])
def test_a_run_is_found_by_its_id_its_number_or_as_the_newest(reader, name, run):
    assert reader.run(name).id == run


def test_a_run_is_found_by_its_folder(reader, database):
    assert reader.run(str(database.parent / "000")).id == "run-1"


def test_a_run_that_is_not_there_names_the_nearest(reader):
    with pytest.raises(ConfigurationError, match=r"no run 'run-11'\. Did you mean 'run-1'"):
        reader.run("run-11")


def test_states_are_counted_as_the_rows_are(reader, database):
    counted = dict(rows(database, "SELECT task_state, count(*) FROM task WHERE run_id = 'run-1' GROUP BY 1"))
    assert reader.states("run-1") == counted
    assert sum(counted.values()) == TASKS


def test_apps_have_the_same_counts_from_the_seconds_as_from_the_tasks(reader, monkeypatch):
    exact = reader.apps("run-1")
    assert [app.app for app in exact] == sorted(APPS[:5] + APPS[5:])
    monkeypatch.setattr("cnflow.monitoring.queries.runs._FEW_TASKS", 0)
    fresh = Reader(reader.name)
    assert fresh.apps("run-1") == exact
    fresh.close()


def test_steps_add_up_to_the_run(reader):
    steps = reader.steps("run-1", points=20)
    assert len(steps) <= 20
    run = reader.run("run-1")
    assert sum(step.submitted for step in steps) == TASKS
    assert sum(step.done for step in steps) == run.done
    assert len({round(b.time - a.time) for a, b in itertools.pairwise(steps)}) == 1
    assert sum(step.done for step in reader.steps("run-1", app="align")) < run.done


def walk(reader, where, limit):
    after, found = None, []
    while True:
        page = reader.tasks("run-1", where=where, limit=limit, after=after)
        found += [task.id for task in page.tasks]
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        ({}, "1"),
        ({"state": "failed"}, "task_state = 'failed'"),
        ({"state": "failed,cancelled"}, "task_state IN ('failed', 'cancelled')"),
        ({"app": "<script>alert(1)</script>"}, "task_func_name LIKE '<script>%'"),
        ({"host": "node-003", "state": "ended"}, "task_hostname = 'node-003'"),
        ({"text": "SAMPLE-00000"}, "task_arguments LIKE '%sample-00000%'"),
        ({"text": "100%"}, "0"),
        ({"executor": "cluster", "error_group": "ValueError-1"}, "task_error_group = 'ValueError-1'"),
    ],
)
def test_pages_of_a_filter_hold_its_tasks_once_each(reader, database, words, condition):
    expected = [
        each
        for (each,) in rows(database, f"SELECT task_id FROM task WHERE run_id = 'run-1' AND {condition} ORDER BY 1")
    ]
    assert walk(reader, parse_filter(words), 70) == expected


def test_pages_lead_back_the_way_they_came(reader):
    where = TaskFilter()
    second = reader.tasks("run-1", where=where, limit=50, after=49)
    assert [second.tasks[0].id, second.tasks[-1].id, second.next, second.previous] == [50, 99, 99, 50]
    first = reader.tasks("run-1", where=where, limit=50, before=second.previous)
    assert [first.tasks[0].id, first.tasks[-1].id, first.previous] == [0, 49, None]
    last = reader.tasks("run-1", where=where, limit=50, before=10**9)
    assert [last.tasks[-1].id, last.next] == [TASKS - 1, None]


def test_a_search_that_takes_too_long_is_gone_on_with(reader, monkeypatch):
    monkeypatch.setattr(task_queries, "_PATIENCE", 0.0)
    monkeypatch.setattr(task_queries, "_FIRST_WINDOW", 50)
    monkeypatch.setattr(task_queries, "_LARGEST_WINDOW", 50)
    page = reader.tasks("run-1", where=TaskFilter(text="sample-0000333"), limit=10)
    assert (page.tasks, page.next) == ([], 49)
    assert walk(reader, TaskFilter(text="sample-0000333"), 10) == [333]


def test_a_filter_survives_its_words():
    where = parse_filter({"state": "unfinished,done", "app": " train ", "page": "7"})
    assert where.states == ("waiting", "launched", "staging_in", "running", "staging_out", "done")
    assert parse_filter(words_of(where)) == where


def test_a_state_that_is_none_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'failed'"):
        parse_filter({"state": "faild"})


def test_a_task_has_its_tries_statuses_files_and_neighbours(reader):
    detail = reader.task("run-1", 102)
    assert detail.depends == [97]
    assert detail.needed_by == [107]
    assert [each.state for each in detail.statuses][:3] == ["pending", "launched", "running"]
    assert detail.tries[0].manager == "m006"
    assert detail.resources == {"cores": 1.0, "memory": 2 * 1024**3}
    assert reader.task("run-1", 100).files[0].url.endswith("sample-0000100.bam")
    assert [sample.number for sample in reader.samples("run-1", 100)] == [0] * 5
    assert len(reader.samples("run-1", 100, points=2)) <= 3


def test_states_of_one_moment_are_in_their_order(tmp_path):
    make_database(tmp_path / "m.db", tasks=3, run="run-1", folder=tmp_path / "000")
    with sqlite3.connect(tmp_path / "m.db") as connection:
        connection.execute("UPDATE status SET timestamp = '2026-01-01 00:00:00.000000'")
    connection.close()
    reader = Reader(str(tmp_path / "m.db"))
    states = [each.state for each in reader.task("run-1", 0).statuses]
    reader.close()
    assert states[:3] == ["pending", "launched", "running"]


def test_a_task_that_is_not_there_names_the_last(reader):
    with pytest.raises(ConfigurationError, match=f"no task {TASKS}: its last is {TASKS - 1}"):
        reader.task("run-1", TASKS)


def test_blocks_and_nodes_share_the_tasks(reader):
    run = reader.run("run-1")
    ended = run.done + run.failed + run.cancelled
    assert sum(node.tasks for node in reader.nodes("run-1")) == ended
    blocks = reader.blocks("run-1")
    assert sum(block.tasks for block in blocks) == ended
    assert all(block.busy_seconds < block.worker_seconds for block in blocks)
    assert {(block.provider, block.state, block.native[:2]) for block in blocks} == {("slurm", "ended", "47")}
    assert all(node.is_up for node in reader.nodes("run-2"))
    assert len(reader.node_samples("run-1", "m003")) == 60


def test_workers_of_tries_that_go_on_are_busy_while_their_run_goes_on(tmp_path):
    path = tmp_path / "m.db"
    make_database(path, tasks=40, run="live", is_live=True, folder=tmp_path / "000")
    connection = sqlite3.connect(path)
    task, manager, before = connection.execute(
        "SELECT task_id, node.id, busy_seconds FROM try JOIN node ON node.id = manager_id LIMIT 1"
    ).fetchone()
    connection.execute("UPDATE task SET task_state = 'done'")
    connection.execute("UPDATE task SET task_state = 'running' WHERE task_id = ?", (task,))
    connection.execute("DELETE FROM try WHERE task_id = ?", (task,))
    connection.execute(
        "INSERT INTO try (run_id, task_id, try_id, task_executor, manager_id, task_try_time_running)"
        " VALUES ('live', ?, 0, 'htex', ?, datetime('now', '-100 seconds'))",
        (task, manager),
    )
    connection.commit()
    reader = Reader(str(path))
    try:
        [live] = [node for node in reader.nodes("live") if node.manager == manager]
        assert 99 < live.busy_seconds - before < 130
        connection.execute("UPDATE workflow SET state = 'ended'")
        connection.commit()
        [ended] = [node for node in reader.nodes("live") if node.manager == manager]
        assert ended.busy_seconds == before
    finally:
        reader.close()
        connection.close()


@pytest.mark.parametrize(
    ("status", "usd", "shown"),
    [("RUNNING", 1e-9, None), ("RUNNING", 1.5, 1.5), ("ENDED", 1e-9, 1e-9), ("LOST", None, None)],
)
def test_cost_of_a_block_that_has_just_begun_is_not_known(status, usd, shown):
    assert places._cost(status, usd) == shown


def test_images_files_and_errors_are_listed(reader, database):
    assert {image.nodes for image in reader.images("run-1")} == {8}
    assert "merge" in reader.images("run-1")[0].apps or "merge" in reader.images("run-1")[1].apps
    assert [file.task for file in reader.files("run-1", after=99, limit=2)] == [100, 200]
    assert len(reader.files("run-1", text="0000300")) == 1
    groups = reader.errors("run-1")
    assert sum(group.count for group in groups) == reader.run("run-1").failed
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)


def test_pages_of_files_leave_none_out(tmp_path):
    make_database(tmp_path / "monitoring.db", tasks=250, run="run-1", folder=tmp_path / "000")
    connection = sqlite3.connect(tmp_path / "monitoring.db")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(file)")]
    chosen = ", ".join("url || '-{0}'" if name == "url" else f'"{name}"' for name in columns)
    for number in range(7):
        connection.execute(f"INSERT INTO file SELECT {chosen.format(number)} FROM file WHERE task_id = 100 LIMIT 1")
    connection.commit()
    known = {row[0] for row in connection.execute("SELECT url FROM file")}
    connection.close()
    reader = Reader(str(tmp_path / "monitoring.db"))
    found, after = [], -1
    while page := reader.files("run-1", limit=3, after=after):
        found += [file.url for file in page]
        after = page[-1].task
    assert len(found) == len(known)
    assert set(found) == known
    reader.close()


def test_a_run_that_crashed_went_on_until_its_last_event(tmp_path):
    make_database(tmp_path / "monitoring.db", tasks=40, run="run-1", is_live=True, folder=tmp_path / "000")
    connection = sqlite3.connect(tmp_path / "monitoring.db")
    for column in ("time_began", "time_updated"):
        connection.execute(f"UPDATE workflow SET state = 'crashed', {column} = datetime({column}, '-7 days')")
    for column in ("task_try_time_running", "task_try_time_returned"):
        connection.execute(f"UPDATE try SET {column} = datetime({column}, '-7 days')")
    connection.execute("UPDATE try SET task_try_time_returned = NULL WHERE task_id = 3")
    connection.commit()
    connection.close()
    reader = Reader(str(tmp_path / "monitoring.db"))
    run = reader.run("run-1")
    assert run.ended is not None
    assert 0 <= run.ended - run.began < 3600
    assert max(bar.end for bar in reader.bars("run-1")) <= run.ended + 60
    reader.close()


def test_the_graph_is_of_tasks_where_they_are_few_and_of_apps_otherwise(reader):
    each = reader.graph("run-1")
    assert (len(each.nodes), each.grouping, each.is_cut) == (TASKS, "none", False)
    assert ("97", "102", 1) in each.edges
    by_app = reader.graph("run-1", limit=100)
    assert by_app.grouping == "app"
    assert sum(count for *_, count in by_app.edges) == len(each.edges)
    by_state = reader.graph("run-1", grouping="app and state")
    assert sum(count for *_, count in by_state.edges) == len(each.edges)
    assert {end for edge in by_state.edges for end in edge[:2]} <= {node.id for node in by_state.nodes}
    with pytest.raises(UnknownNameError, match="grouping"):
        reader.graph("run-1", grouping="apps")


def test_usage_tells_what_was_asked_and_used(reader):
    usage = {each.app: each for each in reader.usage("run-1")}["train"]
    assert usage.asked_cores == 1.0
    assert usage.used_cores == pytest.approx(0.8)
    assert usage.peak_memory_bytes > 200_000_000


def test_the_answer_changes_with_the_database(tmp_path):
    path = tmp_path / "monitoring.db"
    make_database(path, tasks=10)
    reader = Reader(f"sqlite:///{path}")
    before = reader.change()
    assert reader.change() == before
    make_database(path, tasks=5, run="run-2")
    assert reader.change() != before
    assert reader.states("run-2") == {"done": 5}
    reader.close()


def test_a_database_that_is_gone_is_an_error_until_it_is_back(tmp_path):
    path = tmp_path / "monitoring.db"
    make_database(path, tasks=3)
    reader = Reader(str(path))
    for each in tmp_path.glob("monitoring.db*"):
        each.unlink()
    with pytest.raises(ConfigurationError, match="is not there"):
        reader.runs()
    make_database(path, tasks=3, run="another")
    assert [run.id for run in reader.runs()] == ["another"]
    reader.close()


def test_a_database_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE birds (name)")
    connection.close()
    with pytest.raises(ConfigurationError, match="not one of monitoring: it has the tables birds"):
        Reader(str(path))
    (tmp_path / "text.db").write_text("not a database at all, though long enough to be read as one" * 20)
    with pytest.raises(ConfigurationError, match="cannot be read: file is not a database"):
        Reader(str(tmp_path / "text.db"))


def test_a_database_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "monitoring.db"
    create_tables(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE progress")
    connection.close()
    with pytest.raises(ConfigurationError, match="has another schema"):
        Reader(str(path))


@pytest.mark.parametrize("url", ["postgresql://u:secret@host:port/db", "nosuch://u:secret@host/db", "http://x"])
def test_a_url_that_is_none_is_refused_in_words(url):
    with pytest.raises(ConfigurationError, match="none that can be read") as caught:
        Reader(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nowhere.db", "sqlite:////no/such/folder/m.db"])
def test_a_database_that_is_not_there_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"is not there\. A run writes it"):
        Reader(url)


def test_a_password_with_a_slash_is_not_in_the_name_of_a_database():
    with pytest.raises(ConfigurationError) as caught:
        Reader("postgresql://ann:sec/ret@127.0.0.1:1/runs")
    assert "sec/ret" not in str(caught.value)


def test_a_password_is_not_in_the_error_of_a_database_that_does_not_answer():
    with pytest.raises(ConfigurationError) as caught:
        Reader("postgresql://ada:secret@127.0.0.1:1/m")
    assert "secret" not in str(caught.value)


def bar(start, end, worker=0, state="done"):
    return views.Bar(manager="m", host="h", worker=worker, start=start, end=end, task=0, app="a", state=state)


def test_short_bars_are_put_together_and_long_ones_kept():
    short = [bar(n / 10, n / 10 + 0.09, state="failed" if n == 7 else "done") for n in range(100)]
    merged = merge_bars([*short, bar(50, 90), bar(0, 90, worker=1)], 10)
    assert len(merged) <= 10
    assert sum(each.count for each in merged) == 102
    assert {(each.start, each.end) for each in merged} >= {(50, 90), (0, 90)}
    assert any(each.state == "failed" for each in merged)


def test_bars_of_a_run_are_bounded(reader):
    assert len(reader.bars("run-1", limit=200)) <= 200
    run = reader.run("run-1")
    half = reader.bars("run-1", start=run.began, end=run.began + 30)
    assert 0 < len(half) < TASKS


def test_a_long_run_is_judged_by_some_of_its_tasks(database, monkeypatch):
    for module in ("graphs", "workers", "usage_by_app"):
        monkeypatch.setattr(f"cnflow.monitoring.queries.{module}._SAMPLE", TASKS // 2)
    monkeypatch.setattr("cnflow.monitoring.queries.workers._MARGIN", 50)
    reader = Reader(str(database))
    exact = sum(count for *_, count in reader.graph("run-1").edges)
    graph = reader.graph("run-1", grouping="app")
    assert graph.is_estimated
    assert sum(count for *_, count in graph.edges) == pytest.approx(exact, rel=0.2)
    assert {each.app for each in reader.usage("run-1")} >= set(APPS[:5])
    assert len(reader.bars("run-1")) == TASKS // 2
    run = reader.run("run-1")
    late = reader.bars("run-1", start=run.began + 30)
    assert {bar.task for bar in late if bar.task > 500}
    assert all(bar.end >= run.began + 30 for bar in late)
    reader.close()


def test_a_dear_answer_is_kept_while_it_is_young():
    asked = []

    def answer():
        asked.append(1)
        time.sleep(0.01)
        return len(asked)

    answers = Answers()
    assert answers.get("q", 1, answer) == 1
    assert answers.get("q", 1, answer) == 1
    assert answers.get("q", 2, answer) == 1
    assert answers.get("other", 2, answer) == 2


def test_questions_on_runs_that_are_not_there_leave_nothing_behind():
    answers = Answers()

    def fail():
        raise ConfigurationError("There is no run.")

    for number in range(3):
        with pytest.raises(ConfigurationError):
            answers.get(("apps", number), 0, fail)
    assert not answers._locks
    assert answers.get(("apps", 1), 0, lambda: 7) == 7
