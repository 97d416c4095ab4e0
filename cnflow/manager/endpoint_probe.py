"""Finds the address of the interchange anew while the manager goes on working."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Optional

from cnflow.manager.registration import UnreachableError, find_endpoint

if TYPE_CHECKING:
    from cnflow.model.manager_settings import ManagerSettings

logger = logging.getLogger(__name__)


class EndpointProbe:
    """One search at a time, in a thread of its own: names are resolved and connections tried, which may take long.

    Args:
        settings: of the manager.

    Attributes:
        source: descriptor that is readable once a search has ended.
    """

    def __init__(self, settings: ManagerSettings) -> None:
        self._settings = settings
        self._found: Optional[str] = None
        self._thread: Optional[threading.Thread] = None
        self.source, self._done = os.pipe()

    def start(self) -> None:
        """Begin a search, unless one is under way."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._search, name="endpoint probe", daemon=True)
            self._thread.start()

    def take(self) -> Optional[str]:
        """Return the endpoint that the search has found; None if no address accepts a connection."""
        os.read(self.source, 1)
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        found, self._found = self._found, None
        return found

    def _search(self) -> None:
        try:
            self._found = find_endpoint(self._settings)
        except UnreachableError as error:
            logger.warning("%s", error)
        except Exception:  # the thread must report its end in any case: the next search waits for it
            logger.exception("the search for the interchange's address failed")
        finally:
            os.write(self._done, b"x")
