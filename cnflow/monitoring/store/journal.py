"""Journal of a run's events: a file that the driver appends to, and the writer of the database reads.

::

    header: MAGIC, id of the run, and one of the journal: a run that is taken over has several (64 bytes, padded)
    frame:  length (4 bytes, big-endian), CRC-32 of the payload (4 bytes), payload: MessagePack of a list of events
    frame ...

A frame is there as a whole or not at all: one that is cut short is the last, of a driver that was killed or a disk that
was full. The driver cuts it off before it appends again; a reader waits for its rest.
"""

from __future__ import annotations

import os
import zlib
from struct import Struct
from typing import TYPE_CHECKING

import msgspec

from cnflow.model.events import AnyEvent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC = b"cnflow journal 1\n"
_RUN = 64
_ID = 16
BEGIN = len(_MAGIC) + _RUN
"""Position of the first frame."""

_FRAME = Struct(">II")
_LARGEST = 2**63 - 1
_PART = 2**20
"""Bytes that are read at once."""


class JournalError(Exception):
    """The file is no journal, or is damaged in its middle."""


class Journal:
    """Appends frames.

    Args:
        path: of the file, which must not exist.
        run: id.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, run: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._end = 0
        header = header_of(run)
        self.id = header[-_ID:].decode()
        """Id of the journal."""

        try:
            self._write(header)
        except OSError:
            self.close()
            path.unlink()  # made anew with the next try
            raise

    def append(self, payload: bytes) -> None:
        """Append one frame.

        Raises:
            OSError: it cannot be written, as on a full disk; nothing of it is in the journal then.
        """
        self._write(_FRAME.pack(len(payload), zlib.crc32(payload)) + payload)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        at = self._end
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file, rest, at)  # over what a failed write has left
            at += written
            rest = rest[written:]
        self._end = at


def header_of(run: str) -> bytes:
    """Return the beginning of a new journal of *run*."""
    return _MAGIC + run.encode()[: _RUN - _ID - 1].ljust(_RUN - _ID) + os.urandom(_ID // 2).hex().encode()


class JournalReader:
    """Reads frames from a position on, as they come.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is none.
        JournalError: it is no journal, or its header is not complete yet.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        header = self._file.read(BEGIN)
        if len(header) < BEGIN or not header.startswith(_MAGIC):
            self._file.close()
            raise JournalError(f"{path} is no journal of this version of cnflow")
        self.run = header[len(_MAGIC) : -_ID].decode().strip()
        """Id of the run."""

        self.id = header[-_ID:].decode()
        """Id of the journal."""

        self.position = BEGIN
        """What lies before it was returned."""

        self._ahead = b""
        """Read, and not returned: the beginning of a frame."""

    def seek(self, position: int) -> None:
        """Go on at *position*, which `position` has been."""
        self.position = position
        self._ahead = b""

    def size(self) -> int:
        """Return the length of the file."""
        return os.fstat(self._file.fileno()).st_size

    def payloads(self, most: int) -> Iterator[bytes]:
        """Return whole frames of about *most* bytes altogether; none where no more is there yet.

        Raises:
            JournalError: a frame is damaged.
        """
        end = self.position + most
        while self.position < end:
            if (payload := self._next()) is None:
                return
            self.position += _FRAME.size + len(payload)
            yield payload

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _next(self) -> bytes | None:
        if not self._fill(_FRAME.size):
            return None
        length, checksum = _FRAME.unpack_from(self._ahead)
        if not self._fill(_FRAME.size + length):
            return None
        payload = self._ahead[_FRAME.size : _FRAME.size + length]
        if zlib.crc32(payload) != checksum:
            if self.position + _FRAME.size + length >= self.size():
                self._ahead = b""  # it may be written just now
                return None
            raise JournalError(f"the journal is damaged at byte {self.position}")
        self._ahead = self._ahead[_FRAME.size + length :]
        return payload

    def _fill(self, count: int) -> bool:
        """Read until *count* bytes are ahead; False if there are not as many."""
        if len(self._ahead) >= count:
            return True
        parts = [self._ahead]
        have = len(self._ahead)
        while have < count:
            part = os.pread(self._file.fileno(), max(_PART, count - have), self.position + have)
            if not part:
                break
            parts.append(part)
            have += len(part)
        self._ahead = b"".join(parts)
        return have >= count


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[AnyEvent])
_ONE = msgspec.msgpack.Decoder(AnyEvent)
_RAW = msgspec.msgpack.Decoder(list[msgspec.Raw])


def encode(events: list[AnyEvent]) -> bytes:
    """Return *events* as the payload of a frame; text that is no Unicode, and too large a number, are replaced."""
    try:
        return _ENCODER.encode(events)
    except (UnicodeEncodeError, OverflowError):
        return _ENCODER.encode([_cleaned(event) for event in events])


def _cleaned(event: AnyEvent) -> object:
    """Return *event* as built-in values without lone surrogates, and without integers of more than 64 bits."""
    return _clean(msgspec.to_builtins(event))


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int):
        return min(max(value, -_LARGEST), _LARGEST)
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(each) for each in value]
    return value


def decode(payload: bytes) -> tuple[list[AnyEvent], int]:
    """Return the events of a frame, and how many of them cannot be read."""
    try:
        return _DECODER.decode(payload), 0
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    events: list[AnyEvent] = []
    lost = 0
    try:
        parts = _RAW.decode(payload)
    except msgspec.DecodeError:  # an empty one, of zeros that a loss of power has left
        return [], 1
    for raw in parts:
        try:
            events.append(_ONE.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            lost += 1
    return events, lost
