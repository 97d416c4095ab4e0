"""Requests and responses of the Open Inference Protocol's ``infer``, with tensors as JSON or behind it. No I/O.

::

    body = JSON [ + data of the first binary tensor + data of the second + ... ]
           Inference-Header-Content-Length counts the bytes of the JSON; without it all is JSON

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from cnflow.serving.http import tensor_data
from cnflow.serving.http.problems import BadRequestError
from cnflow.tasks.tensors import Tensor

_Natural = Annotated[int, Meta(ge=0)]
_NOT_HERE = ("shared_memory_region", "classification")


class _Input(msgspec.Struct):
    name: str
    shape: list[_Natural]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Raw | UnsetType = UNSET


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Infer(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


class _Given(msgspec.Struct, omit_defaults=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, int] = {}
    data: list[Any] | UnsetType = UNSET


class _Answer(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_Given]
    id: str = ""


_request = msgspec.json.Decoder(_Infer)
_encode = msgspec.json.Encoder().encode


class InferBody(NamedTuple):
    """A request of ``infer``."""

    tensors: list[Tensor]
    row_count: int
    """Rows: the first dimension of all tensors."""

    apart: str
    """What tensors that can be stacked have in common: names, datatypes, and shapes without the first dimension."""

    id: str
    options: dict[str, Any]
    """Parameters that the protocol does not know: they are the model's."""

    timeout: float | None
    """Seconds."""

    is_bulk: bool
    outputs: dict[str, bool]
    """Wanted outputs, and whether as binary data; empty for all."""

    is_binary: bool
    """How outputs are sent that are not in `outputs`."""


def parse_infer(body: bytes, header_length: int | None) -> InferBody:
    """Return the request in *body*, whose first *header_length* bytes are JSON; None if all are.

    Raises:
        BadRequestError: it is no request of the protocol, or wants what is not served.
    """
    if header_length is not None and not 0 < header_length <= len(body):
        raise BadRequestError(f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes.")
    try:
        head = _request.decode(body if header_length is None else body[:header_length])
    except msgspec.ValidationError as error:
        raise BadRequestError(f"The body is no request of the Open Inference Protocol: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"The body is no JSON: {error}.", "bad_json") from None
    except RecursionError:
        raise BadRequestError("The body is nested too deeply.", "bad_json") from None
    tensors = _tensors(head.inputs, memoryview(body)[len(body) if header_length is None else header_length :])
    parameters = head.parameters
    is_binary = bool(parameters.pop("binary_data_output", False))
    priority = _number(parameters, "priority")
    microseconds = _number(parameters, "timeout")
    return InferBody(
        tensors,
        tensors[0].shape[0],
        ";".join(f"{each.name}:{each.datatype}:{','.join(map(str, each.shape[1:]))}" for each in tensors),
        head.id,
        parameters,
        microseconds / 1e6 if microseconds else None,
        priority > 1,
        {each.name: bool(_checked(each).get("binary_data", is_binary)) for each in head.outputs},
        is_binary,
    )


def infer_response(model: str, version: str, asked: InferBody, results: list[Tensor]) -> tuple[bytes, int | None]:
    """Return the body of the response, and the length of its JSON if data is behind it.

    Raises:
        BadRequestError: an output is wanted that is not there, or one as JSON that has no such form.
    """
    if asked.outputs:
        named = {each.name: each for each in results}
        missing = [name for name in asked.outputs if name not in named]
        if missing:
            raise BadRequestError(f"The model has no output {missing[0]!r}. Its outputs: {', '.join(named)}.")
        results = [named[name] for name in asked.outputs]
    outputs, behind = [], []
    for each in results:
        name, datatype, shape, data = each
        if asked.outputs.get(name, asked.is_binary):
            outputs.append(_Given(name, shape, datatype, {"binary_data_size": len(data)}))
            behind.append(data)
        else:
            outputs.append(_Given(name, shape, datatype, data=tensor_data.data_to_values(name, datatype, data)))
    head = _encode(_Answer(model, version, outputs, asked.id))
    return (b"".join((head, *behind)), len(head)) if behind else (head, None)


def _tensors(inputs: list[_Input], behind: memoryview) -> list[Tensor]:
    if not inputs:
        raise BadRequestError("The request has no inputs.")
    tensors: list[Tensor] = []
    place = 0
    for each in inputs:
        name, shape = each.name, tuple(each.shape)
        tensor_data.check_datatype(name, each.datatype)
        if not shape:
            raise BadRequestError(f"Tensor {name!r} has no dimension; the first one counts the rows.")
        if tensors and (shape[0] != tensors[0].shape[0] or any(name == other.name for other in tensors)):
            raise BadRequestError(
                f"Tensor {name!r} has {shape[0]} rows, tensor {tensors[0].name!r} {tensors[0].shape[0]}."
                if shape[0] != tensors[0].shape[0]
                else f"Two tensors are called {name!r}."
            )
        elements = math.prod(shape)
        size = _checked(each).get("binary_data_size")
        if size is None:
            if each.data is UNSET:
                raise BadRequestError(f"Tensor {name!r} has neither data nor a binary_data_size.")
            data = tensor_data.data_from_json(name, each.datatype, elements, bytes(each.data))
        else:
            data = _slice(name, behind, place, size)
            place += size
            tensor_data.check_binary(name, each.datatype, elements, data)
        tensors.append(Tensor(name, each.datatype, shape, data))
    if place != len(behind):
        raise BadRequestError(f"{len(behind) - place} bytes are behind the last binary tensor.")
    return tensors


def _slice(name: str, behind: memoryview, place: int, size: object) -> bytes:
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadRequestError(f"Tensor {name!r}: binary_data_size is a number of bytes, not {size!r}.")
    if place + size > len(behind):
        raise BadRequestError(
            f"Tensor {name!r} has {size} bytes of binary data, and {len(behind) - place} are left of the body."
        )
    return bytes(behind[place : place + size])


def _checked(each: _Input | _Output) -> dict[str, Any]:
    for name in _NOT_HERE:
        if name in each.parameters:
            raise BadRequestError(f"Tensor {each.name!r}: {name} is not served here; send data in the body.")
    return each.parameters


def _number(parameters: dict[str, Any], name: str) -> float:
    value = parameters.pop(name, 0)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
        raise BadRequestError(f"The parameter {name!r} is a number of 0 or more, not {value!r}.")
    return value
