"""Blobs of one executor on the line to its interchange: what to send when control messages leave room. No I/O.

`pack`, `release` and `cancel` are called from any thread, all else from the client's::

    Want of an argument ──> Sender ────────────┐
    Want of an item ──────> DriverItems ───────┼── next_message: requests first, then one chunk at a time
    IncompleteResults: pieces of results ──────┘
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput.incomplete_results import NOTHING, Ended, IncompleteResults, release_of
from cnflow.executors.high_throughput.items.driver_items import DriverItems
from cnflow.executors.high_throughput.kept_arguments import KeptArguments
from cnflow.wire.bulk import Chunk, Gone, Piece, Release, Sender, Unreleased, Want
from cnflow.wire.messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from cnflow.executors.high_throughput.incomplete_results import Failure
    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.ids import ManagerId, TaskId
    from cnflow.units import Seconds
    from cnflow.wire.bulk import BulkMessage
    from cnflow.wire.messages import Result, ResultParcel, TaskParcel

_DRIVER = b""


class BulkLine:
    """The driver's end; the module has a picture.

    Args:
        send_release: orders the interchange to drop blobs, after everything that was sent before.
        now: the clock.
        wake: called, from any thread, when `next_message` may have something to send.
        label: of the executor; names threads.

    Attributes:
        items: contents that travel apart from tasks.
    """

    def __init__(
        self,
        send_release: Callable[[Release], None],
        now: Callable[[], Seconds],
        wake: Callable[[], object] = bool,
        label: str = "",
    ) -> None:
        self.items = DriverItems(label, send_release, wake, now)
        self._items_turn = False
        self._send_release = send_release
        self._now = now
        self._arguments = KeptArguments()
        self._lock = threading.Lock()
        """Held while results change: they are cancelled from any thread."""

        self._results = IncompleteResults()
        self._sender = Sender()
        self._requests: deque[Want] = deque()

    def __len__(self) -> int:
        """Number of arguments that are kept, and of results that are not complete."""
        return len(self._arguments) + len(self._results)

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        if not len(self._results):  # without the lock: only the thread that asks adds any
            return self.items.next_deadline
        with self._lock:
            return min(self._results.next_deadline, self.items.next_deadline)

    @property
    def has_arguments(self) -> bool:
        """True while an unfinished task has large arguments, or items: `release` is to be called."""
        return len(self._arguments) > 0 or self.items.has_references_of_tasks

    def packed(self, task: SerializedTask) -> SerializedTask:
        """Keep the large arguments of *task* until `release`; return it with offers in their place."""
        function, parcel = task
        return (function, self._arguments.pack(parcel)) if parcel[1] else task

    def whole(self, parcel: TaskParcel) -> TaskParcel | None:
        """Return a parcel that was packed with its large arguments in their places again; None if it is reported."""
        return self._arguments.unpack(parcel)

    def is_arriving(self, task: TaskId) -> bool:
        """True if the result of *task* is on its way: it has run, and need not run again."""
        with self._lock:
            return self._results.is_arriving(task)

    def release(self, attempts: Collection[tuple[TaskId, int]]) -> None:
        """Drop the arguments to which only these attempts, which are reported, referred."""
        blobs = self._arguments.release(attempts)
        if blobs:
            self._send_release(Release(_DRIVER, blobs))
        self.items.on_tasks_reported(attempts)

    def cancel(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Fetch the results of *tasks* no longer; return those that were not complete, and will not come."""
        with self._lock:
            cancelled, releases = self._results.cancel(tasks)
        self._send_releases(releases)
        return cancelled

    def on_results(self, parcels: Iterable[ResultParcel]) -> Ended:
        """Return those of *parcels* that are complete or cannot be had; fetch the blobs of the others."""
        with self._lock:
            return self._released(self._results.on_results(parcels))

    def on_unwanted(self, results: Iterable[Result]) -> None:
        """Release the blobs of results that nobody waits for."""
        self._send_releases([release_of(result) for result in results if result.blobs])

    def on_manager_lost(self, manager: ManagerId, reason: str) -> list[Failure]:
        """Return the results that will not come from *manager* any more."""
        with self._lock:
            return self._results.on_manager_lost(manager, reason)

    def on_message(self, message: BulkMessage | Unreleased, attached: Sequence[Any]) -> Ended:
        """Handle a message of the interchange; return the result that it completes or ends, if it does."""
        ended: Ended | None = None
        if isinstance(message, Want):
            if not self.items.on_want(message):
                self._sender.on_want(Piece(message.blob, message.offset, message.length))
        elif isinstance(message, Unreleased):
            self._release_needless(message)
        elif isinstance(message, Gone):
            if not self.items.on_gone(message):
                with self._lock:
                    ended = self._results.on_gone(message)
        elif len(attached) == 1 and not self.items.on_chunk(message, attached[0]):
            with self._lock:
                ended = self._results.on_chunk(message, attached[0], self._now())
        return NOTHING if ended is None else self._released(ended)

    def name_by_digest(self, *, is_wanted: bool) -> None:
        """Name arguments by their digests if *is_wanted*: drivers that adopt runs compare tasks by these."""
        self._arguments.has_digests_as_names = is_wanted
        if is_wanted:
            self.items.name_by_digest()

    def set_largest_result(self, size: int) -> None:
        """Make results with a part of more bytes than *size* errors."""
        self._results.largest = size

    def on_tick(self) -> None:
        """Want again what did not arrive in time."""
        with self._lock:
            self._results.on_tick(self._now())
        self.items.on_tick()

    def on_new_line(self, *, is_local: bool) -> None:
        """Begin again what was on its way: the connection is a new one, and perhaps the interchange, too.

        Args:
            is_local: all managers and the interchange are on this machine.
        """
        self._results.is_local = is_local
        self.items.on_new_line(is_local=is_local)
        self._sender.clear()
        self._requests.clear()
        with self._lock:
            self._results.on_reconnected()

    def next_message(self) -> list[Any]:
        """Frames of the message to send next, now that the line has room; none if there is nothing to send."""
        if self._requests or len(self._results):
            with self._lock:
                if not self._requests:
                    self._requests.extend(self._results.next_wants(self._now()))
                while self._requests:
                    want = self._requests.popleft()
                    if self._results.is_fetched(
                        want.source, want.blob
                    ):  # else it was released: a late request would not be forgotten
                        return [encode(want)]
        self._items_turn = not self._items_turn
        if (self._items_turn or not self._sender) and (frames := self.items.next_message()):
            return frames
        return self._next_argument() or self.items.next_message()

    def _next_argument(self) -> list[Any]:
        piece = self._sender.next_piece()
        if piece is None:
            return []
        content = self._arguments.read(piece)
        if content is not None:
            return [encode(Chunk(piece.blob, _DRIVER, piece.offset)), content]
        self._sender.remove([piece.blob])
        return [encode(Gone(piece.blob, _DRIVER, "no unfinished task of the driver has it"))]

    def _release_needless(self, kept: Unreleased) -> None:
        """Release those blobs of a manager that are not fetched: their results are here, or unwanted."""
        with self._lock:
            needless = [blob for blob in kept.blobs if not self._results.is_fetched(kept.source, blob)]
        needless = [blob for blob in needless if not self.items.needs(kept.source, blob)]
        if needless:
            self._send_release(Release(kept.source, needless))

    def _released(self, ended: Ended) -> Ended:
        self._send_releases(ended.releases)
        return ended

    def _send_releases(self, releases: Iterable[Release]) -> None:
        for release in releases:
            self._send_release(release)
