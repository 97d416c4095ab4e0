"""A task's stop is raised in that task, once, and in no other."""

import os
import signal

import pytest

from cnflow.errors import AppTimeout
from cnflow.tasks import stopping
from cnflow.tasks.stopping import Cancelled
from cnflow.wire.pipe import pack_stop
from cnflow.worker.interruption import Guard


@pytest.fixture
def moment(monkeypatch):
    """The time, which the test moves; the alarm is what the test rings (pytest-timeout has the real one)."""

    class Moment:
        now = 100.0
        alarms = ()

        def ring(self):
            self.handlers[signal.SIGALRM](signal.SIGALRM, None)

    moment = Moment()
    moment.handlers = {}
    monkeypatch.setattr(stopping.signal, "signal", moment.handlers.__setitem__)
    monkeypatch.setattr(stopping.signal, "setitimer", lambda which, seconds: setattr(moment, "timer", seconds))
    monkeypatch.setattr(stopping.time, "monotonic", lambda: moment.now)
    return moment


@pytest.fixture
def guard(moment):
    """A guard, and its pipe's other end as ``guard.cancel(number)``."""
    read, write = os.pipe()
    made = Guard(read)

    def cancel(number):
        os.write(write, pack_stop(number))
        moment.handlers[signal.SIGUSR1](signal.SIGUSR1, None)

    made.cancel = cancel
    yield made
    os.close(read)
    os.close(write)


def test_the_task_that_runs_is_cancelled(guard):
    guard.begin("f", 0)
    with pytest.raises(Cancelled):
        guard.cancel(0)
    guard.end()
    assert isinstance(guard.take_stop(), Cancelled)
    assert guard.take_stop() is None


def test_a_task_that_comes_later_is_cancelled_when_it_begins_and_those_between_are_not(guard):
    guard.begin("f", 0)
    guard.cancel(2)
    guard.end()
    guard.begin("f", 0)
    guard.end()
    with pytest.raises(Cancelled):
        guard.begin("f", 0)


def test_an_order_that_comes_too_late_hits_nobody(guard):
    guard.begin("f", 0)
    guard.end()
    guard.cancel(0)
    guard.begin("f", 0)
    guard.cancel(0)
    guard.end()
    assert guard.take_stop() is None


def test_while_things_are_set_up_a_stop_waits(guard):
    guard.begin("f", 0)
    guard.hold()
    guard.cancel(0)
    with pytest.raises(Cancelled):
        guard.release()
    guard.release()


def test_a_stop_that_comes_while_things_are_undone_is_no_stop(guard):
    guard.begin("f", 0)
    guard.hold()
    guard.cancel(0)
    guard.end()
    assert guard.take_stop() is None


def test_the_walltime_ends_a_task_once(guard, moment):
    guard.begin("f", 3.0)
    assert moment.timer == 3.0
    moment.now += 3.0
    with pytest.raises(AppTimeout, match=r"f ran longer than its walltime of 3 s"):
        moment.ring()
    moment.ring()
    guard.cancel(0)


def test_an_alarm_that_is_early_is_set_again(guard, moment):
    guard.begin("f", 3.0)
    moment.now += 2.0
    moment.ring()
    assert moment.timer == 1.0


def test_the_alarm_of_a_task_before_hits_nobody(guard, moment):
    guard.begin("f", 3.0)
    guard.end()
    assert moment.timer == 0.0
    guard.begin("g", 0)
    moment.now += 3.0
    moment.ring()
    guard.end()
    assert guard.take_stop() is None
