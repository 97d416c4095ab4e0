"""Bodies of ``:predict`` and ``:stream``, of which rows are counted and not decoded. No I/O.

::

    [row, row]                                   ──> [result, result]
    {"row": row, "options": {...}}               ──> events, of ``:stream`` alone
    {"rows": [row, row], "options": {...}}       ──> {"results": [result, result]}
    {"instances": [row, row], "parameters": {}}  ──> {"predictions": [result, result]}    as KServe's V1 has it
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from cnflow.serving.http.problems import BadRequestError
from cnflow.text import did_you_mean

_WHITE = b" \t\r\n"
_FIELDS = ("instances", "options", "parameters", "rows", "signature_name")


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    rows: Raw | UnsetType = UNSET
    instances: Raw | UnsetType = UNSET
    options: dict[str, Any] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    signature_name: Any = None


class _Alone(msgspec.Struct, forbid_unknown_fields=True):
    row: Raw
    options: Raw = Raw(b"{}")


_alone = msgspec.json.Decoder(_Alone)
_wrapped = msgspec.json.Decoder(_Wrapped)
_elements = msgspec.json.Decoder(list[Raw])
_names = msgspec.json.Decoder(dict[str, Raw])


class PredictBody(NamedTuple):
    """Rows of a request."""

    rows: bytes
    """JSON array, checked to be one; its elements are not decoded."""

    row_count: int
    answer: str
    """Field of the answer that has the results; empty for an answer that is an array."""

    options: dict[str, Any]


def parse_predict(body: bytes) -> PredictBody:
    """Return the rows of *body*.

    Raises:
        BadRequestError: it is no JSON, or has no rows.
    """
    try:
        first = body[:1] if body[:1] in (b"[", b"{") else body.lstrip(_WHITE)[:1]
        if first == b"[":
            found = PredictBody(body, len(_elements.decode(body)), "", {})
        elif first == b"{":
            found = _unwrap(body)
        else:
            raise BadRequestError(_wanted("is neither an array nor an object" if first else "is empty"))
        if not body.isascii():
            body.decode()
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{_wanted('has another form')} {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"The body is no JSON: {error}.{_hint(body)}", "bad_json") from None
    except RecursionError:
        raise BadRequestError("The body is nested too deeply.", "bad_json") from None
    return found


def parse_stream(body: bytes) -> PredictBody:
    """Return the row of *body*, which may also be ``{"row": ROW}``, in an array.

    Raises:
        BadRequestError: it is no JSON, or has no row, or several.
    """
    if body.lstrip(_WHITE)[:1] == b"{":
        try:
            alone = _alone.decode(body)
        except (msgspec.DecodeError, RecursionError):
            pass  # `parse_predict` says what is wrong
        else:
            body = b'{"rows":[%b],"options":%b}' % (bytes(alone.row), bytes(alone.options))
    found = parse_predict(body)
    if found.row_count != 1:
        raise BadRequestError(f"A stream takes one row, not {found.row_count}.")
    return found


def wrap_results(results: bytes, answer: str) -> bytes:
    """Return the body of the response with *results*, a JSON array."""
    return b'{"%b":%b}' % (answer.encode(), results) if answer else results


def _unwrap(body: bytes) -> PredictBody:
    try:
        found = _wrapped.decode(body)
    except msgspec.ValidationError:
        unknown = [each for each in _names.decode(body) if each not in _FIELDS]
        if not unknown:
            raise
        raise BadRequestError(
            f"The body has the field {unknown[0]!r}, which is unknown.{did_you_mean(unknown[0], _FIELDS)} "
            f"Known: {', '.join(_FIELDS)}. A row that is an object goes in an array: [{{...}}]."
        ) from None
    rows, instances = found.rows, found.instances
    if isinstance(rows, Raw) and isinstance(instances, Raw):
        raise BadRequestError("The body has rows and instances; they mean the same: send one of them.")
    name, raw, answer = ("rows", rows, "results") if isinstance(rows, Raw) else ("instances", instances, "predictions")
    if not isinstance(raw, Raw):
        raise BadRequestError(_wanted("has no rows"))
    array = bytes(raw)
    if not array.startswith(b"["):
        raise BadRequestError(f"{name} is no array; a single row is an array of one.")
    options = found.options if isinstance(found.options, dict) else found.parameters
    return PredictBody(array, len(_elements.decode(array)), answer, options if isinstance(options, dict) else {})


def _wanted(fault: str) -> str:
    return f'The body {fault}. Send a JSON array of rows, or an object such as {{"rows": [...]}}.'


def _hint(body: bytes) -> str:
    if b"NaN" in body or b"Infinity" in body:
        return " JSON has neither NaN nor Infinity: send null, or tensors in binary form (/v2/models/NAME/infer)."
    return ""
