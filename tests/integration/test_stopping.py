"""Tasks that are stopped at their walltime or by a cancel, in real processes and threads."""

import os
import random
import signal
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from cnflow.errors import AppTimeout, WorkerLost

SOON = 5.0
"""Seconds within which a task stops on a busy machine; a kill takes two more, the grace."""


def pid():
    import os

    return os.getpid()


def pid_after(seconds):
    import os
    import time

    time.sleep(seconds)
    return os.getpid()


def spin(started=None):
    import pathlib

    if started:
        pathlib.Path(started).touch()
    while True:
        pass


def nap(seconds, started=None):
    import pathlib
    import time

    if started:
        pathlib.Path(started).touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)  # in pieces, because a thread can stop between two of them only
    return seconds


def sleep_at_once(started):
    import pathlib
    import time

    pathlib.Path(started).touch()
    time.sleep(60)


def go_on(started):
    import pathlib
    import time

    while True:
        try:
            pathlib.Path(started).touch()  # inside: a stop that comes right after it is caught, too
            time.sleep(60)
        except BaseException:
            continue


def deaf(started):
    import pathlib
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))  # like C code that never returns
    pathlib.Path(started).touch()
    while True:
        pass


def touch(path):
    import pathlib

    pathlib.Path(path).touch()


def family(folder, trap=""):
    """Command that starts a child and a grandchild, writes their process ids and waits."""
    child = f"{trap} echo $BASHPID > {folder}/grandchild.new; mv {folder}/grandchild.new {folder}/grandchild; sleep 600"
    return f"{trap} echo $$ > {folder}/leader; ( ( {child}; sleep 600 ) & sleep 600 ); sleep 600"


@pytest.fixture
def started(tmp_path, until):
    """Path that a task touches when it starts; ``started.wait()`` waits for it."""

    class Started(str):
        __slots__ = ()

        def wait(self):
            until(Path(self).exists)

    return Started(tmp_path / "started")


@pytest.fixture
def pids_of(until):
    def read(folder):
        until((folder / "grandchild").exists)
        return [int((folder / name).read_text()) for name in ("leader", "grandchild")]

    return read


@pytest.fixture
def stopwatch():
    begin = time.monotonic()
    return lambda: time.monotonic() - begin


