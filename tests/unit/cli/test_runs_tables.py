import pytest

from cnflow.cli.runs.source import LiveTask, TaskList, check_states
from cnflow.cli.runs.tables import live_task, printable, recorded_task, task_as_json, task_table, tasks_as_json
from cnflow.errors import UnknownNameError
from cnflow.monitoring.queries import views

TASK = views.TaskView(
    id=7,
    app="train\x1b[2J",
    state="failed",
    executor="htex",
    image="",
    host="node1",
    submitted=1.0,
    ended=3.5,
    run_seconds=1.5,
    tries=2,
    error="ValueError: " + "long " * 50,
)
TRY = views.TryView(
    number=0,
    state="failed",
    executor="htex",
    block="0",
    manager="m",
    worker=3,
    host="node1",
    image="",
    launched=1.0,
    running=1.5,
    ended=3.0,
    error_type="ValueError",
    error="ValueError: bad",
    traceback="Traceback:\n\tline\x07 2",
    stderr_tail="Killed",
    exit_code=None,
    signal="OOM",
    cpu_seconds=1.25,
    peak_rss_bytes=2**30,
    read_bytes=None,
    written_bytes=None,
    gpu_peak_bytes=None,
)


def detail(**fields):
    empty = {"arguments": "", "inputs": "", "outputs": "", "stdout": "", "stderr": ""}
    lists = {"needed_by": [], "tries": [TRY], "files": [], "resources": {"cores": 2}}
    statuses = [
        views.StatusView(number=0, state=state, time=time) for state, time in (("pending", 1.0), ("failed", 3.0))
    ]
    all_fields = {"task": TASK, "depends": [1, 2], "memoized": False, "statuses": statuses, **empty, **lists, **fields}
    return views.TaskDetail(**all_fields)


def test_table_has_a_row_for_each_task_and_fits_the_terminal():
    lines = task_table(TaskList(views.Page(tasks=[TASK], next=7, previous=None), 12), 80).splitlines()
    assert lines[0].split() == ["task", "app", "state", "executor", "host", "tries", "ran", "error"]
    assert "\x1b" not in lines[1]
    assert len(lines[1]) <= 80
    assert lines[2] == "more: add --after 7, or another --limit"
    assert lines[3].startswith("12 finished tasks are not listed")


def test_table_without_tasks_is_a_sentence():
    assert task_table(TaskList(views.Page(tasks=[], next=None, previous=None), 0), 80) == "No task matches."


def test_recorded_task_has_tries_errors_and_timeline():
    text = "\n".join(recorded_task(detail(), []))
    for words in (
        "needs     1, 2",
        "asked for cores 2",
        "try 0: failed, htex / 0 / node1, worker 3",
        "peak 1 GiB",
        "signal OOM",
    ):
        assert words in text
    assert "+2.0 s" in text
    assert "\x07" not in text


def test_explanation_is_shown_while_the_task_is_not_final():
    import msgspec

    waiting = msgspec.structs.replace(TASK, state="waiting")
    assert "  it waits" in recorded_task(detail(task=waiting), ["it waits"])
    assert "  it waits" not in recorded_task(detail(), ["it waits"])


def test_live_task_that_is_not_kept_has_its_explanation_alone():
    assert live_task(
        LiveTask(task=None, depends=[], errors=[], explanation=["Task 3 is done."]), ["Task 3 is done."]
    ) == ["Task 3 is done."]


def test_json_has_plain_values():
    page = views.Page(tasks=[TASK], next=None, previous=None)
    assert tasks_as_json(TaskList(page, 0))["tasks"][0]["id"] == 7
    assert task_as_json(detail(), ["why"])["explanation"] == ["why"]


def test_unknown_state_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'failed'"):
        check_states(["faild"])


@pytest.mark.parametrize(("text", "shown"), [("a\nb", "a b"), ("\x1b[31mred", " [31mred"), ("ü", "ü")])
def test_printable_replaces_what_steers_a_terminal(text, shown):
    assert printable(text) == shown
