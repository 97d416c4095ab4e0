"""Downloads one file from an HTTP server, in one or several tries; runs in a worker, or in a thread of the driver.

::

    get ──> 200 ─────────> the file from its beginning; Content-Encoding is decoded
     ^  ──> 206 ─────────> the rest of the file, where the try before broke off
     │  ──> 408, 425, 429, 5xx, 202, a broken connection, too few bytes, an empty answer ──> Failure: may pass
     │         └── Retry-After: seconds or a date
     │  ──> anything else ──> RefusedError
     └── the next try asks for the rest if the server gave the file a strong validator: If-Range, RFC 9110, 13.1.5
"""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING, Any, Optional
from urllib.error import HTTPError
from urllib.parse import urlsplit

from cnflow.tasks.staging.attempts import Failure, RefusedError
from cnflow.tasks.staging.content_encoding import Decoder, UndecodableError
from cnflow.tasks.staging.http_connection import HttpServer
from cnflow.tasks.staging.steps import moved

if TYPE_CHECKING:
    from email.message import Message
    from urllib.parse import SplitResult

    from cnflow.tasks.staging.options import Content, ServerOptions

_CHUNK = 1024 * 1024
_OK, _ACCEPTED, _NON_AUTHORITATIVE, _PARTIAL = 200, 202, 203, 206
_RANGE_NOT_SATISFIABLE = 416
_FIRST_SERVER_ERROR = 500

# "The client may repeat the request": https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9, rfc8470#section-5.2 and
# rfc6585#section-4.
MAY_PASS = frozenset({408, 425, 429})


class HttpDownload:
    """Tries to download one file.

    Args:
        parts: URL of the file.
        options: the user's settings.
        content: what is known of the file.
    """

    def __init__(self, parts: SplitResult, options: ServerOptions, content: Content) -> None:
        self._server = HttpServer(parts, options)
        self._content = content
        self._validator = ""
        """ETag or date of the content that was written so far; empty if the next try must begin anew."""

    def begin_anew(self) -> None:
        """Have the next try begin with the first byte: what came is not the file."""
        self._validator = ""

    def get(self, file: IO[bytes], timeout: float) -> Optional[Failure]:
        """Try to write the rest of the file to *file*; return None if it is complete.

        Raises:
            RefusedError: another try would fail as well.
            OSError, http.client.HTTPException: the connection broke, or *file* cannot be written.
        """
        request = self._server.request()
        begin = file.tell() if self._validator else 0
        if begin:
            request.add_header("Range", f"bytes={begin}-")
            request.add_header("If-Range", self._validator)
        try:
            answer = self._server.open(request, timeout)
        except HTTPError as error:
            with error:
                return self._on_error(error, is_range=bool(begin))
        with answer:
            return self._receive(answer, file, begin)

    def _on_error(self, error: Any, *, is_range: bool) -> Failure:  # noqa: ANN401 - an HTTPError
        reason = f"the server answers {error.code} {error.reason}"
        if error.code == _RANGE_NOT_SATISFIABLE and is_range:
            self._validator = ""
            return Failure(reason)
        if error.code >= _FIRST_SERVER_ERROR or error.code in MAY_PASS:
            return Failure(reason, seconds_to_wait(error.headers))
        raise RefusedError(reason)

    def _receive(self, answer: Any, file: IO[bytes], begin: int) -> Optional[Failure]:  # noqa: ANN401 - an HTTPResponse
        headers, status = answer.headers, answer.status
        total: Optional[int] = None
        if status == _PARTIAL:
            first, total = _range_of(headers)
            if not begin or first != begin:
                self._validator = ""
                return Failure(f"the server answers with part of the file that it was not asked for ({status})")
        elif status == _ACCEPTED:
            return Failure(f"the server answers {status} {answer.reason}", seconds_to_wait(headers))
        elif status not in {_OK, _NON_AUTHORITATIVE}:
            raise RefusedError(f"the server answers {status} {answer.reason}, without a file")
        else:
            begin = 0
            file.seek(0)
            file.truncate()
        try:
            decoder = Decoder(headers.get_all("Content-Encoding") or [])
            self._validator = "" if decoder.encodings else validator_of(headers)
            self._check_length(headers, decoder, begin)
            received = _copy(answer, decoder, file)
        except UndecodableError as error:
            if error.is_final:
                raise RefusedError(str(error)) from None
            return Failure(str(error))
        return _incomplete(headers, received, begin, total)

    def _check_length(self, headers: Message, decoder: Decoder, begin: int) -> None:
        """Refuse a file of a wrong size before it is read."""
        length, wanted = headers.get("Content-Length") or "", self._content.size
        if wanted is not None and length.isdigit() and not decoder.encodings and begin + int(length) != wanted:
            raise RefusedError(f"the server has {begin + int(length):,} bytes of it, not {wanted:,}")


