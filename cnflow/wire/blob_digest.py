"""Digest of a blob: BLAKE2b over the digests of its leaves. Standard library only.

Leaves, since several threads then compute a large digest together (`hashlib` releases the interpreter's lock)::

    blob      [ leaf 1 MiB ][ leaf 1 MiB ][ rest ]
                    │             │          │         BLAKE2b of each
    digest    BLAKE2b([ 16 bytes ][ 16 bytes ][ 16 bytes ])
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Callable, Optional, Union

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
    threads = min(_MOST_THREADS, os.cpu_count() or 1) if len(view) >= _THREADS_FROM else 1
    leaves: list[Optional[bytes]] = [None] * -(-len(view) // LEAF)

    def hash_share(first: int) -> None:
        for number in range(first, len(leaves), threads):
            leaf = view[number * LEAF : (number + 1) * LEAF]
            leaves[number] = hashlib.blake2b(leaf, digest_size=DIGEST_SIZE).digest()

    _run_together(hash_share, threads)
    return hashlib.blake2b(b"".join(map(_certain, leaves)), digest_size=DIGEST_SIZE).digest()


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
