"""Jobs, pods and warnings of the blocks of one executor, as the cluster has them.

::

    BlockWatch ── Reflector of Jobs ──┐
               └─ Reflector of pods ──┴─> objects(names): what is known without asking
                                          a name that is not among them is asked for: a new block, or another run's
    Warnings ──── list of events, only while blocks wait, every 2 s at most

The reflectors follow one executor's labels, so that a namespace with thousands of pods of others costs nothing.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import ApiError, ClusterError
from cnflow.kubernetes_api.reflector import Reflector
from cnflow.providers.kubernetes.names import BLOCK, EXECUTOR, MANAGED_BY, RUN, selector
from cnflow.providers.kubernetes.status import BlockObjects
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.kubernetes_api.cluster import Cluster

logger = logging.getLogger(__name__)

JOB_NAME = "job-name"
"""Label that the Job controller gives to its pods; since 1.27 with the prefix ``batch.kubernetes.io/``, too."""

_FIRST_LIST = Seconds(10.0)
_WARNINGS_PERIOD = Seconds(2.0)
_BLOCKS_IN_A_QUERY = 100
"""Blocks in one selector: the server deletes what it chooses one after another, within the time of one request."""

_NAMES_IN_A_QUERY = 80
"""Names of blocks in one selector; servers take URLs of 8 KiB and more."""


class BlockWatch:
    """Objects of blocks, watched or asked for.

    Args:
        cluster: connected.
        namespace: of the blocks.
        is_bare: blocks are pods without Jobs.
        changed: called, from a thread, when a block may have another status.
    """

    def __init__(self, cluster: Cluster, namespace: str, *, is_bare: bool, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._is_bare = is_bare
        self._changed = changed
        self._lock = threading.Lock()
        self._reflectors: dict[str, Reflector] = {}

    def follow(self, chosen: str) -> None:
        """Watch the blocks that the selector *chosen* chooses; only the first call has an effect."""
        with self._lock:
            if self._reflectors:
                return
            lists = {"pods": paths.pods} if self._is_bare else {"jobs": paths.jobs, "pods": paths.pods}
            self._reflectors = {
                kind: Reflector(self._cluster, path(self._namespace), f"{chosen},{BLOCK}", self._changed)
                for kind, path in lists.items()
            }

    def objects(self, names: Collection[str]) -> dict[str, BlockObjects]:
        """Return what the cluster has of each of *names*; nothing is known of an event.

        Raises:
            ClusterError: the server does not answer.
        """
        with self._lock:
            reflectors = dict(self._reflectors)
        known = {kind: one.objects(_FIRST_LIST) for kind, one in reflectors.items()}
        found = self._assemble(names, known.get("jobs", {}), known.get("pods", {}).values())
        if bereft := [name for name, block in found.items() if not block.pods]:
            last = reflectors["pods"].deleted().values()
            found |= self._assemble(bereft, known.get("jobs", {}), last)
        missing = [name for name in names if name not in found]
        return {**found, **self._ask_for(missing)}

    def selectors(self, found: Mapping[str, BlockObjects]) -> tuple[list[str], list[str]]:
        """Return selectors that choose the blocks *found*, each many of them, and the names that need one each."""
        together: dict[str, list[str]] = {}
        others = []
        for name, block in found.items():
            workload = block.job or (block.pods[0] if block.pods and self._is_bare else None)
            if workload is None:
                others.append(name)
                continue
            labels = workload["metadata"]["labels"]
            shared = selector({label: labels[label] for label in (MANAGED_BY, RUN, EXECUTOR)})
            together.setdefault(shared, []).append(labels[BLOCK])
        chunks = [
            f"{shared},{BLOCK} in ({','.join(blocks[start : start + _BLOCKS_IN_A_QUERY])})"
            for shared, blocks in together.items()
            for start in range(0, len(blocks), _BLOCKS_IN_A_QUERY)
        ]
        return chunks, others

    def pods_of(self, names: Collection[str]) -> list[Mapping[str, Any]]:
        """Return the pods of *names*, by asking the server.

        Raises:
            ClusterError: the server does not answer.
        """
        if self._is_bare:
            asked = (self._cluster.get(paths.pods(self._namespace, name)) for name in names)
            return [pod for pod in asked if pod is not None]
        found: list[Mapping[str, Any]] = []
        ordered = list(names)
        for start in range(0, len(ordered), _NAMES_IN_A_QUERY):
            some = ",".join(ordered[start : start + _NAMES_IN_A_QUERY])
            found += self._cluster.list_all(paths.pods(self._namespace), f"{JOB_NAME} in ({some})").items
        return found

    def forget(self, names: Collection[str], pods: Collection[str]) -> None:
        """Remove blocks that are gone, before the events of that come."""
        with self._lock:
            reflectors = dict(self._reflectors)
        for kind, gone in (("jobs", names), ("pods", pods)):
            for name in gone if kind in reflectors else ():
                reflectors[kind].forget(name)

    def stop(self) -> None:
        """End the threads."""
        with self._lock:
            reflectors, self._reflectors = self._reflectors, {}
        for reflector in reflectors.values():
            reflector.stop()

    def _ask_for(self, names: Sequence[str]) -> dict[str, BlockObjects]:
        if not names:
            return {}
        pods = self.pods_of(names)
        asked = {} if self._is_bare else {name: self._cluster.get(paths.jobs(self._namespace, name)) for name in names}
        jobs = {
            name: job for name, job in asked.items() if job is not None and RUN in job["metadata"].get("labels", {})
        }
        return {name: BlockObjects(None, (), is_bare=self._is_bare) for name in names} | self._assemble(
            names, jobs, pods
        )

    def _assemble(
        self, names: Collection[str], jobs: Mapping[str, Mapping[str, Any]], pods: Collection[Mapping[str, Any]]
    ) -> dict[str, BlockObjects]:
        wanted = set(names)
        of_blocks: dict[str, list[Mapping[str, Any]]] = {}
        for pod in pods:
            metadata = pod["metadata"]
            name = metadata["name"] if self._is_bare else metadata.get("labels", {}).get(JOB_NAME, "")
            if name in wanted:
                of_blocks.setdefault(name, []).append(pod)
        there = wanted & (jobs.keys() | of_blocks.keys())
        return {
            name: BlockObjects(jobs.get(name), tuple(of_blocks.get(name, ())), is_bare=self._is_bare) for name in there
        }


class Warnings:
    """Warnings about the objects of a namespace, listed when somebody asks.

    Args:
        cluster: connected.
        namespace: of the objects.
        clock: source of time.
    """

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._clock = clock
        self._listed_at: Seconds | None = None
        self._by_uid: dict[str, list[Mapping[str, Any]]] = {}

    def about(self, objects: Collection[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the warnings about *objects*, oldest first; nothing if they may not be listed."""
        self._list()
        return [event for one in objects for event in self._by_uid.get(str(one["metadata"]["uid"]), ())]

    def _list(self) -> None:
        now = self._clock.now()
        if self._listed_at is not None and now - self._listed_at < _WARNINGS_PERIOD:
            return
        self._listed_at = now
        try:
            events = self._cluster.list_all(paths.events(self._namespace), fields="type=Warning").items
        except ClusterError as error:  # the status comes without them, in fewer words
            logger.debug("no warnings are known: %s", error)
            if isinstance(error, ApiError):
                return
            raise
        self._by_uid = {}
        for event in sorted(events, key=_time_of):
            self._by_uid.setdefault(str(event["involvedObject"].get("uid")), []).append(event)


def _time_of(event: Mapping[str, Any]) -> str:
    """Return the time of the last occurrence; times in RFC 3339 are in the order of their texts."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((time for time in times if time), event["metadata"].get("creationTimestamp", "")))
