"""Brings the bytes of fetched items to their paths, in a thread of its own: a slow disk holds up no control message.

::

    begin ──> write ... ──> write, the last ──> digest is right ──> renamed, or unpacked ──> on_landed
                │                                   └── it is not, no room, no rights ──────> on_failed
                └── drop ──> the partial file is removed

Each begins as a partial file in the folder of its path: what has the name is whole.
"""

from __future__ import annotations

import os
import queue
import secrets
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from cnflow.errors import StagingError
from cnflow.executors.high_throughput.items.known_items import FileContent
from cnflow.model.item import ItemForm
from cnflow.text import describe_error
from cnflow.wire.blob_digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.executors.high_throughput.items.incoming_items import Name
    from cnflow.executors.high_throughput.items.known_items import Content
    from cnflow.model.item import Item

_MOST_BYTES = 16 * 2**20
"""Bytes that wait to be written: memory of the driver."""

_COPIED_AT_ONCE = 2**20


class Landings(Protocol):
    """Owner of the landings; called from their thread."""

    def on_landed(self, name: Name) -> None:
        """Note that the item is at its path."""

    def on_failed(self, name: Name, error: StagingError) -> None:
        """Note that it cannot be brought there; nothing is left of it."""

    def on_room(self) -> None:
        """Note that more bytes may be fetched."""


class _Landing:
    """Item on its way to a path."""

    def __init__(self, item: Item, path: str) -> None:
        self.item = item
        self.path = path
        self.digest = Digest()
        self.file: IO[bytes] | None = None
        self.partial: Path | None = None

    def write(self, data: Any) -> None:  # noqa: ANN401 - a frame
        """Append *data*."""
        if self.file is None:
            target = Path(os.path.realpath(self.path))  # a link of the user's stays one
            with suppress(FileNotFoundError):
                mode = target.stat().st_mode
                if not stat.S_ISREG(mode) and not (self.item.form == ItemForm.TREE and stat.S_ISDIR(mode)):
                    raise FileExistsError(f"{self.path} is no regular file")
            target.parent.mkdir(parents=True, exist_ok=True)
            self.partial = target.parent / f".cnflow-{secrets.token_hex(6)}.part"
            self.file = self.partial.open("xb", buffering=0)
        view = memoryview(data)
        self.digest.update(view)
        while view:
            view = view[self.file.write(view) :]

    def finish(self) -> None:
        """Give the whole item its name."""
        self.write(b"")  # an empty one has no chunk
        assert self.file is not None
        assert self.partial is not None  # made by `write`
        self.file.close()
        if self.digest.digest() != self.item.key:
            raise OSError("its bytes were damaged on the way (the digest differs); run the task again")
        target = os.path.realpath(self.path)
        if self.item.form == ItemForm.TREE:
            from cnflow.tasks.trees import unpack  # noqa: PLC0415 - folders are rare

            with self.partial.open("rb") as packed:
                unpack(packed, target)
            self.partial.unlink()
            return
        if self.item.form == ItemForm.PROGRAM:
            mode = self.partial.stat().st_mode
            self.partial.chmod(mode | (mode & 0o444) >> 2)  # who may read it may run it
        self.partial.replace(target)

    def drop(self) -> None:
        """Leave nothing behind."""
        if self.file is not None:
            self.file.close()
        if self.partial is not None:
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)


class LandingThread:
    """Writes items; the module has a picture. Safe from any thread.

    Args:
        label: of the executor; names the thread.
        owner: called when an item is written, or cannot be.
    """

    def __init__(self, label: str, owner: Landings) -> None:
        self._label = label
        self._owner = owner
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._landings: dict[Name, _Landing] = {}
        """The thread's own."""

        self._bytes = 0

    @property
    def has_room(self) -> bool:
        """More bytes may be fetched."""
        return self._bytes < _MOST_BYTES

    def begin(self, item: Item, path: str) -> None:
        """Bring *item* to *path*; its bytes follow, in order."""
        name = (item.source, item.id)
        self._put(lambda: self._landings.__setitem__(name, _Landing(item, path)))
        if not item.size:
            self._put(lambda: self._attempt(name, b"", is_last=True))

    def write(self, name: Name, data: Any, *, is_last: bool) -> None:  # noqa: ANN401 - a frame
        """Append *data* to the item."""
        size = len(data)
        with self._lock:
            self._bytes += size

        def job() -> None:
            self._attempt(name, data, is_last=is_last)
            with self._lock:
                was_full = not self.has_room
                self._bytes -= size
            if was_full and self.has_room:
                self._owner.on_room()

        self._put(job)

    def copy(self, item: Item, path: str, content: Content) -> None:
        """Bring *item*, which the driver has itself, to *path*."""
        name = (item.source, item.id)

        def job() -> None:
            landing = self._landings[name] = _Landing(item, path)
            try:
                _copy(content, landing)
            except OSError as error:
                self._fail(name, error)
            else:
                self._attempt(name, b"", is_last=True)

        self._put(job)

    def refuse(self, name: Name, error: StagingError) -> None:
        """Report, from the thread, that the item cannot be had."""
        self._put(lambda: self._owner.on_failed(name, error))

    def drop(self, name: Name) -> None:
        """Bring the item nowhere."""
        self._put(lambda: self._drop(name))

    def close(self) -> None:
        """Remove what is not whole, and end the thread."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            self._jobs.put(None)
            if thread is not threading.current_thread():
                thread.join()

    def _put(self, job: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=f"cnflow-{self._label}-writer", daemon=True)
                self._thread.start()
        self._jobs.put(job)

    # The own thread

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        for landing in self._landings.values():
            landing.drop()

    def _attempt(self, name: Name, data: Any, *, is_last: bool) -> None:  # noqa: ANN401 - a frame
        landing = self._landings.get(name)
        if landing is None:
            return  # it has failed, or was dropped
        try:
            landing.write(data)
            if is_last:
                landing.finish()
        except Exception as error:  # noqa: BLE001 - the unpacking of a folder may fail in many ways; all are reported
            self._fail(name, error)
            return
        if is_last:
            del self._landings[name]
            self._owner.on_landed(name)

    def _fail(self, name: Name, error: Exception) -> None:
        landing = self._landings.pop(name)
        landing.drop()
        if isinstance(error, StagingError):
            self._owner.on_failed(name, error)
            return
        what = f"{landing.path} cannot be written in the driver: {describe_error(error)}."
        failure = StagingError(f"{what} Make room, or choose another path, and call the app again.")
        failure.__cause__ = error
        self._owner.on_failed(name, failure)

    def _drop(self, name: Name) -> None:
        landing = self._landings.pop(name, None)
        if landing is not None:
            landing.drop()


def _copy(content: Content, landing: _Landing) -> None:
    if not isinstance(content, FileContent):
        for chunk in content:
            landing.write(chunk)
        return
    with Path(content.path).open("rb", buffering=0) as file:
        while data := file.read(_COPIED_AT_ONCE):
            landing.write(data)
