import pytest

from cnflow.interchange import spool as module
from cnflow.interchange.spool import Spool


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "spool", 1000)
    yield made
    made.close()


def test_messages_come_back_in_order_with_their_frames(spool):
    messages = [[b"head", b"", b"x" * 70], [b"alone"], [b"h", bytearray(b"large")]]
    for message in messages:
        spool.put(message)
    assert len(spool) == 3
    assert [spool.take() for _ in messages] == messages
    assert len(spool) == spool.bytes_on_disk == 0


def test_files_are_private_and_removed_once_they_are_read(spool, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEGMENT", 100)
    for n in range(10):
        spool.put([bytes([n]) * 60])
    files = list((tmp_path / "spool").iterdir())
    assert len(files) == 5
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert [spool.take()[0][0] for _ in range(5)] == list(range(5))
    assert len(list((tmp_path / "spool").iterdir())) == 3
    spool.put([bytes([10])])
    assert [spool.take()[0][0] for _ in range(6)] == list(range(5, 11))
    assert not (tmp_path / "spool").exists()


def test_spool_is_full_at_its_limit_and_takes_what_comes_nevertheless(spool):
    spool.put([b"x" * 1000])
    assert spool.is_full
    spool.put([b"y"])
    assert [spool.take(), spool.take()] == [[b"x" * 1000], [b"y"]]
    assert not spool.is_full


def test_messages_that_find_no_room_on_the_disk_stay_in_memory_and_in_order(spool, monkeypatch, caplog):
    spool.put([b"1"])

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", fail)
    spool.put([b"2"])
    monkeypatch.undo()
    spool.put([b"3"])
    assert spool.is_full
    assert "No space left on device" in caplog.text
    assert [spool.take() for _ in range(3)] == [[b"1"], [b"2"], [b"3"]]
    assert not spool.is_full
    assert not len(spool)
