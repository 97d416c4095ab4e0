"""Reads pieces of offered files in a thread of its own: a slow disk holds up no control message.

::

    Want ──> ask, while fewer than `_MOST_READ` bytes are under way ──thread──> Chunk, or Gone ──> next_message
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput.items.known_items import DRIVER, FileContent, Identity
from cnflow.text import describe_error
from cnflow.wire.bulk import Chunk, Gone, Piece
from cnflow.wire.messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST_READ = 8 * 2**20
"""Bytes that are asked for or wait to be sent: memory of the driver."""

_MOST_OPEN = 32
"""Files that stay open between pieces."""


class ItemReader:
    """Reads pieces; the module has a picture. `ask` and `next_message` are for one thread, that of the client.

    Args:
        label: of the executor; names the thread.
        on_ready: called, from the thread, when a message is ready.
        on_flaw: called, from the thread, with the id of an item, its file, which cannot be had any more, and a
            sentence; returns another file with the same bytes, or None.
    """

    def __init__(
        self,
        label: str,
        on_ready: Callable[[], object],
        on_flaw: Callable[[bytes, FileContent, str], FileContent | None],
    ) -> None:
        self._label = label
        self._on_ready = on_ready
        self._on_flaw = on_flaw
        self._changed = threading.Condition()
        self._asked: deque[tuple[Piece, FileContent]] = deque()
        self._ready: deque[tuple[int, list[Any]]] = deque()
        self._under_way = 0
        """Bytes that were asked for and are not sent."""

        self._line = 0
        """Number of the connection: what was read for an earlier one is dropped."""

        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._open: OrderedDict[bytes, int] = OrderedDict()
        """Descriptors of files, the thread's own; the last used is the last."""

        self._over: list[bytes] = []
        """Items among them that are not needed any more."""

    @property
    def has_room(self) -> bool:
        """More may be asked for."""
        return self._under_way < _MOST_READ

    def ask(self, piece: Piece, content: FileContent) -> None:
        """Read *piece* of *content*."""
        with self._changed:
            if self._is_closed:
                return
            self._asked.append((piece, content))
            self._under_way += piece.length
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=f"cnflow-{self._label}-reader", daemon=True)
                self._thread.start()
            self._changed.notify()

    def next_message(self) -> list[Any]:
        """Take the frames of a message that is ready; none if nothing is."""
        if not self._ready:
            return []
        with self._changed:
            if not self._ready:
                return []
            length, frames = self._ready.popleft()
            self._under_way -= length
        return frames

    def clear(self) -> None:
        """Drop everything: the connection is a new one."""
        with self._changed:
            self._asked.clear()
            self._ready.clear()
            self._under_way = 0
            self._line += 1

    def forget(self, blobs: Iterable[bytes]) -> None:
        """Close the files of *blobs*: the disk has no room of one that was removed while it is open. For any thread."""
        over = [blob for blob in blobs if blob in self._open]
        if over:
            with self._changed:
                self._over += over
                self._changed.notify()

    def close(self) -> None:
        """End the thread, once it has read what it reads."""
        self.clear()
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    # The own thread

    def _serve(self) -> None:
        while (asked := self._next()) is not None:
            if isinstance(asked, bytes):
                self._close(asked)
                continue
            line, piece, content = asked
            frames = self._read(piece, content)
            with self._changed:
                if line != self._line:
                    continue
                self._ready.append((piece.length, frames))
            self._on_ready()
        for descriptor in self._open.values():
            os.close(descriptor)

    def _next(self) -> tuple[int, Piece, FileContent] | bytes | None:
        """Wait for what to read, or the item whose file to close; None at the end."""
        with self._changed:
            while not (self._asked or self._over or self._is_closed):
                self._changed.wait()
            if self._is_closed:
                return None
            return self._over.pop() if self._over else (self._line, *self._asked.popleft())

    def _read(self, piece: Piece, content: FileContent) -> list[Any]:
        while True:
            try:
                data = self._read_piece(piece, content)
            except OSError as error:
                flaw = f"{content.path} cannot be read: {describe_error(error)}"
            else:
                if len(data) == piece.length:
                    return [encode(Chunk(piece.blob, DRIVER, piece.offset)), data]
                flaw = (
                    f"{content.path} was changed after it was passed to a task. Leave it as it is until its tasks are "
                    "done, or pass a copy"
                )
            self._close(piece.blob)
            other = self._on_flaw(piece.blob, content, flaw)
            if other is None:
                return [encode(Gone(piece.blob, DRIVER, flaw))]
            content = other

    def _read_piece(self, piece: Piece, content: FileContent) -> bytes:
        """Bytes of *piece*; fewer if the file is another one by now."""
        descriptor = self._descriptor(piece.blob, content)
        data = os.pread(descriptor, piece.length, piece.offset)
        while 0 < len(data) < piece.length:
            more = os.pread(descriptor, piece.length - len(data), piece.offset + len(data))
            if not more:
                break
            data += more
        is_last = piece.offset + piece.length == content.identity.size
        is_changed = Identity.of(os.fstat(descriptor)) != content.identity
        if is_last and content.identity.size <= piece.length:  # most small files are read once
            self._close(piece.blob)
        return b"" if is_changed else data

    def _descriptor(self, blob: bytes, content: FileContent) -> int:
        descriptor = self._open.pop(blob, None)
        if descriptor is None:
            descriptor = os.open(Path(content.path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._open[blob] = descriptor
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def _close(self, blob: bytes) -> None:
        descriptor = self._open.pop(blob, None)
        if descriptor is not None:
            os.close(descriptor)
