import io
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

import cnflow
from cnflow.errors import NoDataFlowKernelError
from cnflow.model.status import StagingTotals
from cnflow.progress_bar import NotebookOutput, PlainLines, TerminalLine, bar_of, extended, html_of
from cnflow.progress_tally import AppCounts, Counts, Tally, error_of, line_of, seconds_left


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def settled(value=None, error=None):
    future = Future()
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
    return future


def cancelled():
    future = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (Counts(4, elapsed=0), "0 of 4 done, 0.0 s"),
        (Counts(200, 110, 3, 0, 8.0), "110 of 200 done, 3 failed, 8.0 s, about 6 s left"),
        (Counts(4, 1, 0, 2, 61.0), "1 of 4 done, 2 cancelled, 1 min 1 s, about 20 s left"),
        (Counts(4, 3, 1, 0, 12.0, "Task 3 (f): ValueError: no"), "3 of 4 done, 1 failed, 12 s"),
        (Counts(0), "0 of 0 done, 0.0 s"),
    ],
)
def test_line_counts_outcomes(counts, line):
    assert line_of(counts) == line


def test_first_failure_is_named_at_the_end():
    assert error_of(Counts(2, 0, 1, 0, 1.0, "Task 3 (f): ValueError: no")) == ""
    assert (
        error_of(Counts(2, 1, 1, 0, 1.0, "Task 3 (f): ValueError: no")) == "first failure: task 3 (f): ValueError: no"
    )


def test_nothing_is_estimated_before_two_seconds_or_without_an_outcome():
    assert seconds_left(Counts(10, 0, elapsed=60.0)) is None
    assert seconds_left(Counts(10, 5, elapsed=1.0)) is None
    assert seconds_left(Counts(10, 10, elapsed=60.0)) is None
    assert seconds_left(Counts(10, 5, elapsed=60.0)) == 60


def test_bar_has_one_width():
    bars = [bar_of(Counts(7, done), "#.") for done in range(8)]
    assert {len(bar) for bar in bars} == {len(bars[0])}
    assert bars[0].endswith("   0 %")
    assert bars[-1].endswith(" 100 %")
    assert bar_of(Counts(0), "#.").endswith(" 100 %")


def test_html_has_a_part_for_each_outcome_and_no_markup_of_errors():
    shown = html_of(Counts(4, 2, 1, 1, 1.0, "Task 1 (f): ValueError: <b>"))
    assert [f"width:{share}%" in shown for share in ("50.0", "25.0")] == [True, True]
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def test_tally_counts_each_outcome_once():
    open_one = Future()
    tally = Tally([settled(1), settled(error=ValueError("a\nb\x1b[31m")), cancelled(), open_one])
    counts = tally.counts()
    assert (counts.total, counts.done, counts.failed, counts.cancelled, counts.is_over) == (4, 1, 1, 1, False)
    assert counts.first_error.endswith("ValueError: a b [31m")
    open_one.set_result(2)
    tally.wait_for_all(0)
    assert tally.counts().is_over


def test_tally_wakes_its_reader():
    future = Future()
    tally = Tally([future])
    threading.Timer(0.05, future.set_result, [1]).start()
    tally.wait_for_change(0, 60)
    assert tally.counts().is_over


def test_terminal_has_one_line_that_is_rewritten_and_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    screen = Screen()
    line = TerminalLine(screen)
    line.show(Counts(10, 5, elapsed=3.0))
    line.show(Counts(10, 9, 1, elapsed=3.0, first_error="Task 1 (f): KeyError: 'x'"))
    line.end()
    first, second = screen.getvalue().split("\r")[1:]
    assert first == "████████████░░░░░░░░░░░░  50 %  5 of 10\x1b[K"
    assert second.splitlines()[1:] == ["first failure: task 1 (f): KeyError: 'x'"]


def test_terminal_without_blocks_gets_plain_marks():
    screen = Screen()
    screen.encoding = "ascii"
    TerminalLine(screen).show(Counts(2, 1))
    assert "############............  50 %" in screen.getvalue()


def test_plain_lines_are_printed_after_changes_only():
    stream = io.StringIO()
    lines = PlainLines(stream)
    for counts in (Counts(2), Counts(2, elapsed=5.0), Counts(2, 1), Counts(2, 1, elapsed=9.0), Counts(2, 1, 1)):
        lines.show(counts)
    assert [line.partition(",")[0] for line in stream.getvalue().splitlines()] == [
        *("cnflow: 1 of 2 done", "cnflow: 1 of 2 done")
    ]