class TestWalltime:
    @pytest.mark.parametrize("function", [spin, nap], ids=["spins", "naps"])
    def test_python_app_is_stopped(self, anywhere, function, stopwatch):
        args = [60] if function is nap else []
        error = anywhere.error(anywhere.python(function, *args, walltime=0.3))
        assert isinstance(error, AppTimeout)
        assert str(error) == f"{function.__name__} ran longer than its walltime of 0.3 s and was stopped."
        assert stopwatch() < SOON

    def test_process_is_stopped_during_a_sleep(self, processes, started, stopwatch):
        assert isinstance(processes.error(processes.python(sleep_at_once, started, walltime=0.3)), AppTimeout)
        assert stopwatch() < SOON

    def test_faster_task_is_not_stopped_nor_is_the_next(self, anywhere):
        assert anywhere.value(anywhere.python(nap, 0.01, walltime=3.0)) == 0.01
        assert [anywhere.value(anywhere.python(nap, 0.5)) for _ in range(2)] == [0.5, 0.5]

    def test_worker_survives_the_stop_of_its_task(self, one_process):
        before = one_process.value(one_process.python(pid))
        one_process.error(one_process.python(spin, walltime=0.2))
        assert one_process.value(one_process.python(pid)) == before

    @pytest.mark.parametrize("function", [go_on, deaf])
    def test_task_that_does_not_stop_is_killed_with_its_worker_which_is_replaced(self, one_process, started, function):
        before = one_process.value(one_process.python(pid))
        stubborn = one_process.python(function, started, walltime=3.0)  # it has begun by then
        innocents = [one_process.python(pid) for _ in range(20)]
        error = one_process.error(stubborn)
        assert (type(error), error.app_name, error.walltime) == (AppTimeout, function.__name__, 3.0)
        assert {one_process.value(task) for task in innocents}.isdisjoint({before})

    def test_walltime_begins_when_the_task_starts_and_not_when_it_is_queued(self, one_process):
        first, second = one_process.python(nap, 1.4), one_process.python(nap, 0.2, walltime=1.2)
        assert (one_process.value(first), one_process.value(second)) == (1.4, 0.2)

    def test_command_is_killed_with_all_its_children(self, anywhere, tmp_path, pids_of, is_running, until):
        task = anywhere.bash(family(tmp_path), walltime=0.7)
        pids = pids_of(tmp_path)
        assert all(is_running(pid) for pid in pids)
        assert isinstance(anywhere.error(task), AppTimeout)
        until(lambda: not any(is_running(pid) for pid in pids), SOON)

    def test_command_that_ignores_sigterm_is_killed(self, anywhere, tmp_path, pids_of, is_running, stopwatch):
        task = anywhere.bash(family(tmp_path, "trap '' TERM;"), walltime=0.7)
        pids = pids_of(tmp_path)
        assert isinstance(anywhere.error(task), AppTimeout)
        assert not any(is_running(pid) for pid in pids)
        assert stopwatch() < SOON + 2

    def test_app_may_catch_the_timeout_and_return_a_value(self, processes):
        def best_so_far():
            import itertools

            try:
                for _ in itertools.count():
                    pass
            except Exception:
                return "so far"

        assert processes.value(processes.python(best_so_far, walltime=1.0)) == "so far"

    def test_error_in_cleanup_does_not_hide_the_timeout(self, anywhere):
        def fails_to_tidy_up():
            try:
                while True:
                    pass
            finally:
                raise ValueError("cannot tidy up")

        assert isinstance(anywhere.error(anywhere.python(fails_to_tidy_up, walltime=0.2)), AppTimeout)

    def test_alarm_of_the_user_does_not_disturb_the_walltime(self, one_process):
        def takes_the_alarm():
            import signal

            signal.signal(signal.SIGALRM, signal.SIG_IGN)

        one_process.value(one_process.python(takes_the_alarm))
        assert isinstance(one_process.error(one_process.python(spin, walltime=0.2), SOON), AppTimeout)

    def test_task_that_ends_at_its_walltime_is_reported_once_and_affects_no_other(self, anywhere):
        chance = random.Random(7)
        close = [anywhere.python(nap, chance.uniform(0.02, 0.04), walltime=0.03) for _ in range(60)]
        others = [anywhere.python(nap, 0.005) for _ in range(60)]
        errors = [anywhere.error(task) for task in close]
        assert {type(error) for error in errors} <= {AppTimeout, type(None)}
        assert [anywhere.value(task) for task in others] == [0.005] * 60


