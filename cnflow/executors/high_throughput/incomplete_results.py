"""Large results on their way: the parcels that are here without their blobs, and the pieces to ask for. No I/O.

::

    on_results ── no offers ──────────────────────────────────────────────────────> complete
        └── offers ──> incomplete ── next_wants, on_chunk ... ── the last one ────> complete ──> Release
                           ├── Gone, the manager is lost ─────────────────────────> Failure ───> Release
                           └── cancel ────────────────────────────────────────────> dropped ───> Release

Each manager has a line of its own: one behind a slow network holds up no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.ids import ManagerId
from cnflow.wire.blob_frames import check_offers, with_blobs
from cnflow.wire.bulk import NEVER, Chunk, Gone, Piece, Receiver, Release, Want

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cnflow.ids import TaskId
    from cnflow.units import Seconds
    from cnflow.wire.bulk import BlobId, Offer
    from cnflow.wire.messages import Result, ResultParcel


class Failure(NamedTuple):
    """Result that cannot be had."""

    task: TaskId
    attempt: int
    source: ManagerId
    """Manager that had it."""

    reason: str


class Ended(NamedTuple):
    """Results that are complete or cannot be had, and what is no longer needed."""

    parcels: list[ResultParcel]
    failures: list[Failure]
    releases: list[Release]


NOTHING = Ended([], [], [])
"""No result has ended; not to be changed."""


class _Part:
    """Blob of a result."""

    __slots__ = ("buffer", "is_here", "offer", "task")

    def __init__(self, task: TaskId, offer: Offer) -> None:
        self.task = task
        self.offer = offer
        self.is_here = False
        self.buffer = bytearray()
        """Grows as bytes come: to make gigabytes of zeros at once would stop this process for seconds."""


class _Incomplete(NamedTuple):
    result: Result
    frames: Sequence[Any]
    parts: list[_Part]
    source: ManagerId


class IncompleteResults:
    """The results; the module has a picture.

    Attributes:
        largest: bytes of one part, beyond which a result is an error.
        is_local: managers and interchange are on this machine.
    """

    def __init__(self) -> None:
        self.largest = 2**32
        self.is_local = False
        self._incomplete: dict[TaskId, _Incomplete] = {}
        self._parts: dict[tuple[bytes, BlobId], _Part] = {}
        self._receivers: dict[ManagerId, Receiver] = {}

    def __len__(self) -> int:
        return len(self._incomplete)

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        if not self._receivers:  # nearly always, and each turn of the client asks
            return NEVER
        return min(receiver.next_deadline for receiver in self._receivers.values())

    def on_results(self, parcels: Iterable[ResultParcel]) -> Ended:
        """Return those of *parcels* that are complete, or impossible; fetch the blobs of the others."""
        ended = Ended([], [], [])
        for result, frames in parcels:
            if not result.blobs:
                ended.parcels.append((result, frames))
            elif result.id in self._incomplete:
                continue  # sent once more, by a manager that a restarted interchange asked to register again
            elif (flaw := self._flaw_of(result, frames)) is not None:
                ended.failures.append(Failure(result.id, result.attempt, _source_of(result), flaw))
                ended.releases.append(release_of_all(result))
            else:
                self._fetch(result, frames)
        return ended

    def on_chunk(self, chunk: Chunk, data: Any, now: Seconds) -> Ended | None:  # noqa: ANN401 - a frame
        """Accept bytes of a blob; return the result that they complete."""
        part = self._parts.get((chunk.source, chunk.blob))
        if part is None or part.is_here:
            return None
        source = ManagerId(chunk.source)
        receiver = self._receivers[source]
        piece = Piece(chunk.blob, chunk.offset, len(data))
        skipped = receiver.on_chunk(piece, now)
        if skipped == piece.length:
            return None
        part.buffer += memoryview(data)[skipped:]
        if not receiver.is_complete(chunk.blob):
            return None
        self._stop_fetching(source, chunk.blob)
        part.is_here = True
        incomplete = self._incomplete[part.task]
        if not all(other.is_here for other in incomplete.parts):
            return None
        self._forget(part.task)
        whole = with_blobs(incomplete.frames, [(its.offer, its.buffer) for its in incomplete.parts])
        return Ended([(incomplete.result, whole)], [], [release_of(incomplete.result)])

    def on_gone(self, gone: Gone) -> Ended | None:
        """Give up a result of which a blob is gone."""
        part = self._parts.get((gone.source, gone.blob))
        return None if part is None else self._fail(part.task, gone.reason)

    def on_manager_lost(self, manager: ManagerId, reason: str) -> list[Failure]:
        """Give up the results that were to come from *manager*."""
        tasks = [task for task, incomplete in self._incomplete.items() if incomplete.source == manager]
        ended = [self._fail(task, reason) for task in tasks]
        self._receivers.pop(manager, None)
        return [failure for one in ended for failure in one.failures]

    def cancel(self, tasks: Collection[TaskId]) -> tuple[list[TaskId], list[Release]]:
        """Fetch the results of *tasks* no longer; return those that were not complete, and what to release."""
        cancelled = [task for task in tasks if task in self._incomplete]
        return cancelled, [release_of_all(self._forget(task).result) for task in cancelled]

    def on_tick(self, now: Seconds) -> None:
        """Want again what did not arrive in time."""
        for receiver in self._receivers.values():
            receiver.on_tick(now)

    def on_reconnected(self) -> None:
        """Want again, at once, everything that was on its way."""
        for receiver in self._receivers.values():
            receiver.on_reconnected()

    def is_arriving(self, task: TaskId) -> bool:
        """True if blobs of the result of *task* are missing."""
        return task in self._incomplete

    def is_fetched(self, source: bytes, blob: BlobId) -> bool:
        """True if *blob* of a manager is part of a result that is not complete."""
        return (source, blob) in self._parts

    def next_wants(self, now: Seconds) -> list[Want]:
        """Requests to send now."""
        return [
            Want(piece.blob, manager, piece.offset, piece.length)
            for manager, receiver in self._receivers.items()
            for piece in receiver.next_wants(now)
        ]

    def _flaw_of(self, result: Result, frames: Sequence[Any]) -> str | None:
        """Reason for which the blobs of *result* are not fetched; None if they are."""
        try:
            check_offers(result.blobs, len(frames))
        except ValueError as error:
            return str(error)
        if len({offer.source for offer in result.blobs}) != 1 or not result.blobs[0].source:
            return "its parts are offered by several managers, or by none"
        if len({offer.blob for offer in result.blobs}) < len(result.blobs):
            return "it offers a part twice"
        size = max(offer.size for offer in result.blobs)
        if size > self.largest:
            return (
                f"it has a part of {size:,} bytes, and HighThroughputExecutor(max_result_size=...) is {self.largest:,}"
            )
        if any((offer.source, offer.blob) in self._parts for offer in result.blobs):
            return "a part of it is that of another result"
        return None

    def _fetch(self, result: Result, frames: Sequence[Any]) -> None:
        source = _source_of(result)
        parts = [_Part(result.id, offer) for offer in result.blobs]
        self._incomplete[result.id] = _Incomplete(result, frames, parts, source)
        receiver = self._receivers.setdefault(source, Receiver(is_local=self.is_local))
        for part in parts:
            self._parts[source, part.offer.blob] = part
            receiver.add(part.offer.blob, part.offer.size)

    def _fail(self, task: TaskId, reason: str) -> Ended:
        incomplete = self._forget(task)
        failure = Failure(task, incomplete.result.attempt, incomplete.source, reason)
        return Ended([], [failure], [release_of_all(incomplete.result)])

    def _forget(self, task: TaskId) -> _Incomplete:
        incomplete = self._incomplete.pop(task)
        for part in incomplete.parts:
            del self._parts[incomplete.source, part.offer.blob]
            self._stop_fetching(incomplete.source, part.offer.blob)
        return incomplete

    def _stop_fetching(self, source: ManagerId, blob: BlobId) -> None:
        receiver = self._receivers.get(source)
        if receiver is not None:
            receiver.remove(blob)
            if not len(receiver):
                del self._receivers[source]


def release_of(result: Result) -> Release:
    """Order to drop the blobs of *result*."""
    return Release(_source_of(result), [offer.blob for offer in result.blobs])


def release_of_all(result: Result) -> Release:
    """Order to drop the blobs of *result*, and the items that its task has left: the result is of no use."""
    release = release_of(result)
    return Release(release.source, [*release.blobs, *(item.id for item in result.items)])


def _source_of(result: Result) -> ManagerId:
    return ManagerId(result.blobs[0].source)
