import sys
import threading

import pytest

from cnflow.wire import serialization


def roundtrip(value):
    body, buffers, _ = serialization.dump(value)
    return serialization.load(body, buffers)


@pytest.mark.parametrize("value", [None, 1, "x", b"y", [1, {"a": (2, {3})}], ((1,), {"k": 2}), bytearray(b"z")])
def test_plain_values_come_back_equal_and_any_python_can_load_them(value):
    assert roundtrip(value) == value
    assert serialization.dump(value).python == ""


def test_code_is_marked_with_the_minor_version_it_was_compiled_by():
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert serialization.dump(lambda: 1).python == minor
    assert serialization.dump([{"f": lambda: 1}]).python == minor
    assert serialization.dump(len).python == ""


def test_a_class_defined_in_main_is_marked_as_code_too():
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


def test_what_cannot_be_pickled_raises():
    with pytest.raises(TypeError, match="lock"):
        serialization.dump(threading.Lock())
