import io

from rich.console import Console

from cnflow.cli.progress import Moment, live_line, news, plain_line
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import TaskState

EXECUTORS = [
    ExecutorStatus(label="bare", image="", blocks=1, managers=1, workers=2),
    ExecutorStatus(label="docker", image="app1:0.1", blocks=2, managers=1, workers=4),
]
COUNTS = {TaskState.WAITING: 12, TaskState.LAUNCHED: 3, TaskState.DONE: 4, TaskState.FAILED: 0}


def test_a_line_tells_tasks_by_state_and_the_sum_of_blocks_and_workers():
    line = plain_line(Moment(COUNTS, EXECUTORS, 12.7))
    assert line == "cnflow: 12 s | tasks: 4 done, 3 launched, 12 waiting | blocks: 3 | workers: 6"


def test_what_failed_is_told_apart_from_what_was_never_run():
    counts = {TaskState.DONE: 1, TaskState.FAILED: 2, TaskState.DEPENDENCY_FAILED: 3}
    assert "tasks: 1 done, 2 failed, 3 dependency failed |" in plain_line(Moment(counts, EXECUTORS, 0.0))


def test_before_the_first_task_the_line_says_so():
    assert plain_line(Moment({}, [], 0.2)) == "cnflow: 0 s | tasks: none yet | blocks: 0 | workers: 0"


def test_the_last_line_leaves_out_what_is_gone():
    assert (
        plain_line(Moment(COUNTS, EXECUTORS, 3.0), ended=True) == "cnflow: 3 s | tasks: 4 done, 3 launched, 12 waiting"
    )


def test_every_state_of_a_task_has_a_word():
    words = {plain_line(Moment({state: 1}, [], 0.0)) for state in TaskState}
    assert len(words) == len(TaskState)
    assert not any("none yet" in line for line in words)


def test_time_alone_is_no_news():
    assert news(Moment(COUNTS, EXECUTORS, 1.0)) == news(Moment(COUNTS, EXECUTORS, 99.0))
    assert news(Moment(COUNTS, EXECUTORS, 1.0)) != news(Moment({**COUNTS, TaskState.DONE: 5}, EXECUTORS, 1.0))
    assert news(Moment(COUNTS, EXECUTORS, 1.0)) != news(Moment(COUNTS, EXECUTORS[:1], 1.0))


def test_a_narrow_terminal_cuts_the_line_instead_of_wrapping_it():
    lines = Console(width=30).render_lines(live_line(Moment(COUNTS, EXECUTORS, 12.0)))
    assert ["".join(part.text for part in line) for line in lines] == ["cnflow: 12 s | tasks: 4 done,…"]


def test_a_terminal_shows_failure_in_red():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="standard")
    console.print(live_line(Moment({TaskState.FAILED: 2}, [], 0.0)))
    assert "\x1b[1;31m2 failed" in screen.getvalue()