def test_progress_returns_the_futures_in_order_once_all_are_done():
    futures = [settled(1), settled(error=ValueError("no"))]
    stream = io.StringIO()
    assert cnflow.progress(iter(futures), file=stream) == futures
    assert "1 of 2 done, 1 failed" in stream.getvalue()
    assert "ValueError: no" in stream.getvalue()


def test_progress_of_the_run_takes_its_unfinished_tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoDataFlowKernelError, match=r"progress\(\) needs a loaded configuration"):
        cnflow.progress()
    go_on = threading.Event()
    with cnflow.load():
        waiting = cnflow.python_app(go_on.wait)(60)
        threading.Timer(0.1, go_on.set).start()
        assert cnflow.progress(file=io.StringIO()) == [waiting]
        assert waiting.done()
        assert cnflow.progress(file=io.StringIO()) == []


SCRIPT = """
import cnflow

@cnflow.python_app
def f(x):
    return x

with cnflow.load():
    cnflow.progress([f(1), f(2)])
"""


def test_under_cnflow_run_the_command_alone_draws(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    alone = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "cnflow.cli", "run", "script.py"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    quiet = subprocess.run([*command[:4], "-q", "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "cnflow: 2 of 2 done, " in alone.stderr
    assert "2 of 2 done" not in shown.stderr
    assert "tasks: 2 done" in shown.stderr
    assert "2 of 2 done" in quiet.stderr


def test_line_has_the_files_on_their_way():
    counts = Counts(4, 1, elapsed=1.0, staging=StagingTotals(3, 5_000_000, 1_000_000.0))
    assert line_of(counts) == "1 of 4 done, 1.0 s, 3 files on their way, 5 MB of them moved, 1 MB a second"


def test_html_has_a_bar_for_each_of_several_apps():
    apps = {"<sort>": AppCounts(4, 1, 1, 0), "fit": AppCounts(2, 2)}
    shown = html_of(Counts(6, 3, 1, apps=apps))
    assert "&lt;sort&gt;" in shown
    assert "2 of 4" in shown
    assert "2 of 2" in shown
    assert "2 of 4" not in html_of(Counts(4, 1, 1, apps={"sort": AppCounts(4, 1, 1)}))


def test_curve_of_the_throughput_names_its_highest_and_its_last_value():
    shown = html_of(Counts(100, 40), [(0.0, 0), (1.0, 10), (2.0, 30), (3.0, 40)])
    assert "10 a second, at most 20" in shown
    assert shown.count("<polyline") == 1


def test_history_has_a_bounded_number_of_points_and_ends_with_the_newest():
    history = []
    for number in range(2000):
        history = extended(history, Counts(5000, number, elapsed=number / 4))
    assert len(history) <= 200
    assert history[-1] == (499.75, 1999)
    assert history == sorted(history)


def test_points_that_are_near_each_other_are_one():
    history = []
    for elapsed in (0.0, 0.1, 0.2, 0.3, 0.6, 0.7):
        history = extended(history, Counts(9, int(elapsed * 10), elapsed=elapsed))
    assert [time for time, _ in history] == [0.0, 0.6, 0.7]


def test_output_of_a_notebook_is_one_that_is_updated():
    updates = []

    class Handle:
        def update(self, shown):
            updates.append(shown._repr_html_())

    def display(shown, *, display_id):
        updates.append(repr(shown))
        return Handle()

    output = NotebookOutput(display)
    output.show(Counts(2))
    output.show(Counts(2, 2, elapsed=1.0))
    assert updates[0].startswith("0 of 2 done")
    assert "2 of 2 done" in updates[1]


def test_tally_counts_by_app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with cnflow.load():
        good = cnflow.python_app(len)
        bad = cnflow.python_app(int)
        futures = [good([]), good([1]), bad("x"), settled(1)]
        tally = Tally(futures)
        tally.wait_for_all()
    assert tally.counts().apps == {"len": AppCounts(2, 2), "int": AppCounts(1, 0, 1)}


def test_drawing_goes_on_without_the_caller():
    future, screen = Future(), io.StringIO()
    assert cnflow.progress([future], file=screen, wait=False) == [future]
    assert not future.done()
    future.set_result(1)
    thread = next((one for one in threading.enumerate() if one.name == "cnflow-progress"), None)
    if thread is not None:
        thread.join(10)
    assert "1 of 1 done" in screen.getvalue()
