"""Interchange in the system of the provider, such as a pod of the cluster: for drivers that blocks cannot reach.

::

    connect ──> provider.place_interchange ──> a machine in the system, with an address that stays
    start ────> its command ──> relay ──> interchange         a machine that is gone is replaced
    attach ───> its command ──> relay ──> │  detached         one that is gone is reported, and `start` follows

Managers keep the address: when the machine is lost with its interchange, they find the next one there, with the tasks
that they hold.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import msgspec

from cnflow.blocks.provider_calls import naming
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.executors.high_throughput.interchange_host import HostWords, run_relay
from cnflow.interfaces import HostsInterchange
from cnflow.model.interchange_settings import RelayRequest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
    from cnflow.interfaces import InterchangeRequest, PlacedInterchange, Provider
    from cnflow.model.interchange_settings import InterchangeSettings


class AmongBlocks:
    """See `cnflow.executors.high_throughput.interchange_host.InterchangeHost`.

    Args:
        request: for the provider.
        log_file: stderr of the commands is appended here.
    """

    reaches_first = True
    words = HostWords()

    def __init__(self, request: InterchangeRequest, log_file: Path) -> None:
        self.grace = request.grace
        self.log_file = log_file
        self.name = "the connection with the interchange in the cluster"
        self._request = request
        self._lock = threading.Lock()
        self._place: PlacedInterchange | None = None
        self._is_closed = False

    def prepare(self) -> None:
        """See `InterchangeHost`; nothing: the provider comes with `connect`."""

    def connect(self, provider: Provider) -> None:
        """Have the provider make the interchange's machine.

        Raises:
            BlockError: there is none, or the executor has ended meanwhile; no machine is left then.
        """
        if self._place is not None:
            return
        place = self._make_place(provider)
        with self._lock:
            if not self._is_closed:
                self._place = place
                self.name = f"the connection with the interchange in {place.name}"
                return
        place.close()
        raise BlockError("The executor ends before its interchange has begun.")

    def addresses(self, provider: Provider) -> Collection[str]:
        """Those that stay."""
        del provider
        return self._there.addresses

    def close(self) -> None:
        """Remove the machine; one that is being made is removed by the thread that makes it."""
        with self._lock:
            self._is_closed = True
            place, self._place = self._place, None
        if place is not None:
            place.close()

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        port = self._there.port
        settings = msgspec.structs.replace(settings, ports=(port, port))
        request = RelayRequest(session=settings.session, replaces=replaces, settings=settings)
        return self._run(request, is_start=True)

    def attach(self, session: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        return self._run(RelayRequest(session=session), is_start=False)

    @property
    def _there(self) -> PlacedInterchange:
        if self._place is None:
            raise ConnectionError("the interchange has no machine: the executor has ended")
        return self._place

    def _run(self, request: RelayRequest, *, is_start: bool) -> InterchangeProcess:
        argv, descriptor = self._there.command(is_start=is_start)
        try:
            return run_relay(argv, request, self.log_file, given=[descriptor])
        finally:
            os.close(descriptor)

    def _make_place(self, provider: Provider) -> PlacedInterchange:
        if not isinstance(provider, HostsInterchange):
            raise BlockRejectedError(
                f"{type(provider).__name__} runs no interchange among its blocks, as its settings promise with site()."
            )
        with naming(provider, "place_interchange"):
            return provider.place_interchange(self._request)
