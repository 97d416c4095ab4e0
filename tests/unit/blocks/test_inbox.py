"""Events on their way to the thread of a block controller."""

import queue
import threading

import pytest

from cnflow.blocks.inbox import Inbox, next_event


@pytest.mark.timeout(20)
@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e-6])
def test_inbox_that_is_empty_again_is_not_waited_for_longer_than_asked(seconds):
    inbox = Inbox()
    for number in range(1000):
        inbox.put(number)
        assert inbox.get(seconds) == number
        with pytest.raises(TimeoutError):
            inbox.get(seconds)


@pytest.mark.parametrize("seconds", [None, 20.0])
def test_event_that_comes_later_is_waited_for(seconds):
    events = queue.SimpleQueue()
    threading.Timer(0.05, events.put, ["late"]).start()
    assert next_event(events, seconds) == "late"
