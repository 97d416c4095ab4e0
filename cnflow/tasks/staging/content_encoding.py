"""Decodes the Content-Encoding of an HTTP answer: https://www.rfc-editor.org/rfc/rfc9110#section-8.4. No I/O.

Requests ask for ``identity``; servers that keep files compressed send them encoded nevertheless. The file that the URL
names is the decoded one, also if its name ends in ``.gz``: a server that sends a ``.gz`` file as it is gives it no
Content-Encoding.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable

_GZIP = 16 + zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"


class UndecodableError(Exception):
    """The content cannot be decoded.

    Args:
        reason: a clause.
        is_final: another answer of the same server will have the same fault.
    """

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Decoder:
    """Decodes one answer, piece by piece.

    Args:
        headers: values of its Content-Encoding headers, which list encodings in the order in which they were applied.

    Attributes:
        encodings: those that have an effect.

    Raises:
        UndecodableError: an encoding is unknown.
    """

    def __init__(self, headers: Iterable[str]) -> None:
        names = [name.strip().lower() for header in headers for name in header.split(",")]
        self.encodings = [name for name in names if name not in {"", "identity"}]
        self._steps = [_step(name) for name in reversed(self.encodings)]

    def decode(self, data: bytes) -> bytes:
        """Decode the next piece of the answer.

        Raises:
            UndecodableError: the content is damaged, or was never encoded.
        """
        for step in self._steps:
            data = step.decode(data)
        return data

    def finish(self) -> bytes:
        """Return the rest of the content after the last piece.

        Raises:
            UndecodableError: the content has no end.
        """
        data = b""
        for step in self._steps:
            data = step.decode(data) + step.finish()
        return data


class _Step:
    """Decodes one encoding: ``deflate`` with the frame of zlib or, as some servers send it, without.

    Args:
        name: of the encoding.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_gzip = name != "deflate"
        self._zlib: Any = zlib.decompressobj(_GZIP if self._is_gzip else zlib.MAX_WBITS)
        self._head: Optional[bytes] = b""
        """What came so far; None once it is clear how to decode it."""

        self._is_over = False

    def decode(self, data: bytes) -> bytes:
        try:
            return self._decode_gzip(data) if self._is_gzip else self._decode_deflate(data)
        except zlib.error as error:
            raise UndecodableError(
                f"the server sends it with Content-Encoding {self._name!r}, but it cannot be decoded: {error}",
                is_final=False,
            ) from error

    def finish(self) -> bytes:
        data: bytes = self._zlib.flush()
        if not self._zlib.eof:
            raise UndecodableError(f"its content, encoded as {self._name!r}, ended too early", is_final=False)
        return data

    def _decode_gzip(self, data: bytes) -> bytes:
        """A file may have several members, each as long as it is; what follows the last is padding."""
        if self._is_over:
            return b""
        decoded = [self._zlib.decompress(data)]
        while len(rest := self._zlib.unused_data) >= len(_MAGIC):  # it keeps what came after its end
            if not rest.startswith(_MAGIC):
                self._is_over = True
                break
            self._zlib = zlib.decompressobj(_GZIP)
            decoded.append(self._zlib.decompress(rest))
        return b"".join(decoded)

    def _decode_deflate(self, data: bytes) -> bytes:
        if self._head is None:
            return bytes(self._zlib.decompress(data))
        self._head += data
        try:
            decoded: bytes = self._zlib.decompress(data)
        except zlib.error:
            self._zlib = zlib.decompressobj(_RAW)
            decoded = self._zlib.decompress(self._head)
            self._head = None
        else:
            if len(self._head) > 1:  # the two bytes that tell them apart
                self._head = None
        return decoded


def _step(name: str) -> _Step:
    if name not in {"gzip", "x-gzip", "deflate"}:
        raise UndecodableError(
            f"the server sends it with Content-Encoding {name!r}, which cnflow cannot decode", is_final=True
        )
    return _Step(name)
