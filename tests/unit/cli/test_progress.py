import io

from rich.console import Console

from cnflow.cli.progress import Snapshot, live_line, plain_line, state_text
from cnflow.model.status import ExecutorStatus, StagingTotals
from cnflow.model.task import TaskState

EXECUTORS = [
    ExecutorStatus(label="bare", image="", blocks=1, managers=1, workers=2),
    ExecutorStatus(label="docker", image="app1:0.1", blocks=2, managers=1, workers=4),
]
COUNTS = {TaskState.WAITING: 12, TaskState.LAUNCHED: 3, TaskState.DONE: 4, TaskState.FAILED: 0}


def test_line_shows_tasks_by_state_and_the_sums_of_blocks_and_workers():
    line = plain_line(Snapshot(COUNTS, EXECUTORS, 12.7))
    assert line == "cnflow: 12 s | tasks: 4 done, 3 launched, 12 waiting | blocks: 3 | workers: 6"


def test_failed_tasks_are_distinguished_from_tasks_that_were_not_run():
    counts = {TaskState.DONE: 1, TaskState.FAILED: 2, TaskState.DEPENDENCY_FAILED: 3}
    assert "tasks: 1 done, 2 failed, 3 dependency failed |" in plain_line(Snapshot(counts, EXECUTORS, 0.0))


def test_line_before_the_first_task_says_none_yet():
    assert plain_line(Snapshot({}, [], 0.2)) == "cnflow: 0 s | tasks: none yet | blocks: 0 | workers: 0"


def test_last_line_shows_only_tasks():
    assert (
        plain_line(Snapshot(COUNTS, EXECUTORS, 3.0), ended=True)
        == "cnflow: 3 s | tasks: 4 done, 3 launched, 12 waiting"
    )


def test_every_task_state_has_a_word():
    words = {plain_line(Snapshot({state: 1}, [], 0.0)) for state in TaskState}
    assert len(words) == len(TaskState)
    assert not any("none yet" in line for line in words)


def test_state_text_does_not_depend_on_time():
    before = state_text(Snapshot(COUNTS, EXECUTORS, 1.0))
    assert before == state_text(Snapshot(COUNTS, EXECUTORS, 99.0))
    assert before != state_text(Snapshot({**COUNTS, TaskState.DONE: 5}, EXECUTORS, 1.0))
    assert before != state_text(Snapshot(COUNTS, EXECUTORS[:1], 1.0))


def test_line_is_cut_not_wrapped_on_a_narrow_terminal():
    lines = Console(width=30).render_lines(live_line(Snapshot(COUNTS, EXECUTORS, 12.0)))
    assert ["".join(part.text for part in line) for line in lines] == ["cnflow: 12 s | tasks: 4 done,…"]


def test_failed_tasks_are_red_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="standard")
    console.print(live_line(Snapshot({TaskState.FAILED: 2}, [], 0.0)))
    assert "\x1b[1;31m2 failed" in screen.getvalue()


def test_files_on_their_way_are_shown_with_bytes_and_rate():
    line = plain_line(Snapshot({TaskState.STAGING_IN: 2}, [], 0.2, StagingTotals(3, 5_000_000, 1_000_000.0)))
    assert line.endswith("tasks: 2 staging in | blocks: 0 | workers: 0 | files on their way: 3, 5 MB, 1 MB a second")


def test_spending_is_shown_and_is_no_change_of_state():
    spent = Snapshot(COUNTS, EXECUTORS, 0.0, spending="$0.08 of $5.00")
    assert plain_line(spent).endswith("| workers: 6 | spent: $0.08 of $5.00")
    assert plain_line(spent, ended=True).endswith("12 waiting | spent: $0.08 of $5.00")
    assert state_text(spent) == state_text(spent._replace(spending="$0.09 of $5.00"))
