import sys
import threading

import pytest

from cnflow.wire import serialization


def roundtrip(value):
    body, buffers, _ = serialization.dump(value)
    return serialization.load(body, buffers)


@pytest.mark.parametrize("value", [None, 1, "x", b"y", [1, {"a": (2, {3})}], ((1,), {"k": 2}), bytearray(b"z")])
def test_plain_values_round_trip_and_need_no_python_version(value):
    assert roundtrip(value) == value
    assert serialization.dump(value).python == ""


def test_bytecode_is_marked_with_its_minor_version():
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert serialization.dump(lambda: 1).python == minor
    assert serialization.dump([{"f": lambda: 1}]).python == minor
    assert serialization.dump(len).python == ""


def test_class_of_main_is_marked_as_bytecode():
    cls = type("Local", (), {"f": lambda self: 1})
    cls.__module__ = "__main__"
    assert serialization.dump(cls()).python != ""


class Buffer:
    """Reduces to a large buffer, as NumPy arrays do."""

    def __init__(self, data):
        self.data = bytearray(data)

    def __reduce_ex__(self, protocol):
        import pickle

        return bytearray, (pickle.PickleBuffer(self.data),)


def test_large_buffers_travel_out_of_band_and_are_not_copied():
    value = Buffer(b"x" * serialization.OUT_OF_BAND)
    body, buffers, _ = serialization.dump(value)
    assert len(body) < 1000
    assert buffers[0].obj is value.data
    assert serialization.load(body, buffers) == value.data


def test_small_buffers_stay_in_the_body():
    assert serialization.dump(Buffer(b"x" * 10)).buffers == ()


def test_unpicklable_value_raises_the_error_of_pickle():
    with pytest.raises(TypeError, match="lock"):
        serialization.dump(threading.Lock())
