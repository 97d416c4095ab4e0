"""Tensors of the Open Inference Protocol, and rows made of them. Standard library; NumPy where it is installed.

::

    [Tensor("input", "FP32", (2, 3), ...)] ──to_rows──> [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    [Tensor("age", ...), Tensor("name", ...)] ────────> [{"age": 7, "name": "Ada"}, ...]       several: by name
    results, numbers or lists or dicts by name ──from_results──> [Tensor("output", ...)], or one for each name

Rows are what they are in JSON, lists of numbers, so that a model answers both alike.
"""

from __future__ import annotations

import itertools
import struct
from typing import Any, NamedTuple, Sequence

from cnflow.errors.apps import PredictModuleError
from cnflow.tasks import image_packages

NAMES_OF_ONE = ("input", "output")
"""Names of tensors where the model has none."""

# "Tensor Data Types" of
# https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
_CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_BF16 = "BF16"
_BF16_SHIFT = 16
"""Bits of an FP32 below those that BF16 has, its upper half."""

_LENGTH = struct.Struct("<I")


class Tensor(NamedTuple):
    """One named tensor."""

    name: str
    datatype: str
    """As the protocol has it: BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64, BF16, BYTES."""

    shape: tuple[int, ...]
    """The first dimension counts the rows."""

    data: bytes
    """Elements in row-major order, little-endian, one byte for each BOOL; of BYTES four bytes of length before each."""


def to_rows(tensors: Sequence[Tensor], *, as_array: bool = False) -> Any:  # noqa: ANN401 - a list or an array
    """Return a row for each element of the first dimension of *tensors*; with *as_array* the only one as an array.

    Raises:
        ValueError: they have different numbers of rows, or one is not as its shape says.
    """
    tensors = [Tensor(*tensor) for tensor in tensors]
    if not tensors or any(not tensor.shape for tensor in tensors):
        raise ValueError("it takes one tensor or more, with a first dimension that counts the rows")
    counts = {tensor.shape[0] for tensor in tensors}
    if len(counts) > 1:
        shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors)
        raise ValueError(f"the tensors have different numbers of rows: {shapes}")
    if len(tensors) == 1:
        return _array_of(tensors[0]) if as_array else _values_of(tensors[0])
    columns = [_array_of(tensor) if as_array else _values_of(tensor) for tensor in tensors]
    names = [tensor.name for tensor in tensors]
    return [dict(zip(names, values)) for values in zip(*columns)]


def from_results(model: str, results: Any) -> list[Tensor]:  # noqa: ANN401 - the user's values
    """Return tensors of *results*, one for each row: one for each name if they are dicts.

    Raises:
        PredictModuleError: they make no tensor.
    """
    if len(results) and all(isinstance(result, dict) for result in results):
        names = list(results[0])
        if any(list(result) != names for result in results):
            raise PredictModuleError(f"{model} returned dicts of different names, of which no tensors can be made.")
        return [_tensor_of(model, str(name), [result[name] for result in results]) for name in names]
    return [_tensor_of(model, NAMES_OF_ONE[1], results)]


# Reading


def _values_of(tensor: Tensor) -> list[Any]:
    _check_size(tensor)
    if tensor.datatype == _BF16 and not image_packages.has_numpy():
        halves = struct.unpack(f"<{_count(tensor.shape)}H", tensor.data)
        singles = struct.pack(f"<{len(halves)}I", *(half << _BF16_SHIFT for half in halves))
        return _nested(list(struct.unpack(f"<{len(halves)}f", singles)), tensor.shape)
    if tensor.datatype == "BYTES":
        return _nested(_texts_of(tensor), tensor.shape)
    if image_packages.has_numpy():
        values: list[Any] = _array_of(tensor).tolist()
        return values
    return _nested(list(struct.unpack(f"<{_count(tensor.shape)}{_code(tensor)}", tensor.data)), tensor.shape)


def _array_of(tensor: Tensor) -> Any:  # noqa: ANN401 - an array of NumPy
    numpy = image_packages.numpy()
    _check_size(tensor)
    if tensor.datatype == "BYTES":
        return numpy.array(_texts_of(tensor), dtype=object).reshape(tensor.shape)
    if tensor.datatype == _BF16:  # NumPy has none: as the FP32 of the same value
        halves = numpy.frombuffer(tensor.data, numpy.dtype("<u2")).astype(numpy.uint32)
        return (halves << _BF16_SHIFT).view(numpy.float32).reshape(tensor.shape)
    return numpy.frombuffer(bytearray(tensor.data), numpy.dtype(f"<{_code(tensor)}")).reshape(tensor.shape)


