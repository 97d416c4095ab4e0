import errno
import os
from pathlib import Path

import pytest

from cnflow.interchange.blob_store import BlobStore


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs", most_in_memory=100)


def fill(store, name, size):
    store.open(name, size)
    content = os.urandom(size)
    for begin in range(0, size, 7):
        store.write(name, begin, memoryview(content)[begin : begin + 7])
    return content


def test_blob_is_read_as_it_was_written_in_memory_and_on_disk(store):
    contents = {name: fill(store, name, 60) for name in (b"a", b"b")}
    assert (store.bytes_in_memory, store.bytes_on_disk) == (60, 60)
    for name, content in contents.items():
        assert bytes(store.read(name, 0, 60)) == content
        assert bytes(store.read(name, 13, 20)) == content[13:33]


def test_removed_blob_leaves_nothing(store, tmp_path):
    fill(store, b"a", 60)
    fill(store, b"b", 60)
    store.remove(b"a")
    store.clear()
    store.remove(b"never here")
    assert (len(store), store.bytes_in_memory, store.bytes_on_disk) == (0, 0, 0)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_room_of_a_removed_blob_is_used_again(store):
    fill(store, b"a", 90)
    store.remove(b"a")
    fill(store, b"b", 90)
    assert store.bytes_in_memory == 90


def test_files_are_private(store, tmp_path):
    fill(store, b"a", 200)
    (file,) = (tmp_path / "blobs").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_full_disk_is_an_error_before_the_first_byte_and_leaves_no_file(store, tmp_path, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        store.open(b"a", 200)
    assert b"a" not in store
    assert list((tmp_path / "blobs").iterdir()) == []


def test_many_blobs_on_disk_take_no_descriptors(store):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(50):
        fill(store, b"%d" % number, 200)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
