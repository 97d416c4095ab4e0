"""Fetches of items to paths on the driver's machine: those of one item come one after the other. Safe from any thread.

::

    fetch ──> IncomingItems ── Want ... Chunk ──> LandingThread ──> the future is done
      └── an item that the driver has ─────────────^
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import CnflowError, ExecutorClosedError, ItemLostError
from cnflow.executors.high_throughput.items.incoming_items import IncomingItems
from cnflow.executors.high_throughput.items.known_items import DRIVER
from cnflow.executors.high_throughput.items.landing import LandingThread
from cnflow.wire.bulk import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cnflow.executors.high_throughput.items.incoming_items import Name
    from cnflow.executors.high_throughput.items.known_items import Content
    from cnflow.ids import ManagerId
    from cnflow.model.item import Item
    from cnflow.units import Seconds
    from cnflow.wire.bulk import Chunk, Want


class _Fetch(NamedTuple):
    item: Item
    path: str
    future: Future[str]
    content: Content | None
    """Content of an item that the driver has."""


class ItemFetches:
    """The fetches; the module has a picture. No callback of a future runs under the lock.

    Args:
        label: of the executor; names the thread that writes.
        release: called with the items of fetches that have ended.
        wake: called from any thread when `next_want` may have something to send.
        now: the clock.
    """

    def __init__(
        self,
        label: str,
        release: Callable[[list[Item]], None],
        wake: Callable[[], object],
        now: Callable[[], Seconds],
    ) -> None:
        self._release = release
        self._wake = wake
        self._now = now
        self._lock = threading.Lock()
        self._incoming = IncomingItems()
        self._fetches: dict[Name, deque[_Fetch]] = {}
        """Fetches of each item: the first is under way."""

        self._requests: deque[Want] = deque()
        self._landing = LandingThread(label, self)
        self._is_closed = False
        self._reason_lost = ""
        """Sentence on why nothing comes from a node any more."""

    def __contains__(self, name: Name) -> bool:
        return name in self._fetches

    def __bool__(self) -> bool:
        return bool(self._fetches)

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        if not self._fetches:
            return NEVER
        with self._lock:
            return self._incoming.next_deadline

    def fetch(self, item: Item, path: str, content: Content | None, flaw: str) -> Future[str]:
        """Bring *item* to *path*; *content* is that of an item of the driver, *flaw* why it cannot be had, or empty."""
        fetch = _Fetch(item, path, Future(), content)
        name = (item.source, item.id)
        error: CnflowError | None = None
        with self._lock:
            if self._is_closed:
                error = ExecutorClosedError(f"{path} cannot be fetched, since the run of its executor has ended.")
            elif flaw or (self._reason_lost and item.source != DRIVER):
                error = lost_error(item, flaw or self._reason_lost)
            else:
                waiting = self._fetches.setdefault(name, deque())
                waiting.append(fetch)
                if len(waiting) == 1:
                    self._begin(fetch)
        if error is None:
            self._wake()
        else:
            self._end(fetch, error)
        return fetch.future

    def cancel(self, futures: Iterable[Future[str]]) -> None:
        """Bring nothing to the paths of these fetches any more; the futures stay undone."""
        unwanted = set(futures)
        items = []
        with self._lock:
            for name, waiting in list(self._fetches.items()):
                left = deque(fetch for fetch in waiting if fetch.future not in unwanted)
                if len(left) == len(waiting):
                    continue
                items += [fetch.item for fetch in waiting if fetch.future in unwanted]
                self._fetches[name] = left
                if not left or left[0] is not waiting[0]:
                    self._incoming.remove(name)
                    self._landing.drop(name)
                    self._begin_next(name)
        self._release(items)

    def fail(self, name: Name, reason: str) -> None:
        """Fail all fetches of an item that cannot be had any more."""
        with self._lock:
            fetches = self._fetches.pop(name, ())
            self._incoming.remove(name)
            self._landing.drop(name)
        for fetch in fetches:
            self._end(fetch, lost_error(fetch.item, reason))

    def fail_all(self, reason: str) -> None:
        """Fail the fetches of all that nodes have, and those to come."""
        with self._lock:
            self._reason_lost = reason
            names = [name for name in self._fetches if name[0] != DRIVER]
        for name in names:
            self.fail(name, reason)

    def arrived(self, item: Item) -> int:
        """Bytes of *item* that are here, while it is fetched; its size if it is not."""
        with self._lock:
            name = (item.source, item.id)
            return self._incoming.arrived(name) if name in self._incoming else item.size

    def close(self, title: str) -> None:
        """Fail all fetches, at the end of a run that *title* names."""
        with self._lock:
            self._is_closed = True
            fetches = [fetch for waiting in self._fetches.values() for fetch in waiting]
            self._fetches.clear()
        self._landing.close()
        for fetch in fetches:
            self._end(fetch, ExecutorClosedError(f"{fetch.path} was not fetched when {title} ended."))

    # The client's thread

    def next_want(self) -> Want | None:
        """Request to send next; None if there is none, or what has arrived is yet to be written."""
        if not self._fetches:
            return None
        with self._lock:
            if not self._requests and self._landing.has_room:
                self._requests.extend(self._incoming.next_wants(self._now()))
            while self._requests:
                want = self._requests.popleft()
                if (want.source, want.blob) in self._incoming:
                    return want
        return None

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

    def on_manager_lost(self, manager: ManagerId, reason: str) -> None:
        """Fail the fetches of what *manager* had."""
        with self._lock:
            names = [name for name in self._fetches if name[0] == manager]
        for name in names:
            self.fail(name, reason)

    def on_tick(self) -> None:
        """Want again what did not arrive in time."""
        with self._lock:
            self._incoming.on_tick(self._now())

    def on_new_line(self, *, is_local: bool) -> None:
        """Want again what was on its way: the connection is a new one."""
        self._requests.clear()
        with self._lock:
            self._incoming.is_local = is_local
            self._incoming.on_reconnected()

    # The thread that writes

    def on_landed(self, name: Name) -> None:
        """Report that the first fetch of an item is done, and begin the next one."""
        self._on_ended(name, None)

    def on_failed(self, name: Name, error: CnflowError) -> None:
        """Report that the first fetch of an item has failed, and begin the next one."""
        self._on_ended(name, error)

    def on_room(self) -> None:
        """Ask for more."""
        self._wake()

    def _on_ended(self, name: Name, error: CnflowError | None) -> None:
        with self._lock:
            waiting = self._fetches.get(name)
            if not waiting:
                return
            fetch = waiting.popleft()
            self._incoming.remove(name)
            self._begin_next(name)
        self._wake()
        self._end(fetch, error)

    def _end(self, fetch: _Fetch, error: CnflowError | None) -> None:
        if error is None:
            fetch.future.set_result(fetch.path)
        else:
            fetch.future.set_exception(error)
        self._release([fetch.item])

    # Under the lock

    def _begin(self, fetch: _Fetch) -> None:
        item = fetch.item
        if item.source != DRIVER:
            self._landing.begin(item, fetch.path)
            if item.size:
                self._incoming.add(item)
        elif fetch.content is not None:
            self._landing.copy(item, fetch.path, fetch.content)
        else:
            self._landing.refuse((item.source, item.id), lost_error(item, "the driver has dropped it"))

    def _begin_next(self, name: Name) -> None:
        waiting = self._fetches[name]
        if waiting:
            self._begin(waiting[0])
        else:
            del self._fetches[name]


def lost_error(item: Item, reason: str) -> ItemLostError:
    """Error of an item that nobody has any more."""
    error = ItemLostError(f"Item {item.key.hex()} ({item.size:,} bytes) cannot be had any more: {reason}.")
    error.key = item.key
    return error
