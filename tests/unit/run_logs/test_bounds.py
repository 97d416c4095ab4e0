import os
from pathlib import Path

import pytest

from cnflow.config import LogFiles
from cnflow.run_logs.bounds import LogBounds, LogFile, bounds_of, rotate_by_copy, to_remove
from cnflow.run_logs.files import GrowingFile

NOW = 1000.0


def log(name, size, age):
    return LogFile(Path("/run/htex") / name, size, NOW - age)


FILES = [
    log("block-0.log", 10, 500),
    log("block-1.log", 10, 5),
    log("block-1.log.1", 10, 20),
    log("cnflow.log", 10, 900),
]


@pytest.mark.parametrize(
    ("most", "names"),
    [(40, []), (35, ["block-1.log.1"]), (25, ["block-1.log.1", "block-0.log"]), (0, ["block-1.log.1", "block-0.log"])],
)
def test_older_parts_go_first_then_quiet_logs(most, names):
    assert [file.path.name for file in to_remove(FILES, most, NOW)] == names


def test_file_that_is_appended_to_is_rotated_without_a_loss(tmp_path):
    path = tmp_path / "task.stdout"
    with path.open("ab", buffering=0) as file:
        file.write(b"one\ntwo\n")
        rotate_by_copy(path, 100)
        file.write(b"three\n")
    assert path.read_bytes() == b"three\n"
    assert (tmp_path / "task.stdout.1").read_bytes() == b"one\ntwo\n"


def test_reader_goes_on_after_a_file_was_emptied(tmp_path):
    path = tmp_path / "task.stdout"
    reader = GrowingFile(path)
    with path.open("ab", buffering=0) as file:
        file.write(b"one\n")
        assert reader.new_lines() == [b"one"]
        file.write(b"two\n")
        rotate_by_copy(path, 100)
        file.write(b"3\n")
        found = [*reader.new_lines(), *reader.new_lines(), *reader.new_lines()]
    reader.close()
    assert found == [b"two", b"3"]


def test_logs_of_tasks_are_kept_below_their_size_and_others_are_left_alone(tmp_path):
    task, mine = tmp_path / "task_logs/0000/task_0001_a.stdout", tmp_path / "results.stdout"
    task.parent.mkdir(parents=True)
    for file in (task, mine, tmp_path / "task_files.jsonl"):
        file.write_bytes(b"line\n" * 5000)
        os.utime(file, (0, 0))
    bounds = LogBounds(tmp_path, 20_000, 5_000)
    bounds.enforce()
    assert task.stat().st_size == 0
    assert not task.with_name(task.name + ".1").exists()  # it was larger than all logs may be
    assert mine.stat().st_size == (tmp_path / "task_files.jsonl").stat().st_size == 25_000


def test_bounds_are_kept_only_where_there_are_some(tmp_path):
    assert bounds_of(None, tmp_path) is None
    assert bounds_of(LogFiles(format="json"), tmp_path) is None
    bounds = bounds_of(LogFiles(task_size="1MB"), tmp_path)
    assert bounds is not None
    bounds.start()
    bounds.close()
