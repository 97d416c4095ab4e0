"""What the user says of a file that travels: compared once for each content."""

import hashlib

import pytest

from cnflow import File
from cnflow.errors import StagingError
from cnflow.staging import built_in
from cnflow.testing.items import FakeItemStore

TIMEOUT = 10


@pytest.fixture
def reads(monkeypatch):
    seen, sha256_of = [], built_in._sha256_of
    monkeypatch.setattr(built_in, "_sha256_of", lambda path: seen.append(path) or sha256_of(path))
    monkeypatch.setattr(built_in, "_verified", set())
    return seen


def offer(store, path, content):
    file = File(str(path), sha256=hashlib.sha256(content).hexdigest())
    return built_in.offered(store, file, str(path))


def test_checksum_is_compared_once_for_each_content(tmp_path, reads):
    store, path = FakeItemStore(tmp_path / "area"), tmp_path / "a"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        for _ in range(3):
            assert offer(store, path, content).result(TIMEOUT).item.size == 3
    assert len(reads) == 2


def test_other_content_is_refused_each_time(tmp_path, reads):
    store, path = FakeItemStore(tmp_path / "area"), tmp_path / "a"
    path.write_bytes(b"two")
    for _ in range(2):
        with pytest.raises(StagingError, match=r"has the SHA-256 .*, and not .* as its File says"):
            offer(store, path, b"one").result(TIMEOUT)
    assert not store.held


def test_temporary_folder_is_removed_by_the_process_that_made_it_alone(tmp_path):
    folder = tmp_path / "1"
    folder.mkdir()
    made = built_in.TemporaryFolder(str(folder))
    made._getpid = lambda: 1
    del made
    assert folder.exists()
    built_in.TemporaryFolder(str(folder))
    assert not folder.exists()
