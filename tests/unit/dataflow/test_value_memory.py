"""Memory of put values: written whole, shared by path, and used again only when nobody can see it."""

import gc
import os
from pathlib import Path

import pytest

import cnflow
from cnflow.dataflow.references import memory
from cnflow.dataflow.references.memory import ValueMemory
from cnflow.tasks import value_files
from cnflow.tasks.file_identity import identity_of
from cnflow.wire.serialization import Payload

SIZE = 3_000_001


@pytest.fixture(autouse=True)
def no_free_segments():
    memory._free.clear()


def put(letter):
    return ValueMemory(Payload(b"body", (memoryview(letter * SIZE),)))


def content(value):
    return [bytes(part) for part in value_files.parts_of(value.view)]


def inode(value):
    return os.fstat(value._segment.descriptor).st_ino


@pytest.mark.parametrize("threads_from", [0, 2**30])
def test_value_is_written_whole_by_any_number_of_threads(monkeypatch, threads_from):
    monkeypatch.setattr(memory, "_THREADS_FROM", threads_from)
    assert content(put(b"a")) == [b"body", b"a" * SIZE]


def test_memory_of_a_dropped_value_is_used_again():
    first = put(b"a")
    before = inode(first)
    del first
    second = put(b"b")
    assert inode(second) == before
    assert content(second) == [b"body", b"b" * SIZE]


def test_memory_is_not_used_again_while_a_part_of_its_value_is_seen():
    first = put(b"a")
    before, part = inode(first), value_files.parts_of(first.view)[1]
    del first
    gc.collect()
    second = put(b"b")
    assert inode(second) != before
    assert bytes(part) == b"a" * SIZE


def test_memory_that_another_process_may_have_is_never_used_again():
    first = put(b"a")
    before = inode(first)
    first.share()
    del first
    assert inode(put(b"b")) != before


def test_free_memory_is_limited(monkeypatch):
    monkeypatch.setattr(memory, "_REUSED", SIZE)
    first = put(b"a")
    descriptor = first._segment.descriptor
    del first
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_path_and_identity_of_a_shared_value():
    value = put(b"a")
    path, _, identity = value.share().partition(" ")
    with Path(path).open("rb") as file:
        assert identity_of(file.fileno()) == identity
        assert file.read() == bytes(value.view)


def test_array_of_a_reference_is_read_only_and_outlives_it():
    numpy = pytest.importorskip("numpy")
    array = cnflow.put(numpy.ones(SIZE)).get()
    other = cnflow.put(numpy.zeros(SIZE)).get()
    assert array.sum() == SIZE
    assert not other.sum()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


class _Cycle:
    pass


def test_value_may_end_by_the_collector_at_any_point():
    thresholds = gc.get_threshold()
    try:
        for number in range(300):
            gc.set_threshold(1 + number % 59)
            cycle = _Cycle()
            cycle.itself, cycle.value = cycle, cnflow.put(b"a" * 30_000)
            cnflow.put(b"b" * 30_000)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert not memory._gone


def test_memory_that_a_forked_child_may_have_is_never_used_again():
    first = put(b"a")
    before = inode(first)
    memory._on_fork()
    del first
    assert inode(put(b"b")) != before
