import logging
import os

import pytest

from cnflow.output_queue import OutputHandler, OutputQueue


@pytest.fixture
def pipe():
    near, far = os.pipe()
    yield near, far
    os.close(near)
    os.close(far)


def fill(descriptor):
    """Fill the pipe, so that a further byte blocks; return the number of bytes."""
    os.set_blocking(descriptor, False)
    count = 0
    try:
        while True:
            count += os.write(descriptor, b"x")
    except BlockingIOError:
        os.set_blocking(descriptor, True)
        return count


def read(descriptor, count):
    data = b""
    while len(data) < count:
        data += os.read(descriptor, count - len(data))
    return data


def test_output_is_written_in_order(pipe):
    queue = OutputQueue(pipe[1])
    for number in range(100):
        queue.write(b"%d\n" % number)
    queue.close()
    assert os.read(pipe[0], 10_000).split() == [b"%d" % number for number in range(100)]


def test_full_pipe_blocks_nobody_and_what_is_dropped_is_counted(pipe):
    filled = fill(pipe[1])
    queue = OutputQueue(pipe[1], most=1000)
    for _ in range(100):
        queue.write(b"y" * 99 + b"\n")
    read(pipe[0], filled)
    kept = read(pipe[0], 100)
    queue.write(b"last\n")
    queue.close()
    rest = os.read(pipe[0], 10_000)
    lines = (kept + rest).splitlines()
    written = lines.count(b"y" * 99)
    assert 10 <= written <= 11
    assert lines[-2:] == [b"(%d lines were dropped: the log could not be written)" % (100 - written), b"last"]


def test_queue_that_cannot_be_written_is_closed_within_a_bounded_time(pipe):
    filled = fill(pipe[1])
    queue = OutputQueue(pipe[1])
    queue.write(b"never\n")
    queue.close()
    read(pipe[0], filled)  # lets the thread end
    queue._thread.join(10)


def test_log_record_is_a_line(pipe):
    queue = OutputQueue(pipe[1])
    handler = OutputHandler(queue)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "%s tasks \udc80", (3,), None))
    queue.close()
    assert os.read(pipe[0], 1000) == b"INFO 3 tasks \\udc80\n"


def test_file_without_space_ends_nothing():
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        queue = OutputQueue(full)
        queue.write(b"lost\n")
        queue.close()
    finally:
        os.close(full)


def test_line_that_cannot_be_formatted_is_reported_by_logging(pipe, monkeypatch):
    reported = []
    handler = OutputHandler(OutputQueue(pipe[1]))
    monkeypatch.setattr(handler, "handleError", reported.append)
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "%d", ("no number",), None))
    handler.close()
    assert len(reported) == 1
