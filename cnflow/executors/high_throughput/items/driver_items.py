"""Items of one executor, in the driver: implements `cnflow.interfaces.items.ItemStore`.

::

    offer_file ──> OfferedFiles (reads, in threads) ──> KnownItems <── offer_value
                                                           │
    Want ──> next_message ──> ItemReader (reads a file, in a thread), or the value's memory ──> Chunk
    fetch ──> IncomingItems ── Want ... Chunk ──> LandingThread (writes) ──> the future is done

The client's thread calls what is under "The client's thread"; everything else is safe from any thread. No callback of a
future runs under the lock.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import CnflowError, ExecutorClosedError, ItemLostError
from cnflow.executors.high_throughput.items.incoming_items import IncomingItems
from cnflow.executors.high_throughput.items.item_reader import ItemReader
from cnflow.executors.high_throughput.items.known_items import DRIVER, FileContent, KnownItems
from cnflow.executors.high_throughput.items.landing import LandingThread
from cnflow.executors.high_throughput.items.offered_files import OfferedFiles
from cnflow.model.item import ItemForm
from cnflow.wire.blob_digest import digest_of_pieces, slice_of
from cnflow.wire.bulk import NEVER, Chunk, Gone, Piece, Sender, Want
from cnflow.wire.messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnflow.errors import StagingError
    from cnflow.executors.high_throughput.items.incoming_items import Name
    from cnflow.executors.high_throughput.items.known_items import Content, Dropped
    from cnflow.ids import ManagerId, TaskId
    from cnflow.model.item import Item
    from cnflow.units import Seconds
    from cnflow.wire.bulk import Release


class _Fetch(NamedTuple):
    item: Item
    path: str
    future: Future[str]


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
        self._now = now
        self.place_of = place_of
        self._lock = threading.Lock()
        self._known = KnownItems()
        self._incoming = IncomingItems()
        self._fetches: dict[Name, deque[_Fetch]] = {}
        """Fetches of each item: the first is under way."""

        self._unused: deque[Item] = deque()
        """Released by users, and not yet noted."""

        self._sender = Sender()
        self._requests: deque[Want] = deque()
        self._files = OfferedFiles(label, self._offer)
        self._reader = ItemReader(label, wake, self._on_flaw)
        self._landing = LandingThread(label, self)
        self._is_closed = False

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
        fetch = _Fetch(item, path, Future())
        name = (item.source, item.id)
        with self._lock:
            error = self._reason_not_to_fetch(item)
            if error is None:
                self._known.hold(item)
                waiting = self._fetches.setdefault(name, deque())
                waiting.append(fetch)
                if len(waiting) == 1:
                    self._begin(fetch)
        if error is not None:
            fetch.future.set_exception(error)
        else:
            self._wake()
        return fetch.future

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
        unwanted = set(futures)
        with self._lock:
            dropped = []
            for name, waiting in list(self._fetches.items()):
                left = deque(fetch for fetch in waiting if fetch.future not in unwanted)
                if len(left) == len(waiting):
                    continue
                dropped += [fetch.item for fetch in waiting if fetch.future in unwanted]
                if left and left[0] is waiting[0]:
                    self._fetches[name] = left
                else:
                    self._incoming.remove(name)
                    self._landing.drop(name)
                    self._fetches[name] = left
                    self._begin_next(name)
        self.release_all(dropped)

    def flaw_of_offered(self, key: bytes) -> str:
        """Sentence on why a content that the driver has offered cannot be had any more; empty if it can."""
        return self._known.flaw_of_offered(key)

    def name_by_digest(self) -> None:
        """Give items the same ids in each driver of this run: drivers that adopt runs compare tasks by these."""
        self._known.is_adoptable = True

    def close(self, title: str) -> None:
        """Fail all fetches and offers, at the end of a run that *title* names."""
        with self._lock:
            self._is_closed = True
            fetches = [fetch for waiting in self._fetches.values() for fetch in waiting]
            self._fetches.clear()
            packed = self._known.packed_files()
        self._files.close()
        self._reader.close()
        self._landing.close()
        _unlink(packed)
        for fetch in fetches:
            fetch.future.set_exception(ExecutorClosedError(f"{fetch.path} was not fetched when {title} ended."))

    # The client's thread

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        if not self._fetches:
            return NEVER
        with self._lock:
            return self._incoming.next_deadline

    def on_tick(self) -> None:
        """Want again what did not arrive in time."""
        with self._lock:
            self._incoming.on_tick(self._now())

    def on_new_line(self, *, is_local: bool) -> None:
        """Begin again what was on its way: the connection is a new one, and perhaps the interchange, too."""
        self._sender.clear()
        self._requests.clear()
        self._reader.clear()
        with self._lock:
            self._incoming.is_local = is_local
            self._incoming.on_reconnected()

    def on_want(self, want: Want) -> bool:
        """Queue what is wanted of an item; False if it is none that the driver has offered."""
        if not self._known.has(DRIVER, want.blob):
            return False
        self._sender.on_want(Piece(want.blob, want.offset, want.length))
        return True

    def on_chunk(self, chunk: Chunk, data: Any) -> bool:  # noqa: ANN401 - a frame
        """Accept bytes of an item that is fetched; False if it is none."""
        name = (chunk.source, chunk.blob)
        if name not in self._fetches:
            return False
        with self._lock:
            arrival = self._incoming.on_chunk(name, chunk.offset, len(data), self._now())
            if arrival.skipped < len(data):
                self._landing.write(name, memoryview(data)[arrival.skipped :], is_last=arrival.is_last)
        return True

    def on_gone(self, gone: Gone) -> bool:
        """Fail the fetches of an item that is gone; False if it is not fetched."""
        name = (gone.source, gone.blob)
        if name not in self._fetches:
            return False
        self._fail(name, lambda item: _lost(item, f"{self._where(item)} cannot send it: {gone.reason}"))
        return True

    def on_manager_lost(self, manager: ManagerId, reason: str) -> None:
        """Fail the fetches of what *manager* had."""
        if not len(self._known) and not self._fetches:
            return
        with self._lock:
            self._known.on_manager_lost(manager, reason)
            names = [name for name in self._fetches if name[0] == manager]
        for name in names:
            self._fail(name, lambda item: _lost(item, f"{self._where(item)} is lost: {reason}"))

    def needs(self, source: bytes, blob: bytes) -> bool:
        """Return True if somebody refers to that item, or it is fetched."""
        return (source, blob) in self._fetches or self._known.has(source, blob)

    def next_message(self) -> list[Any]:
        """Frames of the message to send next, now that the line has room; none if there is nothing to send."""
        if self._unused:
            self.release_all([self._unused.popleft() for _ in range(len(self._unused))])
        if self._fetches and (want := self._next_want()) is not None:
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

    def _next_want(self) -> Want | None:
        with self._lock:
            if not self._requests and self._landing.has_room:
                self._requests.extend(self._incoming.next_wants(self._now()))
            while self._requests:
                want = self._requests.popleft()
                if (want.source, want.blob) in self._incoming:
                    return want
        return None

    # The thread that writes

    def on_landed(self, name: Name) -> None:
        """Report that the first fetch of an item is done, and begin the next one."""
        with self._lock:
            waiting = self._fetches.get(name)
            if not waiting:
                return
            fetch = waiting.popleft()
            self._begin_next(name)
        fetch.future.set_result(fetch.path)
        self.release_all([fetch.item])

    def on_failed(self, name: Name, error: StagingError) -> None:
        """Report that the first fetch of an item has failed, and begin the next one."""
        with self._lock:
            waiting = self._fetches.get(name)
            if not waiting:
                return
            fetch = waiting.popleft()
            self._incoming.remove(name)
            self._begin_next(name)
        fetch.future.set_exception(error)
        self.release_all([fetch.item])

    def on_room(self) -> None:
        """Ask for more."""
        self._wake()

    # Under the lock

    def _reason_not_to_fetch(self, item: Item) -> CnflowError | None:
        if self._is_closed:
            return ExecutorClosedError(f"What is at {self._where(item)} cannot be fetched, since its run has ended.")
        flaw = self._known.flaw(item)
        return _lost(item, f"{self._where(item)}: {flaw}") if flaw else None

    def _begin(self, fetch: _Fetch) -> None:
        item = fetch.item
        if item.source != DRIVER:
            self._landing.begin(item, fetch.path)
            if item.size:
                self._incoming.add(item)
        elif (content := self._known.content(item.id)) is not None:
            self._landing.copy(item, fetch.path, content)
        else:
            self._landing.refuse((item.source, item.id), _lost(item, "the driver has dropped it"))

    def _begin_next(self, name: Name) -> None:
        waiting = self._fetches[name]
        if waiting:
            self._begin(waiting[0])
        else:
            del self._fetches[name]

    # Without the lock

    def _fail(self, name: Name, error_for: Callable[[Item], StagingError]) -> None:
        with self._lock:
            fetches = self._fetches.pop(name, ())
            self._incoming.remove(name)
            self._landing.drop(name)
        for fetch in fetches:
            fetch.future.set_exception(error_for(fetch.item))
        self.release_all([fetch.item for fetch in fetches])

    def _offer(self, key: bytes, size: int, form: int, content: Content, name: str = "") -> Item:
        with self._lock:
            item = self._known.offer(key, size, form, content, name)
            is_kept = self._known.content(item.id) is content
        if not is_kept and isinstance(content, FileContent) and content.origin:
            _unlink([content.path])
        return item

    def _on_flaw(self, blob: bytes, flaw: str) -> None:
        with self._lock:
            self._known.fail(blob, flaw)

    def _reason_gone(self, blob: bytes) -> str:
        key = blob[:-8]
        return self._known.flaw_of_offered(key) or "no unfinished task of the driver needs it"

    def _where(self, item: Item) -> str:
        return self.locations(item)[0]

    def _drop(self, dropped: Dropped) -> None:
        for release in dropped.releases:
            self._send_release(release)
        _unlink(dropped.files)


def _lost(item: Item, reason: str) -> ItemLostError:
    error = ItemLostError(f"Item {item.key.hex()} ({item.size:,} bytes) cannot be had any more: {reason}.")
    error.key = item.key
    return error


def _unlink(paths: Iterable[str]) -> None:
    for path in paths:
        with suppress(OSError):
            Path(path).unlink()
