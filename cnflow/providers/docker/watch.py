"""Watches an engine for the ends of containers, from a thread.

::

    Engine.events(label) ──one item per end──> changed()
        └── the connection breaks ──5 s──> subscribed again, and changed(): an end may have been missed
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cnflow.errors import BlockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.providers.docker.client import Engine

logger = logging.getLogger(__name__)

_RECONNECT = 5.0


class EngineWatch:
    """Thread that reads an engine's events, and subscribes again when the connection breaks.

    Args:
        engine: connected.
        label: of the containers.
        changed: called for each container that ends.
    """

    def __init__(self, engine: Engine, label: str, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._label = label
        self._changed = changed
        self._stopped = threading.Event()
        self._events = engine.events(label)
        self._thread = threading.Thread(target=self._follow, name="cnflow-docker-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._events.close()
        self._thread.join(1.0)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            for _ in self._events:
                self._changed()
            if self._stopped.wait(_RECONNECT):
                break
            try:
                self._events = self._engine.events(self._label)
            except BlockError as error:
                logger.debug("the engine sends no events: %s", error)
            else:
                self._changed()  # an end may have been missed
        self._events.close()