class TestCancel:
    @pytest.mark.parametrize("function", [spin, nap], ids=["spins", "naps"])
    def test_running_python_app_stops_within_seconds(self, anywhere, function, started, stopwatch):
        task = anywhere.python(function, *([60] if function is nap else []), started)
        started.wait()
        anywhere.cancel(task)
        assert isinstance(anywhere.error(task, SOON), CancelledError)
        assert stopwatch() < 2 * SOON
        assert anywhere.value(anywhere.python(nap, 0.1)) == 0.1

    def test_cancel_keeps_the_worker_process_and_does_not_disturb_its_neighbour(self, processes, started):
        workers = {processes.value(task) for task in [processes.python(pid_after, 0.3) for _ in range(2)]}
        neighbour = processes.python(nap, 1.0)
        task = processes.python(sleep_at_once, started)
        started.wait()
        processes.cancel(task)
        assert isinstance(processes.error(task, SOON), CancelledError)
        assert processes.value(neighbour) == 1.0
        assert {processes.value(task) for task in [processes.python(pid) for _ in range(40)]} <= workers

    @pytest.mark.parametrize("function", [go_on, deaf])
    def test_task_that_does_not_stop_is_killed_and_the_next_task_runs(self, one_process, started, function):
        before = one_process.value(one_process.python(pid))
        stubborn = one_process.python(function, started)
        innocents = [one_process.python(pid) for _ in range(20)]
        started.wait()
        one_process.cancel(stubborn)
        assert isinstance(one_process.error(stubborn), CancelledError)
        assert {one_process.value(task) for task in innocents}.isdisjoint({before})

    def test_cancelled_waiting_task_never_runs(self, anywhere, tmp_path):
        running = [anywhere.python(nap, 3.0) for _ in range(2)]
        waiting = [anywhere.python(touch, str(tmp_path / f"ran-{n}")) for n in range(100)]
        anywhere.cancel(*waiting[:99])
        assert all(isinstance(anywhere.error(task, 2.5), CancelledError) for task in waiting[:99])
        assert not any(anywhere.is_reported(task) for task in running)
        anywhere.value(waiting[99])
        assert [path.name for path in tmp_path.glob("ran-*")] == ["ran-99"]
        assert [anywhere.value(task) for task in running] == [3.0, 3.0]

    def test_task_that_was_not_sent_is_cancelled_at_once(self, no_block):
        task, other = no_block.python(pid), no_block.python(pid)
        no_block.cancel(task)
        assert isinstance(no_block.error(task, 0.1), CancelledError)
        assert not no_block.is_reported(other)

    def test_prefetched_task_is_skipped(self, one_process, tmp_path):
        for task in [one_process.python(pid) for _ in range(200)]:
            one_process.value(task)  # short tasks, so that the next are prefetched by the worker
        first = one_process.python(nap, 0.5)
        second, third = (one_process.python(touch, str(tmp_path / name)) for name in ("second", "third"))
        time.sleep(0.2)
        one_process.cancel(second)
        assert isinstance(one_process.error(second), CancelledError)
        assert (one_process.value(first), one_process.value(third)) == (0.5, None)
        assert [(tmp_path / name).exists() for name in ("second", "third")] == [False, True]

    def test_cancel_of_a_finished_or_unknown_task_does_nothing(self, anywhere):
        task = anywhere.python(nap, 0.01)
        anywhere.value(task)
        anywhere.cancel(task, 4711)
        assert anywhere.value(anywhere.python(nap, 0.1)) == 0.1

    def test_command_is_killed_with_all_its_children(self, anywhere, tmp_path, pids_of, is_running, until):
        task = anywhere.bash(family(tmp_path))
        pids = pids_of(tmp_path)
        anywhere.cancel(task)
        assert isinstance(anywhere.error(task, SOON), CancelledError)
        until(lambda: not any(is_running(pid) for pid in pids), SOON)

    def test_cancel_at_any_moment_is_reported_once_and_other_tasks_have_their_results(self, anywhere):
        chance = random.Random(11)
        tasks = [anywhere.python(nap, chance.choice([0, 0, 0.002, 0.02])) for _ in range(300)]
        unlucky = chance.sample(tasks, 150)
        for at in range(0, 150, 5):
            anywhere.cancel(*unlucky[at : at + 5])
            time.sleep(chance.uniform(0, 0.01))
        for task in tasks:
            error = anywhere.error(task)
            assert error is None or (isinstance(error, CancelledError) and task in unlucky)


class TestChildrenOfCommands:
    def test_command_is_killed_with_its_worker(self, one_process, tmp_path, pids_of, is_running, until):
        worker = one_process.value(one_process.python(pid))
        task = one_process.bash(family(tmp_path))
        pids = pids_of(tmp_path)
        os.kill(worker, signal.SIGKILL)
        assert isinstance(one_process.error(task), WorkerLost)
        until(lambda: not any(is_running(pid) for pid in pids), SOON)

    def test_command_is_killed_at_the_end_of_the_run(self, one_process, tmp_path, pids_of, is_running, until):
        one_process.bash(family(tmp_path, "trap '' TERM;"))
        pids = pids_of(tmp_path)
        one_process.executor.shutdown()
        until(lambda: not any(is_running(pid) for pid in pids), SOON)
