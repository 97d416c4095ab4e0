"""The other way of a boot: the driver brings code and order by ssh, for ``boot="ssh"``.

::

    admit ──> keys drawn for this machine; user data lets them in, and waits
    bring(name, rank, addresses) ── each time that the cloud lists the machine as running ──> one thread for it:
        connect, again and again, at each address ──> code, then order ──> the machine goes on by itself
    forget ──> keys removed; the thread gives up

A machine cannot report anything so: its console alone has its words. What kept the driver from it is its report.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from cnflow.capsule.archive import capsule_archive
from cnflow.errors import BlockRejectedError, CapsuleError, ChannelError
from cnflow.model.boot_order import BOOT_FAILED
from cnflow.providers._shared.machines.boot_orders import NO_WAY, order_archive, order_for
from cnflow.providers._shared.machines.boot_script import INBOX
from cnflow.providers._shared.machines.carried import carried_code
from cnflow.providers._shared.machines.interchange_ssh import RunKeys
from cnflow.providers._shared.machines.ssh_access import ssh_access
from cnflow.providers._shared.machines.user_data import BootPlan, user_data

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from cnflow.config.machines import MachineSettings
    from cnflow.model.block import BlockRequest

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 10.0
_PAUSE = 2.0
"""Seconds between two tries: sshd starts some seconds after the cloud lists its machine as running."""


class Delivery:
    """State of the delivery to one machine.

    Attributes:
        text: its user data.
        problem: why the driver has not brought it.
    """

    def __init__(self, keys: RunKeys, text: str, code: Path, order: bytes) -> None:
        self._keys = keys
        self._code = code
        self._order = order
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self.text = text
        self.problem = ""

    def begin(self, addresses: Sequence[str], within: float) -> None:
        """Bring it, in a thread of its own, unless that was begun."""
        if self._thread is None and addresses:
            self._thread = threading.Thread(target=self._bring, args=(addresses, within), daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Give up, and remove the keys."""
        self._is_over.set()
        self._keys.close()

    def _bring(self, addresses: Sequence[str], within: float) -> None:
        deadline = time.monotonic() + within
        while not self._is_over.is_set() and time.monotonic() < deadline:
            for address in addresses:
                try:
                    self._put(address)
                except ChannelError as error:
                    self.problem = str(error)
                else:
                    self.problem = ""
                    return
            self._is_over.wait(_PAUSE)

    def _put(self, address: str) -> None:
        channel = self._keys.channel(address, connect_timeout=_CONNECT_TIMEOUT)
        with contextlib.closing(channel):
            channel.put(self._code.read_bytes(), f"{INBOX}/code.tar")
            channel.put(self._order, f"{INBOX}/order.tar")


class PushingBootSite:
    """See `cnflow.providers._shared.machines.boot.BootSite` and `BringsBoot`.

    Args:
        settings: of the provider.
        cache_dir: where this machine keeps capsules; None decides by `cnflow.capsule.default_cache_dir`.
    """

    def __init__(self, settings: MachineSettings, *, cache_dir: Path | None = None) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._lock = threading.Lock()
        self._deliveries: dict[tuple[str, int], Delivery] = {}

    def admit(self, request: BlockRequest, rank: int) -> str:
        """See `BootSite`."""
        with self._lock:
            delivery = self._deliveries.get((request.name, rank))
            if delivery is None:
                delivery = self._deliveries[request.name, rank] = self._delivery(request, rank)
            return delivery.text

    def bring(self, name: str, rank: int, addresses: Sequence[str]) -> None:
        """See `BringsBoot`."""
        with self._lock:
            delivery = self._deliveries.get((name, rank))
        if delivery is not None:
            delivery.begin(addresses, self._settings.startup_timeout)

    def report_of(self, name: str, rank: int) -> str:
        """Return why the driver does not reach the machine; empty if it does."""
        with self._lock:
            delivery = self._deliveries.get((name, rank))
        if delivery is None or not delivery.problem:
            return ""
        return BOOT_FAILED.format(f"the driver does not reach the machine by ssh: {delivery.problem}")

    def forget(self, names: Collection[str]) -> None:
        """See `BootSite`."""
        with self._lock:
            gone = [self._deliveries.pop(key) for key in list(self._deliveries) if key[0] in names]
        for each in gone:
            each.end()

    def close(self) -> None:
        """See `BootSite`."""
        self.forget({name for name, _ in self._deliveries})

    def _delivery(self, request: BlockRequest, rank: int) -> Delivery:
        settings, kind = self._settings, carried_code()
        keys = RunKeys(settings)
        try:
            plan = BootPlan(
                request.name,
                rank,
                machine=kind.machine,
                startup_timeout=settings.startup_timeout,
                longest_life=None if request.walltime is None else request.walltime + settings.startup_timeout,
                access=ssh_access(keys.pairs, settings.ssh_user),
                commands=settings.user_data,
                ending=settings.end_commands(),
            )
            order = order_archive(order_for(request, rank, settings, kind, NO_WAY))
            return Delivery(keys, user_data(plan), capsule_archive(kind, self._cache_dir), order)
        except CapsuleError as error:
            keys.close()
            raise BlockRejectedError(str(error)) from error
        except BaseException:
            keys.close()
            raise
