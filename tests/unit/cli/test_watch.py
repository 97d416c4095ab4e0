import io
import threading

from cnflow.cli.progress import Moment
from cnflow.cli.watch import PlainLines, Watch
from cnflow.model.task import TaskState


class FakeRun:
    """A run that does what it is told, and remembers who wants to know of its end."""

    def __init__(self):
        self.done = 0
        self.callbacks = []

    def task_counts(self):
        return {TaskState.DONE: self.done}

    def executor_status(self):
        return []

    def on_cleanup(self, callback):
        self.callbacks.append(callback)


class Lines(io.StringIO):
    """A stream that tells when a line was written."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def flush(self):
        self.written.set()


def moment(done):
    return Moment({TaskState.DONE: done}, [], 1.0)


def test_a_plain_line_is_printed_when_something_changed_and_once_more_at_the_end():
    stream = Lines()
    lines = PlainLines(lambda: moment(3), stream, period=0.001)
    assert stream.written.wait(10)
    lines.stop()
    lines.stop()
    printed = stream.getvalue().splitlines()
    assert printed == ["cnflow: 1 s | tasks: 3 done | blocks: 0 | workers: 0", "cnflow: 1 s | tasks: 3 done"]


def test_a_run_that_ends_before_the_first_period_still_gets_its_last_line():
    stream = Lines()
    PlainLines(lambda: moment(7), stream, period=3600).stop()
    assert stream.getvalue() == "cnflow: 1 s | tasks: 7 done\n"


def test_the_display_ends_with_its_run_and_another_run_gets_its_own(capsys):
    watch = Watch()
    for done in (1, 2):
        run = FakeRun()
        watch.begin(run)
        run.done = done
        for callback in run.callbacks:
            callback()
    watch.stop()
    assert capsys.readouterr().err.splitlines() == ["cnflow: 0 s | tasks: 1 done", "cnflow: 0 s | tasks: 2 done"]


def test_nothing_is_left_running_after_the_end(capsys):
    watch = Watch()
    watch.begin(FakeRun())
    watch.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "cnflow-progress"]
    assert capsys.readouterr().out == ""
