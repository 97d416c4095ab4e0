import signal
import subprocess
import sys
import threading
import zipfile

import pytest

from cnflow.errors import StagingError
from cnflow.tasks.staging import archives


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("old/x", "old")
        made.writestr("y", "y")
    return str(tmp_path / "a.zip")


@pytest.fixture
def new(tmp_path):
    path = tmp_path / "new"
    path.write_text("new")
    return str(path)


def content(archive):
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return [(name, opened.read(name).decode()) for name in opened.namelist()]


def test_member_is_extracted(archive, tmp_path):
    archives.extract(archive, "old/x", str(tmp_path / "deep" / "x"))
    assert (tmp_path / "deep" / "x").read_text() == "old"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x"]


def test_missing_member_or_archive_is_named(archive, tmp_path):
    with pytest.raises(StagingError, match=r"a\.zip has no member 'no'"):
        archives.extract(archive, "no", str(tmp_path / "x"))
    with pytest.raises(StagingError, match=r"none\.zip does not exist; 'x' cannot be extracted"):
        archives.extract(str(tmp_path / "none.zip"), "x", str(tmp_path / "x"))
    assert not (tmp_path / "none.zip.lock").exists()
    assert not (tmp_path / "x").exists()


def test_damaged_archive_is_reported(tmp_path, new):
    (tmp_path / "bad.zip").write_text("bad")
    with pytest.raises(StagingError, match=r"bad\.zip: File is not a zip file"):
        archives.extract(str(tmp_path / "bad.zip"), "x", str(tmp_path / "x"))
    with pytest.raises(StagingError, match=r"bad\.zip as 'x': File is not a zip file"):
        archives.add(new, str(tmp_path / "bad.zip"), "x")


def test_file_is_moved_into_a_new_archive(tmp_path, new):
    archives.add(new, str(tmp_path / "deep" / "b.zip"), "in/new")
    assert content(tmp_path / "deep" / "b.zip") == [("in/new", "new")]
    assert not (tmp_path / "new").exists()


def test_file_is_added_to_the_others(archive, new):
    archives.add(new, archive, "new")
    assert content(archive) == [("old/x", "old"), ("y", "y"), ("new", "new")]


def test_file_replaces_an_older_member_of_its_name(archive, new):
    archives.add(new, archive, "old/x")
    assert content(archive) == [("y", "y"), ("old/x", "new")]


def test_missing_output_is_named(archive, tmp_path):
    with pytest.raises(StagingError, match=r"did not make .*/no, which should become 'x'"):
        archives.add(str(tmp_path / "no"), archive, "x")


def test_failed_write_leaves_the_archive_unchanged(archive, new, monkeypatch):
    def full(self, *_, **__):
        self.fp.seek(self.start_dir)
        self.fp.write(b"half of it")
        raise OSError(28, "No space left on device")

    before = content(archive)
    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(StagingError, match="No space left"):
        archives.add(new, archive, "new")
    assert content(archive) == before


def test_killed_writer_leaves_the_archive_unchanged(archive, new):
    killed = """
import os, signal, sys, zipfile
from cnflow.tasks.staging import archives

def half(self, *_, **__):
    self.fp.write(b"half of it")
    self.fp.flush()
    os.kill(os.getpid(), signal.SIGKILL)

zipfile.ZipFile.write = half
archives.add(*sys.argv[1:])
"""
    before = content(archive)
    done = subprocess.run([sys.executable, "-c", killed, new, archive, "new"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(archive) == before
    archives.add(new, archive, "new")
    assert content(archive) == [*before, ("new", "new")]


def test_reading_needs_no_lock(archive, tmp_path):
    archives.extract(archive, "y", str(tmp_path / "y"))
    assert not (tmp_path / "a.zip.lock").exists()


def test_many_threads_fill_one_archive(archive, tmp_path):
    def put(number):
        path = tmp_path / str(number)
        path.write_text(str(number))
        archives.add(str(path), archive, f"n/{number}")

    threads = [threading.Thread(target=put, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(content(archive)) == {"old/x": "old", "y": "y", **{f"n/{n}": str(n) for n in range(16)}}
