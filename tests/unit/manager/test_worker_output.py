import itertools

import hypothesis
import pytest
from hypothesis import strategies

from cnflow.manager.workers.output import WorkerOutput
from cnflow.wire.output_marks import BEGIN, END, mark, title_of

ONE, TWO = title_of(1, "one"), title_of(2, "two")


@pytest.fixture
def running():
    """The task that runs, as the manager knows it; tests change it."""
    return [None]


@pytest.fixture
def output(running):
    return WorkerOutput(3, lambda: running[0])


def lines(output, *parts):
    return b"".join(output.feed(part)[1] for part in parts)


def test_marked_lines_have_the_task_of_the_mark_whatever_the_manager_knows(output, running):
    running[0] = (7, "late")
    data = mark(BEGIN, ONE) + b"a\nb\n" + mark(END, ONE) + mark(BEGIN, TWO) + b"c\n" + mark(END, TWO)
    assert output.feed(data) == (b"a\nb\nc\n", b"one[1] | a\none[1] | b\ntwo[2] | c\n")


def test_unclaimed_bytes_before_an_end_are_of_its_task(output, running):
    running[0] = (2, "two")
    assert lines(output, b"raw\n" + mark(END, ONE) + b"next\n") == b"one[1] | raw\ntwo[2] | next\n"


def test_unmarked_output_is_of_the_running_task_or_of_the_worker(output, running):
    assert lines(output, b"import\n") == b"worker 3 | import\n"
    running[0] = (1, "one")
    assert lines(output, b"raw\n") == b"one[1] | raw\n"


def test_line_without_an_end_ends_with_its_task(output):
    assert lines(output, mark(BEGIN, ONE) + b"par") == b""
    assert lines(output, b"tial") == b""
    assert lines(output, mark(END, ONE)) == b"one[1] | partial\n"
    assert output.flush() == b""


def test_line_without_an_end_is_shown_at_the_end_of_the_process(output):
    assert lines(output, mark(BEGIN, ONE) + b"last words") == b""
    assert output.flush() == b"one[1] | last words\n"


def test_endless_line_is_cut(output):
    shown = lines(output, *[b"x" * 1000] * 40)
    assert shown.count(b"\n") == 2
    assert shown.count(b"x") >= 32_000


def test_names_cannot_break_lines_or_marks():
    assert title_of(5, "a[b]|\n\x00\x1dä") == b"a?b??????[5]"
    assert len(title_of(5, "x" * 5000)) < 250


@hypothesis.given(strategies.lists(strategies.integers(0, 200), max_size=6))
def test_marks_are_found_however_the_stream_is_cut(cuts):
    data = b"raw\x00\n" + mark(END, ONE) + mark(BEGIN, TWO) + b"\x00\x1d no mark\n" + mark(END, TWO) + b"\x00"
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    output = WorkerOutput(0, lambda: (1, "one"))
    fed = [output.feed(data[start:end]) for start, end in itertools.pairwise(places)]
    shown = b"".join(part for _, part in fed) + output.flush()
    assert shown == b"one[1] | raw\x00\ntwo[2] | \x00\x1d no mark\none[1] | \x00\n"
