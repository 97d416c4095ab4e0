"""Items of one executor, in the driver: implements `cnflow.interfaces.items.ItemStore`.

::

    offer_file ──> OfferedFiles (reads, in threads) ──> KnownItems <── offer_value
                                                           │
    Want ──> next_message ──> ItemReader (reads a file, in a thread), or the value's memory ──> Chunk
    fetch ──> ItemFetches ── Want ... Chunk ──> LandingThread (writes) ──> the future is done

The client's thread calls what is under "The client's thread"; everything else is safe from any thread. No callback of a
future runs under the lock.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput.items.item_fetches import ItemFetches
from cnflow.executors.high_throughput.items.item_reader import ItemReader
from cnflow.executors.high_throughput.items.known_items import DRIVER, FileContent, KnownItems
from cnflow.executors.high_throughput.items.offered_files import OfferedFiles
from cnflow.model.item import ItemForm
from cnflow.wire.blob_digest import digest_of_pieces, slice_of
from cnflow.wire.bulk import Chunk, Gone, Piece, Sender, Want
from cnflow.wire.messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from cnflow.executors.high_throughput.items.known_items import Content, Dropped
    from cnflow.ids import ManagerId, TaskId
    from cnflow.model.item import Item
    from cnflow.units import Seconds
    from cnflow.wire.bulk import Release


class DriverItems:
    """The items; the module has a picture.

    Args:
        label: of the executor; names threads.
        send_release: orders the interchange to drop blobs, after everything that was sent before.
        wake: called from any thread when `next_message` may have something to send.
        now: the clock.
        place_of: describes a manager.
    """

    def __init__(
        self,
        label: str,
        send_release: Callable[[Release], None],
        wake: Callable[[], object],
        now: Callable[[], Seconds],
        place_of: Callable[[bytes], str] = bytes.hex,
    ) -> None:
        self._send_release = send_release
        self._wake = wake
        self.place_of = place_of
        self._lock = threading.Lock()
        self._known = KnownItems()
        self._unused: deque[Item] = deque()
        """Released by users, and not yet noted."""

        self._sender = Sender()
        self._files = OfferedFiles(label, self._offer)
        self._reader = ItemReader(label, wake, self._on_flaw)
        self._fetches = ItemFetches(label, self.release_all, wake, now)

    def __len__(self) -> int:
        """Number of items to which somebody refers."""
        return len(self._known)

    @property
    def has_references_of_tasks(self) -> bool:
        """True while an unfinished task refers to an item: `on_tasks_reported` is to be called."""
        return self._known.has_references_of_tasks

    # For users: `ItemStore`

    def offer_file(self, path: str, form: ItemForm = ItemForm.FILE) -> Future[Item]:
        """Offer a file; see `cnflow.interfaces.items.ItemStore`."""
        return self._files.offer(path, form)

    def offer_value(self, chunks: Sequence[memoryview], key: bytes = b"", name: str = "") -> Item:
        """Offer a value; see `cnflow.interfaces.items.ItemStore`."""
        content = [memoryview(chunk).cast("B") for chunk in chunks]
        return self._offer(key or digest_of_pieces(content), sum(map(len, content)), ItemForm.VALUE, content, name)

    def fetch(self, item: Item, path: str) -> Future[str]:
        """Bring *item* to *path*; see `cnflow.interfaces.items.ItemStore`."""
        with self._lock:
            flaw, content = self._known.flaw(item), None
            self._known.hold(item)  # until its fetch ends
            if item.source == DRIVER:
                content = self._known.content(item.id)
        return self._fetches.fetch(item, path, content, flaw and f"{self._where(item)}: {flaw}")

    def hold(self, item: Item) -> None:
        """Note one user more; see `cnflow.interfaces.items.ItemStore`."""
        with self._lock:
            self._known.hold(item)

    def release(self, item: Item) -> None:
        """Note one user less; see `cnflow.interfaces.items.ItemStore`.

        Finalizers call it, at any point of any thread, also of one that holds the lock: so the client's thread does it.
        """
        self._unused.append(item)
        self._wake()

    def locations(self, item: Item) -> Sequence[str]:
        """Describe who has *item*; see `cnflow.interfaces.items.ItemStore`."""
        return ["the driver"] if item.source == DRIVER else [f"manager {self.place_of(item.source)}"]

    # For the executor

    def release_all(self, items: Iterable[Item]) -> None:
        """Note one user less of each of *items*."""
        with self._lock:
            dropped = self._known.release(items)
        self._drop(dropped)

    def leave(self, items: Iterable[Item]) -> None:
        """Note *items*, which a task has left on its node, with one user each."""
        with self._lock:
            for item in items:
                self._known.leave(item)

    def on_task(self, task: TaskId, attempt: int, items: Sequence[Item]) -> None:
        """Note that *attempt* of *task* refers to *items*, until `on_tasks_reported`."""
        with self._lock:
            self._known.on_task(task, attempt, items)

    def on_tasks_reported(self, attempts: Iterable[tuple[TaskId, int]]) -> None:
        """Drop the items to which only these attempts referred."""
        if self._known.has_references_of_tasks:
            with self._lock:
                dropped = self._known.on_tasks_reported(attempts)
            self._drop(dropped)

    def cancel_fetches(self, futures: Iterable[Future[str]]) -> None:
        """Bring nothing to the paths of these fetches any more; the futures stay undone."""
        self._fetches.cancel(futures)

    def arrived(self, item: Item) -> int:
        """Bytes of *item* that are here, while it is fetched; its size if it is not."""
        return self._fetches.arrived(item)

    def on_interchange_lost(self, reason: str) -> None:
        """Fail all fetches: nothing comes from a node any more."""
        self._fetches.fail_all(reason)

    def flaw_of_offered(self, key: bytes) -> str:
        """Sentence on why a content that the driver has offered cannot be had any more; empty if it can."""
        return self._known.flaw_of_offered(key)

    def pack_in(self, folder: Path) -> None:
        """Pack folders into files of *folder*, which has the room that data needs, unlike that for temporary files."""
        self._files.folder = folder

    def name_by_digest(self) -> None:
        """Give items the same ids in each driver of this run: drivers that adopt runs compare tasks by these."""
        self._known.is_adoptable = True

    def close(self, title: str) -> None:
        """Fail all fetches and offers, at the end of a run that *title* names."""
        with self._lock:
            packed = self._known.packed_files()
        self._files.close()
        self._reader.close()
        self._fetches.close(title)
        _unlink(packed)

    # The client's thread

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        return self._fetches.next_deadline

    def on_tick(self) -> None:
        """Want again what did not arrive in time."""
        self._fetches.on_tick()

    def on_new_line(self, *, is_local: bool) -> None:
        """Begin again what was on its way: the connection is a new one, and perhaps the interchange, too."""
        self._sender.clear()
        self._reader.clear()
        self._fetches.on_new_line(is_local=is_local)

    def on_want(self, want: Want) -> bool:
        """Queue what is wanted of an item; False if it is none that the driver has offered."""
        if not self._known.has(DRIVER, want.blob):
            return False
        self._sender.on_want(Piece(want.blob, want.offset, want.length))
        return True

    def on_chunk(self, chunk: Chunk, data: Any) -> bool:  # noqa: ANN401 - a frame
        """Accept bytes of an item that is fetched; False if it is none."""
        return self._fetches.on_chunk(chunk, data)

    def on_gone(self, gone: Gone) -> bool:
        """Fail the fetches of an item that is gone; False if it is not fetched."""
        name = (gone.source, gone.blob)
        if name not in self._fetches:
            return False
        self._fetches.fail(name, f"manager {self.place_of(gone.source)} cannot send it: {gone.reason}")
        return True

    def on_manager_lost(self, manager: ManagerId, reason: str) -> None:
        """Fail the fetches of what *manager* had."""
        if not len(self._known) and not self._fetches:
            return
        with self._lock:
            self._known.on_manager_lost(manager, reason)
        self._fetches.on_manager_lost(manager, f"manager {self.place_of(manager)} is lost: {reason}")

    def needs(self, source: bytes, blob: bytes) -> bool:
        """Return True if somebody refers to that item, or it is fetched."""
        return (source, blob) in self._fetches or self._known.has(source, blob)

    def next_message(self) -> list[Any]:
        """Frames of the message to send next, now that the line has room; none if there is nothing to send."""
        if self._unused:
            self.release_all([self._unused.popleft() for _ in range(len(self._unused))])
        if (want := self._fetches.next_want()) is not None:
            return [encode(want)]
        while self._sender and self._reader.has_room and (piece := self._sender.next_piece()) is not None:
            content = self._known.content(piece.blob)
            if isinstance(content, FileContent) and piece.offset + piece.length <= content.identity.size:
                self._reader.ask(piece, content)
            elif content is not None and not isinstance(content, FileContent):
                return [encode(Chunk(piece.blob, DRIVER, piece.offset)), slice_of(content, piece.offset, piece.length)]
            else:
                self._sender.remove([piece.blob])
                return [encode(Gone(piece.blob, DRIVER, self._reason_gone(piece.blob)))]
        return self._reader.next_message()

    def _offer(self, key: bytes, size: int, form: int, content: Content, name: str = "") -> Item:
        with self._lock:
            item = self._known.offer(key, size, form, content, name)
            is_kept = self._known.content(item.id) is content
        if not is_kept and isinstance(content, FileContent) and content.origin:
            _unlink([content.path])
        return item

    def _on_flaw(self, blob: bytes, content: FileContent, flaw: str) -> FileContent | None:
        with self._lock:
            return self._known.fail(blob, content, flaw)

    def _reason_gone(self, blob: bytes) -> str:
        key = blob[:-8]
        return self._known.flaw_of_offered(key) or "no unfinished task of the driver needs it"

    def _where(self, item: Item) -> str:
        return self.locations(item)[0]

    def _drop(self, dropped: Dropped) -> None:
        for release in dropped.releases:
            if release.source == DRIVER:
                self._reader.forget(release.blobs)
            self._send_release(release)
        _unlink(dropped.files)


def _unlink(paths: Iterable[str]) -> None:
    for path in paths:
        with suppress(OSError):
            Path(path).unlink()
