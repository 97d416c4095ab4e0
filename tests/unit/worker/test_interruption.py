import os
import signal

import pytest

from cnflow.errors import AppTimeout
from cnflow.tasks.stopping import Cancelled
from cnflow.wire.pipe import pack_stop
from cnflow.worker import interruption
from cnflow.worker.interruption import Guard


@pytest.fixture
def moment(monkeypatch):
    """Fake clock and alarm, both driven by the test; pytest-timeout uses the real alarm."""

    class Moment:
        now = 100.0
        alarms = ()

        def ring(self):
            self.handlers[signal.SIGALRM](signal.SIGALRM, None)

    moment = Moment()
    moment.handlers = {}
    monkeypatch.setattr(interruption.signal, "signal", moment.handlers.__setitem__)
    monkeypatch.setattr(interruption.signal, "setitimer", lambda which, seconds: setattr(moment, "timer", seconds))
    monkeypatch.setattr(interruption.time, "monotonic", lambda: moment.now)
    return moment


@pytest.fixture
def guard(moment):
    """Guard with a method ``cancel(number)`` that writes to its pipe as a manager does."""
    read, write = os.pipe()
    made = Guard(read)

    def cancel(number):
        os.write(write, pack_stop(number))
        moment.handlers[signal.SIGUSR1](signal.SIGUSR1, None)

    made.cancel = cancel
    yield made
    os.close(read)
    os.close(write)


def test_the_running_task_is_cancelled(guard):
    guard.start("f", 0)
    with pytest.raises(Cancelled):
        guard.cancel(0)
    guard.end()
    assert isinstance(guard.take_stop(), Cancelled)
    assert guard.take_stop() is None


def test_a_later_task_is_cancelled_at_its_start_and_earlier_ones_are_not(guard):
    guard.start("f", 0)
    guard.cancel(2)
    guard.end()
    guard.start("f", 0)
    guard.end()
    with pytest.raises(Cancelled):
        guard.start("f", 0)


def test_a_late_order_stops_no_other_task(guard):
    guard.start("f", 0)
    guard.end()
    guard.cancel(0)
    guard.start("f", 0)
    guard.cancel(0)
    guard.end()
    assert guard.take_stop() is None


def test_a_hold_delays_a_stop_until_its_release(guard):
    guard.start("f", 0)
    guard.hold()
    guard.cancel(0)
    with pytest.raises(Cancelled):
        guard.release()
    guard.release()


def test_a_stop_during_the_last_hold_of_a_task_is_dropped(guard):
    guard.start("f", 0)
    guard.hold()
    guard.cancel(0)
    guard.end()
    assert guard.take_stop() is None


def test_the_walltime_stops_a_task_once(guard, moment):
    guard.start("f", 3.0)
    assert moment.timer == 3.0
    moment.now += 3.0
    with pytest.raises(AppTimeout, match=r"f ran longer than its walltime of 3 s"):
        moment.ring()
    moment.ring()
    guard.cancel(0)


def test_an_early_alarm_is_set_again(guard, moment):
    guard.start("f", 3.0)
    moment.now += 2.0
    moment.ring()
    assert moment.timer == 1.0


def test_the_alarm_of_an_earlier_task_stops_no_other_task(guard, moment):
    guard.start("f", 3.0)
    guard.end()
    assert moment.timer == 0.0
    guard.start("g", 0)
    moment.now += 3.0
    moment.ring()
    guard.end()
    assert guard.take_stop() is None
