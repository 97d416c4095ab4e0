import os
import threading

from cnflow.log_rotation import RotatedFile
from cnflow.log_tail import last_lines
from cnflow.output_queue import OutputQueue
from cnflow.run_logs.files import GrowingFile, all_lines

LIMIT = 100_000


def opened(path):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def write(file, descriptor, data):
    os.write(descriptor, data)
    file.on_written(len(data))


def test_file_and_its_older_part_stay_below_the_limit_and_keep_the_newest(tmp_path):
    path = tmp_path / "log"
    descriptor = opened(path)
    try:
        file = RotatedFile(descriptor, LIMIT)
        for number in range(40_000):
            write(file, descriptor, b"%09d\n" % number)
            assert number % 1000 or sum(each.stat().st_size for each in tmp_path.iterdir()) <= LIMIT
    finally:
        os.close(descriptor)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1"]
    numbers = [int(line) for line in all_lines(path)]
    assert numbers == list(range(numbers[0], 40_000))
    assert len(numbers) > LIMIT // 10 // 2


def test_processes_that_append_to_one_file_rotate_it_once_and_all_go_on_in_the_new_one(tmp_path):
    path = tmp_path / "log"
    descriptors = [opened(path) for _ in range(2)]
    try:
        one, two = (RotatedFile(descriptor, LIMIT) for descriptor in descriptors)
        write(one, descriptors[0], b"x" * (LIMIT // 2))
        assert path.stat().st_size == 0
        write(two, descriptors[1], b"late\n")
        write(two, descriptors[1], b"new\n")
        assert path.read_bytes() == b"new\n"
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert (tmp_path / "log.1").stat().st_size == LIMIT // 2 + len("late\n")


def test_pipe_and_unlimited_file_are_left_alone(tmp_path):
    near, far = os.pipe()
    descriptor = opened(tmp_path / "log")
    try:
        RotatedFile(far, 10).on_written(100)
        write(RotatedFile(descriptor, 0), descriptor, b"x" * LIMIT)
    finally:
        for each in (near, far, descriptor):
            os.close(each)
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def test_file_whose_folder_is_gone_grows_on(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    descriptor = opened(folder / "log")
    try:
        file = RotatedFile(descriptor, LIMIT)
        (folder / "log").unlink()
        folder.rmdir()
        write(file, descriptor, b"x" * LIMIT)
        write(file, descriptor, b"more")
    finally:
        os.close(descriptor)


def test_queue_rotates_the_file_that_it_writes_to(tmp_path):
    descriptor = opened(tmp_path / "log")
    try:
        queue = OutputQueue(descriptor)
        queue.set_limit(LIMIT)
        for _ in range(60):
            queue.write(b"x" * 999 + b"\n")
        queue.close()
    finally:
        os.close(descriptor)
    assert (tmp_path / "log.1").exists()


def test_last_lines_reach_into_the_older_part(tmp_path):
    (tmp_path / "log.1").write_bytes(b"one\ntwo\n")
    (tmp_path / "log").write_bytes(b"three\n")
    assert last_lines(tmp_path / "log", 2) == b"two\nthree"
    assert last_lines(tmp_path / "log", 1) == b"three"
    assert last_lines(tmp_path / "other", 1) == b""


def test_reader_follows_a_file_through_rotations_and_misses_no_line(tmp_path):
    path = tmp_path / "log"
    reader = GrowingFile(path)
    seen = []
    written = threading.Event()

    def produce():
        descriptor = opened(path)
        file = RotatedFile(descriptor, LIMIT)
        for number in range(20_000):
            write(file, descriptor, b"%09d\n" % number)
            if number % 2000 == 0:
                turn.wait()  # as much as one part at the most between two looks
                turn.clear()
        os.close(descriptor)
        written.set()

    turn = threading.Event()
    thread = threading.Thread(target=produce)
    thread.start()
    while not written.is_set():
        seen += [int(line) for line in reader.new_lines()]
        turn.set()
        written.wait(0.01)
    thread.join()
    while lines := reader.new_lines():
        seen += [int(line) for line in lines]
    reader.close()
    assert seen == list(range(20_000))