def version_of(url: str, options: ServerOptions) -> str:
    """Return a text that changes with the content of the file at *url*; empty if the server gives none.

    Raises:
        RefusedError, OSError, http.client.HTTPException: the server does not answer.
    """
    server = HttpServer(urlsplit(url), options)
    with server.open(server.request("HEAD"), options.policy.timeout) as answer:
        headers, validator = answer.headers, validator_of(answer.headers)
        if "Last-Modified" in headers and not _seconds_between(headers["Last-Modified"], headers.get("Date")) > 1:
            return ""  # it may change within the second, and many servers make the ETag of that
        return f"{validator} {headers.get('Content-Length', '')}" if validator and answer.status == _OK else ""


def _copy(answer: Any, decoder: Decoder, file: IO[bytes]) -> int:  # noqa: ANN401 - an HTTPResponse
    """Write the decoded content of *answer* to *file* and return the number of bytes that came."""
    received = 0
    while chunk := answer.read1(_CHUNK):  # what has come: a broken connection loses nothing of it
        received += len(chunk)
        file.write(decoder.decode(chunk))
        moved(file.tell())
    if received:
        file.write(decoder.finish())
    return received


def _incomplete(headers: Message, received: int, begin: int, total: Optional[int]) -> Optional[Failure]:
    """Return the failure of an answer that ended too early; None if it is complete. urllib does not check it."""
    length = headers.get("Content-Length")
    if length is not None and length.isdigit() and int(length) != received:
        return Failure(f"the connection ended after {begin + received} of {begin + int(length)} bytes")
    if total is not None and begin + received != total:
        return Failure(f"the answer ended after {begin + received} of {total} bytes")
    if length is None and not received and headers.get("Transfer-Encoding") is None:
        return Failure("the answer is empty", is_empty=True)
    return None


def validator_of(headers: Message) -> str:
    """Return what a later try may send as If-Range; empty if the server gives nothing that changes with each byte."""
    if (headers.get("Accept-Ranges") or "").strip().lower() == "none":
        return ""
    tag = (headers.get("ETag") or "").strip()
    if tag:
        return "" if tag.startswith("W/") else tag
    changed = (headers.get("Last-Modified") or "").strip()
    return changed if _seconds_between(changed, headers.get("Date")) >= 1 else ""  # RFC 9110, 8.8.2.2


def _range_of(headers: Message) -> tuple[int, Optional[int]]:
    """First byte and total size of a part, as in ``bytes 5-9/10``; -1 and None for what is missing or unknown."""
    unit, _, rest = (headers.get("Content-Range") or "").strip().partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0].strip()
    return int(first) if unit.lower() == "bytes" and first.isdigit() else -1, int(total) if total.isdigit() else None


def seconds_to_wait(headers: Message) -> Optional[float]:
    """Parse ``Retry-After``, seconds or a date; None if there is none. The date is compared with the server's own."""
    text = (headers.get("Retry-After") or "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    from email.utils import formatdate

    seconds = _seconds_between(headers.get("Date") or formatdate(), text)
    return None if math.isnan(seconds) else max(seconds, 0.0)


def _seconds_between(earlier: Optional[str], later: Optional[str]) -> float:
    """Seconds between two dates in the form of a header; NaN if one of them is no date."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(later or "").timestamp() - parsedate_to_datetime(earlier or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return math.nan
