from pathlib import Path

import pytest

from cnflow.run_logs.lines import lines_of_tasks, task_of
from cnflow.run_logs.stream import LogStream


@pytest.fixture
def log(tmp_path):
    (tmp_path / "htex").mkdir()
    return tmp_path / "htex" / "block-0.log"


@pytest.fixture
def shown():
    return []


@pytest.fixture
def stream(tmp_path, shown):
    made = LogStream(tmp_path, shown.append, most_behind=1000)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("line", "task"),
    [
        (b"predict[12] | text", 12),
        (b"app1.predict[3] | ", 3),
        (b"<lambda>[4] | x", 4),
        (b"worker 3 | text", None),
        (b"2026-01-02 03:04:05,6 manager INFO x[1] | y", None),
        (b"text | predict[12] | text", None),
        (b"", None),
    ],
)
def test_task_of_a_line(line, task):
    assert task_of(line) == task


def test_lines_that_tell_of_dropped_ones_are_shown_with_those_of_a_task():
    lines = [b"a[1] | x", b"(3 lines were dropped: the log could not be written)", b"b[2] | y", b"worker 0 | z"]
    assert list(lines_of_tasks(lines, 1)) == lines[:2]
    assert list(lines_of_tasks(lines)) == lines[:3]


def test_stream_shows_lines_of_tasks_as_they_come(stream, log, shown):
    assert not stream.show_new()
    log.write_bytes(b"worker 0 | import\na[1] | x\na[1] | hal")
    assert stream.show_new()
    assert "".join(shown) == "a[1] | x\n"
    with log.open("ab") as file:
        file.write(b"f\n")
    stream.show_new()
    assert "".join(shown) == "a[1] | x\na[1] | half\n"


def test_stream_leaves_out_what_comes_too_fast_and_tells_how_much(stream, log, shown):
    log.write_bytes(b"".join(b"a[1] | %04d\n" % number for number in range(1000)))
    stream.show_new()
    first, *rest = "".join(shown).splitlines()
    skipped = int(first.split()[2])
    assert first == f"(block htex/0: {skipped} bytes of output are not shown; they are in {log})"
    assert skipped % 12 == 0
    assert rest == [f"a[1] | {number:04d}" for number in range(skipped // 12, 1000)]


def test_stream_shows_the_last_lines_before_it_ends(stream, log, shown):
    stream.start()
    log.write_bytes(b"a[1] | last\n")
    stream.close()
    assert shown == ["a[1] | last\n"]


def test_stream_of_many_logs_holds_none_of_them_open(stream, log, shown):
    for number in range(50):
        log.with_name(f"block-{number}.log").write_bytes(b"a[%d] | x\n" % number)
    before = len(list(Path("/proc/self/fd").iterdir()))
    stream.show_new()
    assert len(shown) == 50
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_stream_goes_on_where_it_was_after_a_log_was_rotated(stream, log, shown):
    log.write_bytes(b"a[1] | one\n")
    stream.show_new()
    with log.open("ab") as file:
        file.write(b"a[1] | two\n")
    log.rename(log.with_name("block-0.log.1"))
    log.write_bytes(b"a[1] | three\n")
    while stream.show_new():
        pass
    assert "".join(shown) == "a[1] | one\na[1] | two\na[1] | three\n"
