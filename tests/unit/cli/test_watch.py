import io
import threading

from cnflow.cli.progress import Snapshot
from cnflow.cli.watch import PlainLines, Watch
from cnflow.model.status import StagingTotals
from cnflow.model.task import TaskState


class FakeRun:
    """Run with a settable number of finished tasks, which keeps its cleanup callbacks."""

    def __init__(self):
        self.done = 0
        self.callbacks = []

    def task_counts(self):
        return {TaskState.DONE: self.done}

    def executor_status(self):
        return []

    def staging_totals(self):
        return StagingTotals()

    def spending(self):
        return None

    def on_cleanup(self, callback):
        self.callbacks.append(callback)


class Lines(io.StringIO):
    """Stream with an event that is set after each flush."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def flush(self):
        self.written.set()


def snapshot(done):
    return Snapshot({TaskState.DONE: done}, [], 1.0)


def test_plain_line_is_printed_after_a_change_and_at_the_end():
    stream = Lines()
    lines = PlainLines(lambda: snapshot(3), stream, period=0.001)
    assert stream.written.wait(10)
    lines.stop()
    lines.stop()
    printed = stream.getvalue().splitlines()
    assert printed == ["cnflow: 1 s | tasks: 3 done | blocks: 0 | workers: 0", "cnflow: 1 s | tasks: 3 done"]


def test_run_shorter_than_the_period_has_its_last_line():
    stream = Lines()
    PlainLines(lambda: snapshot(7), stream, period=3600).stop()
    assert stream.getvalue() == "cnflow: 1 s | tasks: 7 done\n"


def test_each_run_has_its_own_display(capsys):
    watch = Watch()
    for done in (1, 2):
        run = FakeRun()
        watch.on_load(run)
        run.done = done
        for callback in run.callbacks:
            callback()
    watch.stop()
    assert capsys.readouterr().err.splitlines() == ["cnflow: 0 s | tasks: 1 done", "cnflow: 0 s | tasks: 2 done"]


def test_no_thread_is_left_after_stop(capsys):
    watch = Watch()
    watch.on_load(FakeRun())
    watch.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "cnflow-progress"]
    assert capsys.readouterr().out == ""
