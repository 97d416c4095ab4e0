import errno
import os

import pytest

from cnflow.model.events import DroppedEvents
from cnflow.monitoring.store.journal import BEGIN, Journal, JournalError, JournalReader, decode, encode

PARTS = [b"one", b"two" * 1000, b"", b"four"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def written(path):
    journals = []

    def write(parts):
        journal = Journal(path, "run-1")
        journals.append(journal)
        for part in parts:
            journal.append(part)
        return journal

    yield write
    for journal in journals:
        journal.close()


@pytest.fixture
def read(path):
    readers = []

    def open_one():
        readers.append(JournalReader(path))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.close()


def test_frames_are_read_as_they_were_written(written, read):
    written(PARTS)
    reader = read()
    assert reader.run == "run-1"
    assert list(reader.payloads(10**9)) == PARTS
    assert list(reader.payloads(10**9)) == []


def test_reader_goes_on_at_a_position(written, read):
    written(PARTS)
    first = read()
    next(first.payloads(1))
    again = read()
    again.seek(first.position)
    assert list(again.payloads(10**9)) == PARTS[1:]


@pytest.mark.parametrize("cut", range(1, 12))
def test_frame_that_is_cut_short_is_waited_for(path, written, read, cut):
    written([b"whole", b"half"])
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    reader = read()
    assert list(reader.payloads(10**9)) == [b"whole"]
    path.write_bytes(data)
    assert list(reader.payloads(10**9)) == [b"half"]


def test_full_disk_leaves_no_half_frame(written, read, monkeypatch):
    journal = written([b"one"])
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space"):
        journal.append(b"two")
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:3], at))
    journal.append(b"three")
    assert list(read().payloads(10**9)) == [b"one", b"three"]


def test_damage_is_reported_with_its_place(path, written, read):
    written([b"one", b"two"])
    data = bytearray(path.read_bytes())
    data[BEGIN + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match=f"byte {BEGIN}"):
        list(read().payloads(10**9))


def test_zeros_that_a_loss_of_power_has_left_are_no_events(path, written, read):
    written([encode([DroppedEvents(time=1.0, count=1, source="x")])])
    with path.open("ab") as file:
        file.write(bytes(20))
    first, *others = (decode(payload) for payload in read().payloads(10**9))
    assert (len(first[0]), others) == (1, [([], 1)] * 2)


def test_other_file_is_no_journal(path):
    path.write_text("x" * 1000)
    with pytest.raises(JournalError):
        JournalReader(path)


def test_text_that_is_no_unicode_is_replaced():
    payload = encode([DroppedEvents(time=1.0, count=1, source="a\udce4b")])
    assert decode(payload) == ([DroppedEvents(time=1.0, count=1, source="a?b")], 0)


def test_number_that_is_too_large_costs_no_other_event():
    events = [DroppedEvents(time=1.0, count=n, source="x") for n in (1, 2**70)]
    expected = [DroppedEvents(time=1.0, count=n, source="x") for n in (1, 2**63 - 1)]
    assert decode(encode(events)) == (expected, 0)


def test_events_that_cannot_be_read_cost_none_of_the_others():
    import msgspec

    good = msgspec.msgpack.encode(DroppedEvents(time=1.0, count=1, source="x"))
    payload = b"\x92" + msgspec.msgpack.encode({"kind": "of_tomorrow", "time": 1.0}) + good
    assert decode(payload) == ([DroppedEvents(time=1.0, count=1, source="x")], 1)
