"""Waits for what other processes do."""

import time


def wait_until(condition, timeout=60.0, period=0.1):
    """Wait until *condition* returns something, which it is asked every *period*; return that.

    Fails after *timeout*, in seconds, as *period* is.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(period)
    return value
