"""Digest of a blob: SHA-256 over the digests of its leaves, cut. Standard library only.

Leaves, since several threads then compute a large digest together (`hashlib` releases the interpreter's lock)::

    blob      [ leaf 1 MiB ][ leaf 1 MiB ][ rest ]
                    │             │          │         SHA-256 of each
    digest    SHA-256([ 32 bytes ][ 32 bytes ][ 32 bytes ]), its first 16 bytes

SHA-256 since processors have instructions for it: with them it is twice as fast as BLAKE2b.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Callable, Optional, Union

if TYPE_CHECKING:
    from collections.abc import Sequence

Buffer = Union[bytes, bytearray, memoryview]

DIGEST_SIZE = 16
"""Bytes. Enough that no two blobs of a run share a digest by chance; outsiders, who might forge one, see no blobs."""

LEAF = 2**20
_THREADS_FROM = 8 * LEAF
"""Bytes from which several threads share the work; below, they cost more than they gain."""

_MOST_THREADS = 4


def digest_of(data: Buffer) -> bytes:
    """Digest of *data*, computed by as many threads as the machine has cores, four at most."""
    view = memoryview(data).cast("B")
    return _digest_of(len(view), lambda offset: view[offset : offset + LEAF])


def digest_of_pieces(pieces: Sequence[memoryview]) -> bytes:
    """Digest of the bytes of *pieces*, one after the other."""
    return _digest_of(sum(map(len, pieces)), lambda offset: slice_of(pieces, offset, LEAF))


def slice_of(pieces: Sequence[memoryview], offset: int, length: int) -> Buffer:
    """*length* bytes of *pieces* from *offset* on, fewer at their end; copied only where they are in several."""
    found = []
    end = offset + length
    for piece in pieces:
        if offset < len(piece) and end > 0:
            found.append(piece[max(0, offset) : end])
        offset, end = offset - len(piece), end - len(piece)
    return found[0] if len(found) == 1 else b"".join(found)


def digest_of_file(descriptor: int, size: int) -> bytes:
    """Digest of the first *size* bytes of a file, which is read by several threads if it is large.

    Raises:
        EOFError: the file is shorter.
        OSError: it cannot be read.
    """

    def leaf(offset: int) -> bytes:
        length = min(LEAF, size - offset)
        data = os.pread(descriptor, length, offset)
        while len(data) < length:  # a network file system may return fewer
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                raise EOFError(f"the file has no {size:,} bytes any more")
            data += more
        return data

    return _digest_of(size, leaf)


class Digest:
    """Digest of bytes that come one after another.

    Attributes:
        size: bytes so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._leaves: list[bytes] = []
        self._leaf = hashlib.sha256()

    def update(self, data: Buffer) -> None:
        """Append *data*."""
        rest = memoryview(data).cast("B")
        while len(rest):
            room = LEAF - self.size % LEAF
            part = rest[:room]
            self._leaf.update(part)
            self.size += len(part)
            if len(part) == room:
                self._end_leaf()
            rest = rest[room:]

    def digest(self) -> bytes:
        """Digest of all bytes so far; nothing is to be appended afterwards."""
        if self.size % LEAF:
            self._end_leaf()
        return hashlib.sha256(b"".join(self._leaves)).digest()[:DIGEST_SIZE]

    def _end_leaf(self) -> None:
        self._leaves.append(self._leaf.digest())
        self._leaf = hashlib.sha256()


def _digest_of(size: int, leaf_at: Callable[[int], Buffer]) -> bytes:
    threads = min(_MOST_THREADS, os.cpu_count() or 1) if size >= _THREADS_FROM else 1
    leaves: list[Optional[bytes]] = [None] * -(-size // LEAF)
    failures: list[BaseException] = []

    def hash_share(first: int) -> None:
        try:
            for number in range(first, len(leaves), threads):
                leaf = leaf_at(number * LEAF)
                leaves[number] = hashlib.sha256(leaf).digest()
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            failures.append(error)

    _run_together(hash_share, threads)
    if failures:
        raise failures[0]
    return hashlib.sha256(b"".join(map(_certain, leaves))).digest()[:DIGEST_SIZE]


def _run_together(share: Callable[[int], None], count: int) -> None:
    """Call *share* with 0 to *count* - 1, each in a thread; the caller's thread takes the first."""
    helpers = [threading.Thread(target=share, args=(number,), name="cnflow-digest") for number in range(1, count)]
    for helper in helpers:
        helper.start()
    share(0)
    for helper in helpers:
        helper.join()


def _certain(leaf: Optional[bytes]) -> bytes:
    if leaf is None:
        raise RuntimeError("a thread that computes the digest of a blob has failed; its error is on stderr")
    return leaf
