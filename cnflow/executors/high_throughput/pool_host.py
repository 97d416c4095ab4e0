"""Interchange of a standing pool, which serves several drivers: connected with, never started or ended by this one.

::

    connect ──> provider.access ──> endpoint, keys, tunnel; read again for each connection: a server may have moved
    start ────> bridge ──> the pool begins a session, in the place of the one before
    attach ───> bridge ──> │ the pool goes on with it; "gone": it has forgotten it, and `start` follows
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from cnflow.blocks.provider_calls import naming
from cnflow.errors import BlockError, BlockRejectedError, ConfigurationError
from cnflow.executors.high_throughput.interchange_host import HostWords, python_path
from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
from cnflow.interfaces import OffersPool

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.interfaces import Provider
    from cnflow.model.image import Image
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.model.pool_settings import ClientRequest
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)

_PAUSES = (0.5, 2.0, 5.0)
"""Seconds between attempts to reach the server of a pool for the first time."""


class PoolHost:
    """See `cnflow.executors.high_throughput.interchange_host.InterchangeHost`.

    Args:
        address: of the pool server, for messages.
        image: of the executor.
        grace: seconds for which a lost connection is made again.
        log_file: stderr of the bridge is appended here.
    """

    reaches_first = False
    """A key that is refused stays so: the first failure ends the executor, with the words of the bridge."""

    words = HostWords(
        gone="has forgotten this driver, or refuses its key",
        restarted="the pool begins a new session; unfinished tasks are sent to it again",
        detached="The pool keeps this driver's tasks and their results for its client_timeout.",
    )

    def __init__(self, address: str, image: Image, grace: Seconds, log_file: Path) -> None:
        self.grace = grace
        self.log_file = log_file
        self.name = f"the connection with the pool at {address}"
        self._image = image
        self._pool: OffersPool | None = None
        self._first: ClientRequest | None = None
        """Way that `connect` has found, for the first session."""

        self._last: ClientRequest | None = None
        """Way that was found last."""

    def prepare(self) -> None:
        """See `InterchangeHost`; nothing: the provider comes with `connect`."""

    def connect(self, provider: Provider) -> None:
        """Read the way to the pool.

        Raises:
            BlockError: the server of the pool is not reached, or has none for the image.
        """
        if not isinstance(provider, OffersPool):
            raise BlockRejectedError(f"{type(provider).__name__} offers no pool, as its settings promise.")
        for pause in (*_PAUSES, None):
            try:
                with naming(provider, "access"):
                    self._first = self._last = provider.access(self._image)
            except BlockRejectedError:
                raise
            except BlockError as error:
                if pause is None:
                    raise
                logger.warning("the pool is asked again: %s", error)
                time.sleep(pause)
            else:
                break
        self._pool = provider

    def addresses(self, provider: Provider) -> Collection[str]:
        """None: managers of the pool know it already."""
        del provider
        return ()

    def close(self) -> None:
        """See `InterchangeHost`; nothing."""

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """See `InterchangeHost`: begin a session."""
        first, self._first = self._first, None
        access = first or self._access()
        return self._run(msgspec.structs.replace(access, session=settings.session, is_new=True, replaces=replaces))

    def attach(self, session: str) -> InterchangeProcess:
        """See `InterchangeHost`: go on with a session."""
        return self._run(msgspec.structs.replace(self._access(), session=session))

    def _access(self) -> ClientRequest:
        if self._pool is None:
            raise ConnectionError("the pool was not reached yet")
        try:
            self._last = self._pool.access(self._image)
        except (BlockRejectedError, ConfigurationError) as error:
            # A key that is withdrawn may have no Secret any more: the pool itself is to refuse it, which ends the run.
            if self._last is None:
                raise ConnectionError(str(error)) from error
            logger.warning("the pool is tried as it was before: %s", error)
        except BlockError as error:
            raise ConnectionError(str(error)) from error
        return self._last

    def _run(self, request: ClientRequest) -> InterchangeProcess:
        environment = {**os.environ, "PYTHONPATH": python_path(), "PYTHONSAFEPATH": "1"}
        argv = [sys.executable, "-m", "cnflow.interchange.client_bridge"]
        line = msgspec.json.encode(request)
        return InterchangeProcess(argv, line, self.log_file, is_relay=True, environment=environment)
