import os

import pytest

from cnflow.wire import blob_digest
from cnflow.wire.blob_digest import LEAF, Digest, digest_of, digest_of_file


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7])
def test_digest_does_not_depend_on_the_cores_of_the_machine(monkeypatch, threads):
    data = os.urandom(8 * LEAF + 3)
    expected = digest_of(data)
    monkeypatch.setattr(blob_digest.os, "cpu_count", lambda: threads)
    assert digest_of(data) == expected


def test_digest_of_an_array_is_that_of_its_bytes():
    data = memoryview(bytearray(8 * LEAF)).cast("d")
    assert digest_of(data) == digest_of(bytes(8 * LEAF))


def test_one_changed_byte_changes_the_digest():
    data = bytearray(3 * LEAF)
    before = digest_of(data)
    data[2 * LEAF] = 1
    assert digest_of(data) != before
    assert digest_of(data[:-1]) != before


def test_thread_that_fails_gives_no_digest(monkeypatch):
    monkeypatch.setattr(blob_digest, "_run_together", lambda share, count: share(0))
    monkeypatch.setattr(blob_digest.os, "cpu_count", lambda: 2)
    with pytest.raises(RuntimeError, match="digest of a blob"):
        digest_of(bytes(9 * LEAF))


@pytest.mark.parametrize("size", [0, 1, LEAF - 1, LEAF, LEAF + 1, 9 * LEAF + 5])
def test_digest_of_a_file_and_of_its_pieces_is_that_of_its_bytes(tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    in_pieces = Digest()
    for start in range(0, size, 700_001):
        in_pieces.update(data[start : start + 700_001])
    with (tmp_path / "file").open("rb") as file:
        assert digest_of(data) == digest_of_file(file.fileno(), size) == in_pieces.digest()


def test_file_that_is_shorter_than_its_size_has_no_digest(tmp_path):
    (tmp_path / "file").write_bytes(bytes(9 * LEAF))
    with (tmp_path / "file").open("rb") as file, pytest.raises(EOFError, match="no 9,437,185 bytes"):
        digest_of_file(file.fileno(), 9 * LEAF + 1)
