import threading
from pathlib import Path

import pytest

import cnflow
from cnflow.dataflow.overview import Overview
from cnflow.errors import AlreadyLoadedError, ConfigurationError, ExecutorClosedError
from cnflow.html_tables import table
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import TaskState
from cnflow.text import brief_duration


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load() as dfk:
        yield dfk


@cnflow.python_app
def doubled(x):
    return 2 * x


@cnflow.python_app
def fails():
    raise ValueError("no <b>rows</b>")


def test_overview_has_aligned_columns():
    apps = {"sort": {TaskState.DONE: 120}, "fit": {TaskState.LAUNCHED: 2, TaskState.CANCELLED: 1}}
    counts = {TaskState.DONE: 120, TaskState.LAUNCHED: 2, TaskState.CANCELLED: 1}
    shown = Overview(Path("runinfo/003"), False, counts, apps, [ExecutorStatus("big", "app1:0.1", 2, 2, 8)])
    assert shown.as_text() == (
        "run 003, 123 tasks: 2 launched, 120 done, 1 cancelled\n"
        "\n"
        "app   waiting  launched  done  failed  cancelled\n"
        "fit         0         2     0       0          1\n"
        "sort        0         0   120       0          0\n"
        "\n"
        "executor  image     blocks  managers  workers\n"
        "big       app1:0.1       2         2        8"
    )


def test_tasks_are_counted_by_app_and_state(run):
    go_on = threading.Event()
    launched = cnflow.python_app(go_on.wait)(60)
    waiting = doubled(launched)
    failed, behind = fails(), doubled(fails())
    done = doubled(1)
    assert done.result() == 2
    for each in (failed, behind):
        each.exception()
    named = {app: {state.name: n for state, n in counts.items()} for app, counts in run.app_counts().items()}
    assert named == {
        "wait": {"LAUNCHED": 1, "DONE": 0},
        "doubled": {"WAITING": 1, "DEPENDENCY_FAILED": 1, "DONE": 1},
        "fails": {"FAILED": 2, "DONE": 0},
    }
    assert repr(run) == (
        "<DataFlowKernel: run 000, 6 tasks: 1 waiting, 1 launched, 1 done, 2 failed, 1 dependency failed>"
    )
    go_on.set()
    waiting.result()


def test_call_that_is_refused_is_not_counted(run):
    with pytest.raises(ConfigurationError):
        cnflow.python_app(executors="nowhere")(len)([])
    assert run.app_counts() == {}


def test_future_shows_state_time_and_executor(run):
    future = doubled(1)
    future.result()
    assert repr(future).startswith("<AppFuture of task 0 (doubled), done on 'threads', ")
    html = future._repr_html_()
    for part in (">0<", ">doubled<", ">done<", ">threads<"):
        assert part in html
    assert "#2e7d32" in html


def test_time_of_a_future_stops_when_its_task_is_final(run):
    future = doubled(1)
    future.result()
    assert future._details().age == future._details().age > 0


def test_failed_future_shows_its_error_which_is_then_seen(run, capsys):
    future = fails()
    run.wait_for_current_tasks()
    assert "ValueError: no &lt;b&gt;rows&lt;/b&gt;" in future._repr_html_()
    run.cleanup()
    assert "ValueError" not in capsys.readouterr().err


def test_part_of_a_result_shows_its_name(run):
    part = doubled([1])[0]
    assert part.result() == 1
    assert ">doubled[0]<" in part._repr_html_()


def test_future_of_a_file_shows_its_state(run, tmp_path):
    @cnflow.bash_app
    def touched(outputs=()):
        return f"touch '{outputs[0]}'"

    (file,) = touched(outputs=[tmp_path / "<a>.txt"]).outputs
    file.result()
    html = file._repr_html_()
    assert "&lt;a&gt;.txt" in html
    assert ">done<" in html


def test_cells_of_a_table_are_escaped_and_aligned():
    shown = table(["a"], [["<x>"]], right={0})
    assert shown.endswith('<tr><td style="text-align:right">&lt;x&gt;</td></tr></table>')


def test_second_load_is_refused_unless_it_replaces(run):
    with pytest.raises(AlreadyLoadedError, match=r"cnflow.load\(..., replace=True\) ends it"):
        cnflow.load()
    go_on = threading.Event()
    unfinished = cnflow.python_app(go_on.wait)(60)
    with cnflow.load(replace=True) as second:
        go_on.set()
        assert cnflow.dfk() is second
        assert run.cleanup_called
        assert doubled(1).result() == 2
        with pytest.raises((ExecutorClosedError, RuntimeError)):
            unfinished.result()


def test_wrong_configuration_does_not_end_the_loaded_run(run):
    with pytest.raises(ConfigurationError):
        cnflow.load("nowhere.toml", replace=True)
    assert not run.cleanup_called


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (1.25, "1.2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (75, "1 min 15 s")]
)
def test_short_durations_have_a_decimal(seconds, text):
    assert brief_duration(seconds) == text


def test_title_names_what_blocks_have_cost():
    shown = Overview(Path("runinfo/003"), True, {}, {}, [], "$0.08 of $5.00")
    assert shown.title() == "run 003, ended, 0 tasks; spent $0.08 of $5.00"
