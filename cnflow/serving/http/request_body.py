"""Reads the body of a request, up to a size, and decompresses it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING

from cnflow.serving.http.problems import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_IN_THREAD = 256 * 1024
"""Compressed bytes above which another thread decompresses, which releases the interpreter."""


class ClientGoneError(Exception):
    """The client has closed the connection."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """Return the body of a request, decompressed.

    Raises:
        BadRequestError: with status 413 if it has more than *limit* bytes, or is of an unknown encoding.
        ClientGoneError: its end will not come.
    """
    length = headers.get(b"content-length")
    if length is not None and int(length) > limit:
        raise _too_large(limit, int(length))
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if len(body) <= limit and message.get("more_body"):
        body = await _rest(receive, body, limit)
    if len(body) > limit:
        raise _too_large(limit)
    encoding = headers.get(b"content-encoding")
    if encoding is None or encoding == b"identity":
        return body
    if len(body) < _IN_THREAD:
        return decompress(body, encoding, limit)
    return await asyncio.to_thread(decompress, body, encoding, limit)


def decompress(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return *body* without its ``Content-Encoding``, never making more than *limit* bytes.

    Raises:
        BadRequestError: it is too large, damaged, or of another encoding.
    """
    bits = _WINDOW_BITS.get(encoding.lower())
    if bits is None:
        name = encoding.decode("latin-1")
        raise BadRequestError(f"Content-Encoding {name!r} is not served; gzip and deflate are.", "bad_encoding", 415)
    machine = zlib.decompressobj(bits)
    try:
        found = machine.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequestError(f"The body is no {encoding.decode()}: {error}.", "bad_encoding") from None
    if len(found) > limit:
        raise _too_large(limit)
    if not machine.eof:
        raise BadRequestError(f"The body ends before its {encoding.decode()} does.", "bad_encoding")
    if machine.unused_data:
        raise BadRequestError(f"Data is behind the end of the {encoding.decode()}.", "bad_encoding")
    return found


def compress_for(wanted: bytes | None, content: bytes) -> tuple[bytes, bytes]:
    """Return *content* as the client wants it, and the name of that encoding; empty for none.

    It is compressed for a client whose ``Accept-Encoding`` is one encoding and nothing else: general HTTP libraries
    list several in every request, and JSON of some kB is sent sooner than compressed.
    """
    if wanted == b"gzip":
        return gzip.compress(content, compresslevel=1), wanted
    if wanted == b"deflate":
        return zlib.compress(content, 1), wanted
    return content, b""


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    parts = bytearray(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(parts)


def _too_large(limit: int, size: int = 0) -> BadRequestError:
    has = f"has {size} bytes" if size else "is larger"
    return BadRequestError(
        f"The body {has}; the most is {limit} bytes (max_body). Send fewer rows at once.", "body_too_large", 413
    )
