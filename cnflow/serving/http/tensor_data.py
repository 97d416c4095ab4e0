"""Data of tensors: numbers of JSON to the binary form of the Open Inference Protocol, and back. No I/O.

Binary tensors are row-major and little-endian; an element of BYTES is its length in four bytes, and itself:
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md#tensor-data-types
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.serving.http.problems import BadRequestError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CODES = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
"""Codes of `struct` by datatype."""

SIZES: dict[str, int] = {name: struct.calcsize(f"<{code}") for name, code in _CODES.items()} | {"BF16": 2}
"""Bytes of an element, by datatype; an element of BYTES has no size."""

DATATYPES = (*SIZES, "BYTES")

_FLOATS = ("FP16", "FP32", "FP64")
_LENGTH = struct.Struct("<I")

_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    **{name: msgspec.json.Decoder(list[int]) for name in SIZES},
    **{name: msgspec.json.Decoder(list[float]) for name in _FLOATS},
    "BOOL": msgspec.json.Decoder(list[bool]),
    "BYTES": msgspec.json.Decoder(list[str]),
}
_any = msgspec.json.Decoder()
_types: dict[str, type] = {**dict.fromkeys(SIZES, int), **dict.fromkeys(_FLOATS, float), "BOOL": bool, "BYTES": str}


def check_datatype(name: str, datatype: str) -> None:
    """Raise a BadRequestError if there is no such datatype."""
    if datatype not in SIZES and datatype != "BYTES":
        hint = did_you_mean(datatype, DATATYPES)
        raise BadRequestError(f"Tensor {name!r}: no datatype {datatype!r}.{hint} Known: {', '.join(DATATYPES)}.")


def data_from_json(name: str, datatype: str, elements: int, raw: bytes) -> bytes:
    """Return the binary form of *raw*, a JSON array, flat or nested as the shape is.

    Raises:
        BadRequestError: it has other elements than *datatype*, or not as many as *elements*.
    """
    if datatype == "BF16":
        raise BadRequestError(f"Tensor {name!r}: BF16 has no JSON form; send it as binary data.")
    try:
        values = _decoders[datatype].decode(raw)
    except msgspec.ValidationError as error:
        values = _flattened(name, datatype, raw, error)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"Tensor {name!r}: {error}.", "bad_json") from None
    if len(values) != elements:
        raise BadRequestError(f"Tensor {name!r}: its shape has {elements} elements, its data {len(values)}.")
    if datatype == "BYTES":
        return b"".join(_with_length(value.encode()) for value in values)
    try:
        return struct.pack(f"<{len(values)}{_CODES[datatype]}", *values)
    except (struct.error, OverflowError) as error:
        raise BadRequestError(f"Tensor {name!r}: an element is out of the range of {datatype} ({error}).") from None


def data_to_values(name: str, datatype: str, data: bytes) -> list[Any]:
    """Return the elements of binary *data* as values that JSON has.

    Raises:
        BadRequestError: JSON cannot say them: NaN, infinity, BF16, or bytes that are no UTF-8.
    """
    advice = 'Ask for binary data: {"parameters": {"binary_data_output": true}}.'
    if datatype == "BYTES":
        try:
            return [bytes(element).decode() for element in split_bytes(name, data)]
        except UnicodeDecodeError:
            raise BadRequestError(f"Output {name!r} has bytes that are no UTF-8. {advice}", "no_json_form") from None
    if datatype == "BF16":
        raise BadRequestError(f"Output {name!r} is BF16, which has no JSON form. {advice}", "no_json_form")
    values = list(struct.unpack(f"<{len(data) // SIZES[datatype]}{_CODES[datatype]}", data))
    if datatype in _FLOATS and not math.isfinite(math.fsum(0.0 * value for value in values)):
        raise BadRequestError(f"Output {name!r} has NaN or infinity, which JSON has not. {advice}", "no_json_form")
    return values


def check_binary(name: str, datatype: str, elements: int, data: bytes | memoryview) -> None:
    """Raise a BadRequestError unless *data* has as many elements as the shape."""
    if datatype == "BYTES":
        found = sum(1 for _ in split_bytes(name, data))
        if found != elements:
            raise BadRequestError(f"Tensor {name!r}: its shape has {elements} elements, its data {found}.")
    elif len(data) != elements * SIZES[datatype]:
        raise BadRequestError(
            f"Tensor {name!r}: its shape has {elements} elements of {datatype}, which are "
            f"{elements * SIZES[datatype]} bytes, its data {len(data)}."
        )


def split_bytes(name: str, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """Yield the elements of a tensor of BYTES.

    Raises:
        BadRequestError: a length goes beyond the end.
    """
    place, end = 0, len(data)
    while place < end:
        if place + 4 > end:
            raise BadRequestError(f"Tensor {name!r}: BYTES end within the length of an element.")
        (length,) = _LENGTH.unpack_from(data, place)
        place += 4 + length
        if place > end:
            raise BadRequestError(f"Tensor {name!r}: an element of BYTES has {length} bytes, and fewer are there.")
        yield data[place - length : place]


def _with_length(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _flattened(name: str, datatype: str, raw: bytes, fault: msgspec.ValidationError) -> Sequence[Any]:
    """Return the elements of nested lists, in their order."""
    try:
        found = _any.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise BadRequestError(f"Tensor {name!r}: its data is no JSON, or is nested too deeply.", "bad_json") from None
    kind = _types[datatype]
    values: list[Any] = []
    waiting: list[Any] = [found] if isinstance(found, list) else []
    while waiting:
        last = waiting.pop()
        if isinstance(last, list):
            waiting.extend(reversed(last))
        elif type(last) is kind or (kind is float and type(last) is int):
            values.append(last)
        else:
            waiting.clear()
            found = None
    if not isinstance(found, list):
        raise BadRequestError(f"Tensor {name!r} is of {datatype}, and its data is not: {fault}.")
    return values
