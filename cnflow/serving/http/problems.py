"""Errors as bodies of responses: those of our own API, and of the Open Inference Protocol. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from cnflow.serving.service import ServingError

_encoder = msgspec.json.Encoder()


class BadRequestError(ServingError):
    """A request that says something that cannot be understood; another try is no use."""

    def __init__(self, message: str, code: str = "bad_request", status: int = 400) -> None:
        super().__init__(message, status, code)


def problem_body(error: ServingError, request_id: str, *, is_protocol: bool) -> bytes:
    """Return the JSON of *error*.

    Args:
        error: what went wrong.
        request_id: of the request.
        is_protocol: True for an address of the Open Inference Protocol, whose ``error`` is a text.
    """
    facts: dict[str, Any] = {"code": error.code}
    if not is_protocol:
        facts["message"] = str(error)
    if error.details:
        facts["details"] = list(error.details)
    if error.retry_after is not None:
        facts["retry_after"] = error.retry_after
    facts["request_id"] = request_id
    body = {"error": str(error), **facts} if is_protocol else {"error": facts}
    return _encoder.encode(msgspec.to_builtins(body, enc_hook=repr))
