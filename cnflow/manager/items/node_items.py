"""Items of one node: binds what `needs`, `waiting` and `left` decide to the files; the package has a picture."""

from __future__ import annotations

import itertools
import logging
import math
from typing import TYPE_CHECKING, Any

from cnflow.manager.items.files import Failed, Found, ItemFiles, Missing, Read, Stored
from cnflow.manager.items.left import LeftItems
from cnflow.manager.items.needs import Drop, Evict, ItemNeeds, MakeEmpty, Order, Pin, Unpin
from cnflow.manager.items.waiting import WaitingForItems
from cnflow.model.item import KEY_SIZE, Item
from cnflow.tasks.inside import CHANGED
from cnflow.units import Seconds
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.manager.items.peers import Reply
    from cnflow.manager.node.area import NodeArea
    from cnflow.wire.messages import ResultParcel

logger = logging.getLogger(__name__)

_LEAVING = frozenset({ResultKind.VALUE, ResultKind.RAISED, ResultKind.UNPICKLABLE})
"""Ends of a task with which it leaves what it has announced: also the output of one that failed."""


class NodeItems:
    """The items; see the package.

    Args:
        area: folders of the node.
        manager: id of this manager.
        patience: time after which kept items that nobody wants, and that keep the manager from leaving, are dropped.

    Attributes:
        tasks: those that wait for items.
        left: what workers have announced.
        is_last: the manager has nothing else to do than to keep what tasks have left.
        source: descriptor that is readable while `follow_files` has something to do.
    """

    def __init__(self, area: NodeArea, manager: ManagerId, patience: Seconds) -> None:
        self._manager = manager
        self._patience = patience
        self._files = ItemFiles(area)
        self._needs = ItemNeeds()
        self.tasks = WaitingForItems(self._needs, manager)
        self.left = LeftItems()
        self.is_last = False
        self.source = self._files.source
        self._kept: dict[bytes, bytes] = {}
        """Keys of what tasks have left and nobody has released, by the ids under which others know them."""

        self._numbers = itertools.count()
        self._wanted_at = Seconds(-math.inf)

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `next_wants`, or `take_unwanted`."""
        return min(self._needs.next_deadline, self._unwanted_at)

    # Items that tasks need

    def awaits(self, identity: bytes) -> bool:
        """True if a chunk of *identity*, or the news that it is gone, is for `on_chunk` or `on_gone`."""
        return self._needs.awaits(identity)

    def on_chunk(self, chunk: Chunk, data: Any, now: Seconds) -> None:  # noqa: ANN401 - a frame
        """Accept bytes of an item."""
        write = self._needs.on_chunk(chunk, len(data), now)
        if write is not None:
            self._files.write(write, memoryview(data)[write.skipped :])

    def on_gone(self, gone: Gone) -> None:
        """Follow the loss of an item at its source."""
        self._needs.on_gone(gone)

    def ask_again(self, source: bytes) -> None:
        """Want again, at once, what *source* was asked for over a line that was lost."""
        self._needs.ask_again(source)

    def on_connected(self, *, is_local: bool) -> None:
        """Want everything, at once, over a new line, which may stay within this machine."""
        self._needs.on_connected(is_local=is_local)

    def next_wants(self, now: Seconds) -> list[Want]:
        """Requests to send now; none while the disk is behind."""
        if now >= self._needs.next_deadline:
            self._needs.on_tick(now)
        self._files.start()
        return [] if self._files.is_full else self._needs.next_wants(now)

    def carry_out_orders(self) -> None:
        """Pass to the files what was decided."""
        for order in self._needs.take_orders():
            self._carry_out(order)

    def follow_files(self) -> None:
        """Follow what has happened to the files, and reply to those who wanted bytes of them."""
        for report in self._files.take():
            if isinstance(report, Stored):
                self._needs.on_stored(report.key)
            elif isinstance(report, Found):
                self._needs.on_found(report.key)
            elif isinstance(report, Missing):
                self._needs.on_missing(report.key)
            elif isinstance(report, Failed):
                logger.warning("item %s: %s", report.key.hex(), report.reason)
                self._needs.on_failed(report.key, report.reason)
            else:
                self._reply(report)

    # Items that tasks leave

    def attach(self, parcel: ResultParcel, now: Seconds) -> ResultParcel:
        """Name in the result of a task what it has left, and keep that."""
        if not self.left:
            return parcel
        result = parcel[0]
        left = self.left.take(result.id)
        self.carry_out_orders()  # first: it may have left what it has used, and that is released by now
        items: list[Item] = []
        for each in left:
            if each.name == CHANGED:
                logger.warning(
                    "task %d has written to one of its input files, which is removed from this node", result.id
                )
                self._needs.forget(each.key)
                self._files.remove_changed(each.key)
                continue
            if result.kind not in _LEAVING:
                self._files.discard_file(each.path)
                continue
            identity = each.key + next(self._numbers).to_bytes(8, "big")
            self._kept[identity] = each.key
            self._needs.use_left(each.key, each.size)
            self._files.adopt(each.key, each.size, each.path)
            items.append(Item(identity, each.size, each.form, self._manager, each.name))
        if items:
            self._wanted_at = now
            result.items = tuple(items)
        return parcel

    def on_worker_exit(self, pid: int, exitcode: int) -> None:
        """Remove what worker *pid* has left of its task, if it was killed or this node has seen items."""
        if exitcode or self._files.is_used:
            self._files.remove_leftovers(pid, self.left.paths)

    def on_want(self, want: Want, now: Seconds, reply: Reply) -> bool:
        """Read what is wanted of an item that this node keeps, and *reply* with it; return False if it keeps none."""
        key = self._kept.get(want.blob)
        if key is None:
            return False
        self._wanted_at = now
        self._files.read(key, want.offset, want.length, (want, reply))
        return True

    def release(self, identities: Iterable[bytes]) -> None:
        """Keep no longer what a task has left; remove copies of the items of others if no task here uses them."""
        for identity in identities:
            if len(identity) <= KEY_SIZE:
                continue  # of a part of a large result
            key = self._kept.pop(identity, None)
            if key is not None:
                self._needs.release([key])
                self.carry_out_orders()
            key = identity[:KEY_SIZE]
            if not self._needs.is_used(key):
                self._files.discard(key)

    @property
    def kept(self) -> list[bytes]:
        """Ids of what tasks have left and nobody has released."""
        return list(self._kept)

    @property
    def keeps(self) -> bool:
        """True while something is kept."""
        return bool(self._kept)

    def take_unwanted(self, now: Seconds) -> list[bytes]:
        """Drop all that is kept if only that keeps the manager from leaving, and nobody has wanted any for long."""
        unwanted = self.kept if now >= self._unwanted_at else []
        self.release(unwanted)
        return unwanted

    @property
    def _unwanted_at(self) -> Seconds:
        return Seconds(self._wanted_at + self._patience) if self._kept and self.is_last else Seconds(math.inf)

    def close(self) -> None:
        """End the thread of the files."""
        self._files.close()

    def _carry_out(self, order: Order) -> None:
        if isinstance(order, Pin):
            self._files.pin(order.key, order.size, order.place)
        elif isinstance(order, Unpin):
            self._files.unpin(order.key)
        elif isinstance(order, MakeEmpty):
            self._files.make_empty(order.key)
        elif isinstance(order, Drop):
            self._files.drop(order.key)
        elif isinstance(order, Evict):
            self._files.evict()

    def _reply(self, read: Read) -> None:
        want, reply = read.token
        if read.data is None:
            reply(Gone(want.blob, self._manager, read.reason), None)
        else:
            reply(Chunk(want.blob, self._manager, want.offset), read.data)
