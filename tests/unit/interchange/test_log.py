"""The log of an interchange waits for nobody."""

import logging
import os
import re

import pytest

from cnflow.interchange.log import LogQueue


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def record(text):
    return logging.LogRecord("cnflow", logging.INFO, "", 0, text, None, None)


def read_until(descriptor, end):
    found = b""
    while end not in found:
        found += os.read(descriptor, 65536)
    return found.decode().splitlines()


def test_lines_are_written_in_order_and_all_at_the_end(pipe):
    log = LogQueue(pipe[1])
    for number in range(100):
        log.handle(record(f"line {number}"))
    log.close()
    assert read_until(pipe[0], b"line 99\n") == [f"line {number}" for number in range(100)]


def test_lines_that_cannot_be_written_are_dropped_and_counted(pipe):
    log = LogQueue(pipe[1], most=50)
    for number in range(500):
        log.handle(record(f"line {number} " + "x" * 4000))  # far more than a pipe holds
    lines = []
    while not any("were dropped" in line for line in lines):
        lines += os.read(pipe[0], 65536).decode().splitlines()
        log.handle(record("later"))
    (dropped,) = [int(found[1]) for line in lines if (found := re.match(r"\((\d+) lines were dropped", line))]
    assert 300 < dropped < 500
    log.close()


def test_file_without_space_ends_nothing():
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        log = LogQueue(full)
        log.handle(record("lost"))
        log.close()
    finally:
        os.close(full)


def test_line_that_cannot_be_formatted_is_reported_by_logging(pipe, monkeypatch):
    reported = []
    log = LogQueue(pipe[1])
    monkeypatch.setattr(log, "handleError", reported.append)
    log.handle(logging.LogRecord("cnflow", logging.INFO, "", 0, "%d", ("no number",), None))
    log.close()
    assert len(reported) == 1
