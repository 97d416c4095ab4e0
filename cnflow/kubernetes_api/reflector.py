"""Keeps the objects of one list up to date from a thread: client-go's reflector.

::

    start ──> list ──> watch ──event──> store ──> changed()
                ▲        ├── the server ends it, every 5 min, or the connection breaks ──> watched from the last version
                │        └── 410 ──┐
                └──────────────────┴── no answer: tried again after 0.2 s, 0.4 s, ... 10 s; `error` has the reason
    objects(): waits for the first list, raises while the server does not answer
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError
from cnflow.kubernetes_api.errors import GONE, ApiError, ClusterError
from cnflow.kubernetes_api.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.kubernetes_api.watch_stream import WatchStream
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


class Reflector:
    """Thread that lists and watches one kind of object.

    Args:
        cluster: connected.
        path: of the list.
        selector: of labels.
        changed: called, from the thread, after any object changed.
    """

    def __init__(self, cluster: Cluster, path: str, selector: str, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._path = path
        self._selector = selector
        self._changed = changed
        self._store = ObjectStore()
        self._lock = threading.Condition()
        self._error: BlockError | None = None
        self._is_listed = False
        self._stopped = threading.Event()
        self._stream: WatchStream | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {path.rpartition('/')[2]}", daemon=True)
        self._thread.start()

    def objects(self, timeout: Seconds) -> Mapping[str, Mapping[str, Any]]:
        """Return all objects by name, as of the last event.

        Args:
            timeout: seconds to wait for the first list.

        Raises:
            ClusterError: the server does not answer or refuses, so that objects may have changed since.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._is_listed or self._error is not None, timeout)
            if self._error is not None:
                raise self._error
            if not self._is_listed:
                raise ClusterError(f"The API server at {self._cluster.server} has not listed {self._path} yet.")
            return self._store.objects()

    def deleted(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the last states of objects that were deleted lately, by name."""
        with self._lock:
            return self._store.deleted()

    def forget(self, name: str) -> None:
        """Remove an object of which the caller knows that it is gone, before the event comes."""
        with self._lock:
            self._store.forget(name)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join(1.0)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                if self._store.must_list:
                    self._list()
                self._watch()
                pause = _FIRST_PAUSE
            except BlockError as error:
                if isinstance(error, ApiError) and error.status == GONE:
                    self._store.on_too_old()
                    continue
                if self._stopped.is_set():
                    return
                logger.debug("%s is not watched: %s", self._path, error)
                pause = self._pause_after(error, pause)
            except Exception as error:  # a thread that ends silently would leave the last state in force for ever
                logger.exception("%s is not watched", self._path)
                words = f"{self._path} is not watched: {type(error).__name__}: {error}"
                pause = self._pause_after(ClusterError(words), pause)

    def _pause_after(self, error: BlockError, pause: float) -> float:
        """Let readers know *error*, and wait; return the seconds to wait after the next one."""
        with self._lock:
            self._error = error
            self._lock.notify_all()
        self._stopped.wait(pause)
        return min(2 * pause, _LONGEST_PAUSE)

    def _list(self) -> None:
        found = self._cluster.list_all(self._path, self._selector)
        with self._lock:
            is_changed = self._store.on_listed(found.items, found.version) or not self._is_listed
            self._is_listed = True
            self._error = None
            self._lock.notify_all()
        if is_changed:
            self._changed()

    def _watch(self) -> None:
        """Apply events until the watch ends.

        Raises:
            ApiError, ClusterError: the server refuses the watch, or does not answer.
        """
        stream = self._cluster.watch(self._path, self._store.version, self._selector)
        self._stream = stream
        if self._stopped.is_set():
            stream.close()
        with self._lock:
            had_error, self._error = self._error, None
        if had_error is not None:
            self._changed()
        has_events = False
        for event in stream:
            has_events = True
            with self._lock:
                is_changed = self._store.on_event(event)
            if is_changed:
                self._changed()
        if not has_events:  # a proxy that ends it at once, or a broken connection: the next list or watch shows it
            self._stopped.wait(_FIRST_PAUSE)