def _check_size(tensor: Tensor) -> None:
    if tensor.datatype == "BYTES":
        return
    size = 2 if tensor.datatype == _BF16 else struct.calcsize(f"<{_code(tensor)}")
    wanted = _count(tensor.shape) * size
    if len(tensor.data) != wanted:
        raise ValueError(
            f"tensor {tensor.name} of {tensor.datatype} {list(tensor.shape)} has {wanted} bytes, not {len(tensor.data)}"
        )


def _code(tensor: Tensor) -> str:
    if tensor.datatype not in _CODES:
        known = ", ".join((*_CODES, _BF16, "BYTES"))
        raise ValueError(f"tensor {tensor.name} has datatype {tensor.datatype!r}; known: {known}")
    return _CODES[tensor.datatype]


def _texts_of(tensor: Tensor) -> list[Any]:
    """Return the elements as texts, or as bytes where they are no UTF-8."""
    data, at, found = tensor.data, 0, []
    while at + 4 <= len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += 4
        if at + size > len(data):
            break
        found.append(data[at : at + size])
        at += size
    if at != len(data) or len(found) != _count(tensor.shape):
        raise ValueError(f"tensor {tensor.name} does not have the {_count(tensor.shape)} elements of its shape")
    try:
        return [each.decode() for each in found]
    except UnicodeDecodeError:
        return list(found)


def _nested(flat: list[Any], shape: Sequence[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        flat = [flat[begin : begin + size] for begin in range(0, len(flat), size)] if size else [[]] * shape[0]
    return flat


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


# Writing


def _tensor_of(model: str, name: str, values: Any) -> Tensor:  # noqa: ANN401 - the user's values
    try:
        if image_packages.has_numpy():
            return _from_array(name, values)
        return _from_lists(name, list(values))
    except (ValueError, TypeError, struct.error, OverflowError) as error:
        raise PredictModuleError(
            f"{model} returned what no tensor {name!r} can be made of ({error}). Return numbers, texts, or lists of "
            "them, of one shape for all rows."
        ) from None


def _from_array(name: str, values: Any) -> Tensor:  # noqa: ANN401 - the user's values
    numpy = image_packages.numpy()
    array = numpy.asarray(values)
    if array.dtype.kind in "OUS":
        return _from_lists(name, array.tolist())
    datatype = _datatype_of(array.dtype)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return Tensor(name, datatype, tuple(array.shape), numpy.ascontiguousarray(little).tobytes())


def _datatype_of(dtype: Any) -> str:  # noqa: ANN401 - a dtype of NumPy
    letter = {"b": "BOOL", "u": "UINT", "i": "INT", "f": "FP"}.get(dtype.kind)
    name = letter if letter == "BOOL" or letter is None else f"{letter}{dtype.itemsize * 8}"
    if name not in _CODES:
        raise ValueError(f"dtype {dtype} is none of the protocol's")
    return str(name)


def _from_lists(name: str, values: list[Any]) -> Tensor:
    shape, flat = [len(values)], values
    while flat and all(isinstance(each, (list, tuple)) for each in flat):
        sizes = {len(each) for each in flat}
        if len(sizes) > 1:
            raise ValueError("rows have different lengths")
        shape.append(sizes.pop())
        flat = list(itertools.chain.from_iterable(flat))
    kinds = {type(each) for each in flat}
    if kinds <= {str, bytes}:
        encoded = [each.encode() if isinstance(each, str) else each for each in flat]
        data = b"".join(_LENGTH.pack(len(each)) + each for each in encoded)
        return Tensor(name, "BYTES" if flat else "FP64", tuple(shape), data)
    datatype = "BOOL" if kinds == {bool} else "INT64" if kinds <= {int, bool} else "FP64"
    if not kinds <= {int, bool, float}:
        raise TypeError(f"a value of type {next(kind for kind in kinds if kind not in {int, bool, float}).__name__}")
    return Tensor(name, datatype, tuple(shape), struct.pack(f"<{len(flat)}{_CODES[datatype]}", *flat))
