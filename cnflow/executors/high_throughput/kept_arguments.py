"""Large arguments of unfinished tasks: kept once each, however many tasks they are passed to. Safe from any thread.

::

    submit ──> pack ──> content known? ──no──> kept, with a name ──┐
                              │ yes                                ├── read, for each Want ...
                              └──> one reference more ─────────────┘
    a task is reported ──> release: no reference left? ──yes──> dropped, Release to the interchange

A digest of each content would cost as much as its way to a worker. So a content is known by a *sample* of its bytes
first; where no content before had the same sample, it is a new one, and gets a name by chance::

    sample is new ──> name by chance, no digest
    sample is known ──> digest of this content, and of the kept one with that sample; digest known? ──> its name
                                                                                         └── no ──> name by chance

Managers keep contents by their names after the tasks: what is passed again and again travels twice at the most.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from cnflow.wire.blob_digest import digest_of
from cnflow.wire.blob_frames import large_positions, with_blobs, without
from cnflow.wire.bulk import KEY_SIZE, Offer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import TaskId
    from cnflow.wire.bulk import BlobId, Piece
    from cnflow.wire.messages import TaskParcel

_MOST_REMEMBERED = 10_000
"""Samples, and digests, of contents that were passed; the oldest are forgotten, and travel once more."""

_SAMPLES, _SAMPLE, _EDGE = 64, 64, 4096
"""Number of places that a sample has bytes of, and bytes of each; and bytes of both ends."""


class _Argument:
    """Content of a blob, and the number of unfinished tasks that refer to it."""

    __slots__ = ("blob", "content", "references", "sample")

    def __init__(self, blob: BlobId, content: memoryview, sample: bytes) -> None:
        self.blob = blob
        self.content = content
        self.references = 0
        self.sample = sample


class KeptArguments:
    """The arguments; the module has a picture.

    The name of a content is a key of its own and a number, which is another one each time that the content comes back
    after its release: a late release then drops nothing that is needed.

    Attributes:
        has_digests_as_names: a key is the digest of the content, as the tasks of a run that is adopted are compared by.
    """

    def __init__(self) -> None:
        self.has_digests_as_names = False
        self._lock = threading.Lock()
        self._kept: dict[bytes, _Argument] = {}
        self._of_tasks: dict[tuple[TaskId, int], list[bytes]] = {}
        self._generations = itertools.count()
        self._own = os.urandom(KEY_SIZE // 2)
        """Beginning of keys: no other driver's contents, which managers may have, begin so."""

        self._samples: OrderedDict[bytes, bytes] = OrderedDict()
        """Sample -> key of the content whose digest is not known; empty if it is, or if that content is dropped."""

        self._keys: OrderedDict[bytes, bytes] = OrderedDict()
        """Digest -> key."""

    def __len__(self) -> int:
        return len(self._kept)

    def pack(self, parcel: TaskParcel) -> TaskParcel:
        """Keep the large frames of *parcel*; return it with offers in their place."""
        task, frames = parcel
        positions = large_positions(frames)
        if not positions:
            return parcel
        arguments = [self._keep(memoryview(frames[position]).cast("B")) for position in positions]
        with self._lock:
            self._of_tasks[task.id, task.attempt] = [argument.blob[:KEY_SIZE] for argument in arguments]
        pairs = zip(arguments, positions, strict=True)
        task.blobs = tuple(Offer(argument.blob, len(argument.content), position) for argument, position in pairs)
        rest = without(frames, positions)
        task.frames = len(rest)
        return task, rest

    def unpack(self, parcel: TaskParcel) -> TaskParcel | None:
        """Return *parcel*, which `pack` has returned, with its large frames; None if they are released."""
        task, frames = parcel
        if not task.blobs:
            return parcel
        kept = [self._kept.get(offer.blob[:KEY_SIZE]) for offer in task.blobs]
        blobs = [(offer, each.content) for offer, each in zip(task.blobs, kept, strict=True) if each is not None]
        return (task, with_blobs(frames, blobs)) if len(blobs) == len(kept) else None

    def release(self, attempts: Iterable[tuple[TaskId, int]]) -> list[BlobId]:
        """Drop the blobs to which only these *attempts*, which are reported, referred; return their names."""
        released: list[BlobId] = []
        if not self._of_tasks:
            return released
        with self._lock:
            for attempt in attempts:
                for key in self._of_tasks.pop(attempt, ()):
                    argument = self._kept[key]
                    argument.references -= 1
                    if not argument.references:
                        released.append(argument.blob)
                        del self._kept[key]
                        if self._samples.get(argument.sample) == key:
                            self._samples[argument.sample] = b""
        return released

    def read(self, piece: Piece) -> memoryview | None:
        """Bytes of a blob; None if it is not here, or not so long."""
        argument = self._kept.get(piece.blob[:KEY_SIZE])
        if argument is None or piece.offset + piece.length > len(argument.content):
            return None
        return argument.content[piece.offset : piece.offset + piece.length]

    def _keep(self, content: memoryview) -> _Argument:
        """Return *content* as an argument, with one reference more."""
        if self.has_digests_as_names:
            digest = digest_of(content)
            with self._lock:
                return self._referred(digest, content, b"")
        sample = _sample_of(content)
        with self._lock:
            other = self._samples.get(sample)
            if other is None:
                key = self._new_key()
                _remember(self._samples, sample, key)
                return self._referred(key, content, sample)
            undigested = self._kept.get(other)
        digest = digest_of(content)
        known = None if undigested is None else digest_of(undigested.content)
        with self._lock:
            if known is not None:
                _remember(self._keys, known, self._keys.get(known, other))
                self._samples[sample] = b""
            key = self._keys.get(digest) or self._new_key()
            _remember(self._keys, digest, key)
            return self._referred(key, content, sample)

    def _referred(self, key: bytes, content: memoryview, sample: bytes) -> _Argument:
        argument = self._kept.get(key)
        if argument is None:
            blob = key + next(self._generations).to_bytes(8, "big")
            argument = self._kept[key] = _Argument(blob, content, sample)
        argument.references += 1
        return argument

    def _new_key(self) -> bytes:
        return self._own + next(self._generations).to_bytes(KEY_SIZE - len(self._own), "big")


def _remember(table: OrderedDict[bytes, Any], name: bytes, value: bytes) -> None:
    table[name] = value
    table.move_to_end(name)
    if len(table) > _MOST_REMEMBERED:
        table.popitem(last=False)


def _sample_of(content: memoryview) -> bytes:
    """Return what two contents that are equal have in common, and most others have not."""
    size = len(content)
    sample = hashlib.blake2b(content[:_EDGE], digest_size=KEY_SIZE)
    step = max(1, size // _SAMPLES)
    for offset in range(0, size, step):
        sample.update(content[offset : offset + _SAMPLE])
    sample.update(content[-_EDGE:])
    sample.update(size.to_bytes(8, "big"))
    return sample.digest()
