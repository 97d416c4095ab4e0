"""Contents that tasks of this node use, and the pieces to ask for: each once, however many tasks want it. No I/O.

::

    use ──> looked for in the area ── on_stored: it is here ──────────────────────────> here ── no user ──> released:
                 └── on_missing ──> wanted: next_wants, on_chunk ... on_stored ──────────^         it may be evicted
                                      ├── on_gone: no source has it any more ────────> given up: its tasks are lost
                                      └── on_failed: no room, or other bytes, twice ─> given up, with words

A content may have several names, of sources that have it: it is wanted by the last, and by another when that is gone,
or silent.
What the files have to do is in `take_orders`, in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from cnflow.wire.bulk import KEY_SIZE, Piece, Receiver, Want

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.model.item import Item
    from cnflow.units import Seconds
    from cnflow.wire.bulk import Chunk, Gone

_MOST_FAILURES = 2
"""Times that a content may fail to be stored: a full disk may have room once unused contents are gone."""


class Pin(NamedTuple):
    """Look for a content in the area, and keep it if it is there."""

    key: bytes
    size: int
    place: str = ""
    """Nameless file in memory that may have it, if its source is on this machine (`Objects.adopt_nameless`)."""


class Unpin(NamedTuple):
    """Let a content be evicted."""

    key: bytes


class MakeEmpty(NamedTuple):
    """Store the content of no bytes."""

    key: bytes


class Drop(NamedTuple):
    """Remove what has arrived of a content."""

    key: bytes


class Evict(NamedTuple):
    """Remove all contents that nothing uses."""


Order = Union[Pin, Unpin, MakeEmpty, Drop, Evict]


class Write(NamedTuple):
    """Bytes to write, which follow those of the content that were written before."""

    key: bytes
    offset: int
    size: int
    """Of the whole content."""

    skipped: int
    """Bytes at the beginning of the chunk that are not needed."""

    form: int
    """An `ItemForm`."""


class GivenUp(NamedTuple):
    """Content that cannot be had; `is_gone` if that is since no source has it."""

    key: bytes
    reason: str
    is_gone: bool


class _Content:
    """Content that something uses.

    Attributes:
        users: number of them.
        names: of sources that have it; it is wanted by the last of them.
        failures: times that it was there and could not be stored.
    """

    __slots__ = ("failures", "is_here", "is_looked_for", "names", "size", "users")

    def __init__(self, size: int) -> None:
        self.size = size
        self.users = self.failures = 0
        self.names: dict[bytes, Item] = {}
        self.is_here = False
        self.is_looked_for = True

    @property
    def item(self) -> Item:
        """Item by whose name it is wanted."""
        return self.names[next(reversed(self.names))]


class ItemNeeds:
    """The contents; the module has a picture."""

    def __init__(self) -> None:
        self._contents: dict[bytes, _Content] = {}
        self._receiver = Receiver()
        self._orders: list[Order] = []
        self._looks: dict[bytes, int] = {}
        """Orders to look for each content that are not answered: reports of before mean nothing."""

        self._arrived: list[bytes] = []
        self._given_up: list[GivenUp] = []

    def __len__(self) -> int:
        return len(self._contents)

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        return self._receiver.next_deadline

    def use(self, key: bytes, size: int, *items: Item) -> bool:
        """Note one user more of a content, which the sources of *items* have, too; return True if it is here."""
        content = self._contents.get(key)
        if content is None:
            content = self._contents[key] = _Content(size)
            self._orders.append(Pin(key, size, next((item.name for item in items if item.name), "")))
            self._looks[key] = self._looks.get(key, 0) + 1
        content.users += 1
        content.names.update((item.id, item) for item in items)
        if not (content.is_here or content.is_looked_for or key in self._receiver):
            self._fetch(key, content)  # it was given up, and those who used it have not released it yet
        return content.is_here

    def use_left(self, key: bytes, size: int) -> None:
        """Note one user more of a content that a task has left, and that the files are about to store."""
        content = self._contents.get(key)
        if content is None:
            content = self._contents[key] = _Content(size)
        content.users += 1
        if not content.is_here and key not in self._receiver:
            content.is_looked_for = True

    def forget(self, key: bytes) -> None:
        """Note that a content is not here any more, though it may be in use: who uses it next wants it anew."""
        content = self._contents.get(key)
        if content is not None:
            content.is_here = False

    def release(self, keys: Iterable[bytes]) -> None:
        """Note one user less of each of *keys*."""
        for key in keys:
            content = self._contents[key]
            content.users -= 1
            if content.users:
                continue
            del self._contents[key]
            self._receiver.remove(key)
            # Whatever the files are doing with it comes first: what they report of it later is released again.
            self._orders += [Unpin(key)] if content.is_here else [Drop(key), Unpin(key)]

    @property
    def has_news(self) -> bool:
        """True while a content has arrived, or was given up, and nobody was told."""
        return bool(self._arrived or self._given_up)

    def is_here(self, key: bytes) -> bool:
        """True if a content is used, and here."""
        content = self._contents.get(key)
        return content is not None and content.is_here

    def arrived(self, key: bytes) -> int:
        """Bytes of a content that are here, or have come so far."""
        content = self._contents.get(key)
        if content is None:
            return 0
        return content.size if content.is_here else self._receiver.arrived(key) if key in self._receiver else 0

    def is_used(self, key: bytes) -> bool:
        """True if something uses a content, here or not."""
        return key in self._contents

    def awaits(self, identity: bytes) -> bool:
        """True if a content is wanted, or was, by the name *identity*."""
        content = self._contents.get(identity[:KEY_SIZE])
        return content is not None and not content.is_here and identity in content.names

    def take_orders(self) -> list[Order]:
        """Remove and return what the files have to do."""
        orders, self._orders = self._orders, []
        return orders

    def take_arrived(self) -> list[bytes]:
        """Remove and return the keys of contents that are here now."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def take_given_up(self) -> list[GivenUp]:
        """Remove and return contents that cannot be had; those who use them release them."""
        given_up, self._given_up = self._given_up, []
        return given_up

    def on_chunk(self, chunk: Chunk, length: int, now: Seconds) -> Optional[Write]:
        """Accept *length* bytes that arrive; return what to write of them, if anything."""
        key = chunk.blob[:KEY_SIZE]
        content = self._contents.get(key)
        if content is None or key not in self._receiver:
            return None
        skipped = self._receiver.on_chunk(Piece(key, chunk.offset, length), now)
        if skipped == length:
            return None
        item = content.item
        if self._receiver.is_complete(key):
            self._receiver.remove(key)  # `on_stored` or `on_failed` follows
            content.is_looked_for = True
        return Write(key, chunk.offset + skipped, content.size, skipped, item.form)

    def on_gone(self, gone: Gone) -> None:
        """Want the content by another name; give it up if there is none."""
        key = gone.blob[:KEY_SIZE]
        content = self._contents.get(key)
        if content is None or content.names.pop(gone.blob, None) is None or key not in self._receiver:
            return
        if content.names:
            self._receiver.restart(key)
        else:
            self._give_up(key, gone.reason, is_gone=True)

    def on_found(self, key: bytes) -> None:
        """Note that a content that was looked for is here, and kept."""
        if self._is_last_look(key):
            self.on_stored(key)

    def on_stored(self, key: bytes) -> None:
        """Note that a content is here, whole, verified and kept."""
        content = self._contents.get(key)
        if content is None:
            self._orders.append(Unpin(key))
            return
        if key in self._looks:
            return  # it may have been released, and removed, since: what was looked for after that is reported next
        if key in self._receiver:  # it came in another way than by its chunks, of which some may be written
            self._receiver.remove(key)
            self._orders.append(Drop(key))
        if not content.is_here:
            content.is_here, content.is_looked_for = True, False
            self._arrived.append(key)

    def on_missing(self, key: bytes) -> None:
        """Note that a content that was looked for is not in the area."""
        content = self._contents.get(key)
        if not self._is_last_look(key) or content is None:
            return
        if content.is_here or not content.is_looked_for or key in self._receiver:
            return
        content.is_looked_for = False
        self._fetch(key, content)

    def on_failed(self, key: bytes, reason: str) -> None:
        """Note that a content could not be stored: want it once more, after removing what nothing uses."""
        content = self._contents.get(key)
        if content is None or content.is_here:
            return
        self._receiver.remove(key)
        content.failures += 1
        if content.failures < _MOST_FAILURES:
            self._orders.append(Evict())
            content.is_looked_for = False
            self._fetch(key, content)
        else:
            self._give_up(key, reason, is_gone=False)

    def on_tick(self, now: Seconds) -> None:
        """Want again what did not arrive in time, of another source if there is one: this may be away for long."""
        for key in self._receiver.on_tick(now):
            names = self._contents[key].names
            first = next(iter(names))
            names[first] = names.pop(first)  # the last one is asked

    def on_connected(self, *, is_local: bool) -> None:
        """Want everything, at once, over a new line, which may stay within this machine."""
        self._receiver.on_reconnected(is_local=is_local)

    def ask_again(self, source: bytes) -> None:
        """Want again, at once, what *source* was asked for over a line that was lost."""
        for key, content in self._contents.items():
            if key in self._receiver and content.item.source == source:
                self._receiver.restart(key)

    def next_wants(self, now: Seconds) -> list[Want]:
        """Requests to send now."""
        if not len(self._receiver):
            return []
        wants: list[Want] = []
        for piece in self._receiver.next_wants(now):
            item = self._contents[piece.blob].item
            wants.append(Want(item.id, item.source, piece.offset, piece.length))
        return wants

    def _is_last_look(self, key: bytes) -> bool:
        """Note the answer to an order to look for a content; return whether it is the last one's."""
        looks = self._looks.pop(key, 1) - 1
        if looks:
            self._looks[key] = looks
        return not looks

    def _fetch(self, key: bytes, content: _Content) -> None:
        if not content.names:
            self._give_up(key, "its manager does not have it any more", is_gone=True)
        elif content.size:
            self._receiver.add(key, content.size)
        else:
            content.is_looked_for = True
            self._orders.append(MakeEmpty(key))

    def _give_up(self, key: bytes, reason: str, *, is_gone: bool) -> None:
        self._receiver.remove(key)
        self._orders.append(Drop(key))
        self._given_up.append(GivenUp(key, reason, is_gone))
