"""Arguments' blobs that a manager has: those of its tasks, and those used last for tasks to come. No I/O.

::

    put ──> kept ── hold: a task refers to it ──> in use ── release: none does ──> kept; the longest unused are dropped
                                                     ^                              │   beyond the limit
                                                     └───────────── hold ───────────┘
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.wire.pipe import Pieces

_SHARE, _LEAST = 16, 256 * 2**20
"""A sixteenth of the node's memory, and never less than this many bytes, for contents that no task refers to."""


def cache_limit(memory: float) -> int:
    """Bytes of the cache on a node with *memory* bytes for workers."""
    return max(_LEAST, int(memory) // _SHARE)


class BlobCache:
    """Contents by the keys that name them (`cnflow.wire.bulk.KEY_SIZE` bytes).

    Args:
        limit: bytes of contents that no task refers to; those in use are kept in any case.

    Attributes:
        unused_bytes: size of the contents that no task refers to.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._contents: dict[bytes, Pieces] = {}
        self._references: dict[bytes, int] = {}
        self._unused: OrderedDict[bytes, None] = OrderedDict()
        self.unused_bytes = 0

    def __len__(self) -> int:
        return len(self._contents)

    @property
    def in_use(self) -> int:
        """Number of contents to which a task refers."""
        return len(self._references)

    def get(self, key: bytes) -> Optional[Pieces]:
        """Content, or None if it is not here."""
        return self._contents.get(key)

    def put(self, key: bytes, content: Pieces) -> None:
        """Keep *content*, to which tasks may refer already."""
        self._contents[key] = content
        if key not in self._references:
            self._add_unused(key)

    def hold(self, key: bytes) -> None:
        """Note that one task more refers to a content, which may come later."""
        self._references[key] = self._references.get(key, 0) + 1
        if key in self._unused:
            del self._unused[key]
            self.unused_bytes -= len(self._contents[key])

    def release(self, keys: Iterable[bytes]) -> list[bytes]:
        """Note that one task less refers to each of *keys*; return those that are no longer needed and not here."""
        missing: list[bytes] = []
        for key in keys:
            self._references[key] -= 1
            if self._references[key]:
                continue
            del self._references[key]
            if key in self._contents:
                self._add_unused(key)
            else:
                missing.append(key)
        return missing

    def _add_unused(self, key: bytes) -> None:
        self._unused[key] = None
        self.unused_bytes += len(self._contents[key])
        while self.unused_bytes > self._limit:
            oldest, _ = self._unused.popitem(last=False)
            self.unused_bytes -= len(self._contents.pop(oldest))
