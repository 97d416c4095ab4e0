import linecache
import traceback

import pytest

from cnflow.executors.high_throughput.source_lines import with_source_lines

CELL = "<cell 1>"
SOURCE = "def divide(x):\n    return 1 / x\n"


@pytest.fixture(autouse=True)
def cell(monkeypatch):
    """A source that the driver has, and no file system."""
    monkeypatch.setitem(linecache.cache, CELL, (len(SOURCE), None, SOURCE.splitlines(keepends=True), CELL))


FRAME = f'  File "{CELL}", line 2, in divide'


def test_frame_without_source_gets_its_line():
    text = f"Traceback (most recent call last):\n{FRAME}\nZeroDivisionError: division by zero"
    assert with_source_lines(text).splitlines() == [
        "Traceback (most recent call last):",
        FRAME,
        "    return 1 / x",
        "ZeroDivisionError: division by zero",
    ]


def test_line_that_the_worker_printed_stays():
    text = f"{FRAME}\n    return 2 / x\n           ~~^~~\nZeroDivisionError: division by zero"
    assert with_source_lines(text) == text


def test_frame_of_an_unknown_file_stays_bare():
    text = '  File "/no/such/file.py", line 2, in divide\nZeroDivisionError: division by zero'
    assert with_source_lines(text) == text


@pytest.mark.parametrize("line", [0, 3, 10**12])
def test_line_beyond_the_file_stays_bare(line):
    text = f'  File "{CELL}", line {line}, in divide\nZeroDivisionError'
    assert with_source_lines(text) == text


def test_last_frame_without_a_message_gets_its_line():
    assert with_source_lines(FRAME) == f"{FRAME}\n    return 1 / x"


@pytest.mark.parametrize("text", ["", "no traceback", "  File unknown\n\n"])
def test_other_text_stays(text):
    assert with_source_lines(text) == text


def test_filled_traceback_equals_the_one_of_a_machine_that_has_the_source(monkeypatch):
    namespace = {}
    exec(compile(SOURCE, CELL, "exec"), namespace)
    with pytest.raises(ZeroDivisionError) as raised:
        namespace["divide"](0)
    there = without_carets(traceback.format_exception(raised.value))
    monkeypatch.delitem(linecache.cache, CELL)
    bare = "".join(traceback.format_exception(raised.value))
    assert "    return 1 / x" not in bare
    monkeypatch.undo()
    monkeypatch.setitem(linecache.cache, CELL, (len(SOURCE), None, SOURCE.splitlines(keepends=True), CELL))
    assert without_carets([with_source_lines(bare)]) == there


def without_carets(parts):
    """Python 3.11 and newer mark the part of the line that failed; only where the worker has the source."""
    lines = "".join(parts).split("\n")
    return "\n".join(line for line in lines if line.strip(" ~^|") or not line.strip())


def test_frames_inside_an_exception_group_get_their_lines():
    text = f"  + Exception Group Traceback (most recent call last):\n  | {FRAME}\n  | ExceptionGroup: two (1)"
    assert with_source_lines(text).splitlines()[1:3] == [f"  | {FRAME}", "  |     return 1 / x"]
