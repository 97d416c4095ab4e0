"""What a request is about, read from its address and headers. No I/O."""

from __future__ import annotations

import enum
import itertools
import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

from cnflow.serving.http.problems import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CALL = re.compile(
    r"/v1/models/(?P<name>[^/@:]+)(?:@(?P<at>[^/@:]+)|/versions/(?P<of>[^/:]+))?:(?P<verb>predict|stream)"
    r"|/v2/models/(?P<name2>[^/@]+)(?:@(?P<at2>[^/@]+)|/versions/(?P<of2>[^/]+))?/infer"
)
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

_MOST_KNOWN = 1024
_DIGITS = 12

_PROCESS = secrets.token_hex(6)
_numbers = itertools.count(1)


class Verb(enum.Enum):
    """What a call asks of its model."""

    PREDICT = "predict"
    STREAM = "stream"
    INFER = "infer"


class Target(NamedTuple):
    """Model of a call."""

    verb: Verb
    model: str
    version: str


def call_target(path: str) -> Target | None:
    """Return the call that a POST to *path* is; None if it is another request."""
    found = _CALL.fullmatch(path)
    if found is None:
        return None
    if found["verb"]:
        return Target(Verb(found["verb"]), found["name"], found["at"] or found["of"] or "")
    return Target(Verb.INFER, found["name2"], found["at2"] or found["of2"] or "")


class Targets:
    """`call_target` with a memory, which is bounded: addresses come from outside."""

    def __init__(self) -> None:
        self._known: dict[str, Target | None] = {}

    def find(self, path: str) -> Target | None:
        """Return the call that a POST to *path* is."""
        try:
            return self._known[path]
        except KeyError:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[path] = call_target(path)
            return found


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the ``X-Request-Id`` of a request, or a new one where it has none that can be sent back."""
    given = headers.get(b"x-request-id")
    if given is not None:
        text = given.decode("latin-1")
        if _ID.fullmatch(text):
            return text
    return f"{_PROCESS}-{next(_numbers):x}"


def timeout_of(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the seconds that the client waits, by ``X-Request-Timeout``; None if it does not say."""
    given = headers.get(b"x-request-timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds < float("inf"):
        raise BadRequestError(f"X-Request-Timeout is a number of seconds above 0, not {given.decode('latin-1')!r}.")
    return seconds


def is_bulk(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether others go first: ``X-Priority: bulk``, not ``interactive``."""
    given = headers.get(b"x-priority")
    if given is None:
        return False
    text = given.decode("latin-1").lower()
    if text not in {"bulk", "interactive"}:
        raise BadRequestError(f"X-Priority is bulk or interactive, not {text!r}.")
    return text == "bulk"


def traceparent_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the W3C trace context of the caller; empty for none, or for one that is malformed."""
    given = headers.get(b"traceparent")
    if given is None:
        return ""
    text = given.decode("latin-1")
    return text if _TRACE.fullmatch(text) else ""


def header_length_of(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the bytes of JSON before binary tensors; None if all of the body is JSON."""
    given = headers.get(b"inference-header-content-length")
    if given is None:
        return None
    if not given.isdigit() or len(given) > _DIGITS:
        raise BadRequestError(f"Inference-Header-Content-Length is a number of bytes, not {given.decode('latin-1')!r}.")
    return int(given)
