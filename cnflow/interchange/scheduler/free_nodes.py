"""Index of the nodes that have a free worker, by what is free on them. No I/O.

Nodes of one shape with the same amounts free are alike: they share a bucket, so that a task is compared with buckets,
not with nodes. A bucket's version rises when a node joins it. A task that fitted no bucket of a version or older is
compared with newer ones only::

    buckets, newest last:   v7 {4 cores: a, c}   v9 {0 cores, 8 GB: b}   v12 {1 core: d}
                                                 │
                                 a group that was refused at v8 looks at v12, then v9
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from cnflow.interchange.scheduler.end_order import EndOrder
from cnflow.tasks.node_shape import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.ids import ManagerId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.tasks.node_shape import NodeShape, ResourceVector

    _Key = tuple[NodeShape, ResourceVector]


class NodeBucket:
    """Nodes of one shape that have the same resources free.

    Attributes:
        shape: of the nodes.
        free: resources that are free on each.
        nodes: their managers, by the end of their blocks.
        version: rises when a node joins.
    """

    __slots__ = ("free", "nodes", "shape", "version")

    def __init__(self, shape: NodeShape, free: ResourceVector) -> None:
        self.shape = shape
        self.free = free
        self.nodes = EndOrder()
        self.version = 0


class FreeNodes:
    """Managers with a free worker.

    Attributes:
        version: of the newest bucket; counts the nodes that joined a bucket.
        round: number of the present round.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[_Key, NodeBucket] = OrderedDict()
        """Oldest version first."""

        self._keys: dict[ManagerId, _Key] = {}
        self.version = 0
        self.round = 0

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __iter__(self) -> Iterator[ManagerId]:
        return iter(self._keys)

    def update(self, manager: ManagerId, record: ManagerRecord, kept: ResourceVector = NOTHING) -> None:
        """Put *manager* where it belongs, after its tasks, its window or what is *kept* for one task changed."""
        free = record.capacity.free(record.plain_tasks, record.free_workers)
        key = record.capacity.shape, free if kept is NOTHING else free.without(kept)
        if self._keys.get(manager) == key:
            return
        self.remove(manager)
        if key[1].workers <= 0:
            return
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = NodeBucket(*key)
        self._keys[manager] = key
        bucket.nodes.add(manager, record.ends_at, record.info.node.life)
        self.version += 1
        bucket.version = self.version
        self._buckets.move_to_end(key)

    def remove(self, manager: ManagerId) -> None:
        """Remove *manager*; does nothing if it is not here."""
        key = self._keys.pop(manager, None)
        if key is not None:
            bucket = self._buckets[key]
            bucket.nodes.discard(manager)
            if not bucket.nodes:
                del self._buckets[key]

    def newer_than(self, version: int) -> Iterator[NodeBucket]:
        """Buckets of which a node joined after *version*, the newest first."""
        for bucket in reversed(self._buckets.values()):
            if bucket.version <= version:
                return
            yield bucket
