"""Layout of values that are mapped."""

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.tasks import value_files
from cnflow.wire.serialization import Payload


def packed(body, buffers=(), python=""):
    return b"".join(value_files.chunks_of(Payload(body, tuple(map(memoryview, buffers)), python)))


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=5))
def test_parts_come_back_and_are_aligned(body, buffers):
    content = packed(body, buffers)
    parts = value_files.parts_of(content)
    assert [bytes(part) for part in parts] == [body, *buffers]
    assert len(content) % 64 == 0


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(content):
    with pytest.raises(value_files.ValueFormatError):
        value_files.load(content)


@given(st.integers(0, 300))
def test_value_that_is_cut_off_is_refused(length):
    content = packed(b"x" * 200, [b"y" * 100])
    with pytest.raises(value_files.ValueFormatError):
        value_files.parts_of(content[:length])


def test_python_of_a_value():
    assert value_files.python_of(packed(b"", python="3.11")) == "3.11"
    assert not value_files.python_of(packed(b""))


@pytest.mark.parametrize("private", [False, True])
def test_buffers_are_views_of_the_map(tmp_path, private):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    buffers = []
    body = pickle.dumps(array, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    path = tmp_path / "value"
    with path.open("wb") as file:
        value_files.write(file.fileno(), value_files.chunks_of(Payload(body, tuple(buffers))))
    loaded = value_files.load(value_files.map_file(os.fspath(path), private=private))
    path.unlink()
    assert loaded.flags.writeable == private
    assert loaded.ctypes.data % 64 == 0
    assert (loaded == array).all()
