"""Boot sites of one provider: beside the driver, or on the machine of an interchange in the cloud.

::

    boot_site() ──> beside the driver, unless an interchange was placed: then on its machine
    place_interchange ──> PlacedMachine ── its machine is replaced ──> another boot site is made there
    forget(names), report_of(name, rank) ──> all that were made
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnflow.channels.local import LocalBackend
from cnflow.config.channels import LocalChannel
from cnflow.errors import BlockError
from cnflow.model.machine import MachineState
from cnflow.providers._shared.machines import tags
from cnflow.providers._shared.machines.boot import BootPlace, BootSite, BringsBoot
from cnflow.providers._shared.machines.judge import number
from cnflow.sites.folder import SiteFolder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cnflow.config.machines import MachineSettings
    from cnflow.interfaces import Cloud, InterchangeRequest, PlacedInterchange
    from cnflow.model.machine import Machine
    from cnflow.providers._shared.machines.interchange import PlacedMachine

logger = logging.getLogger(__name__)

MakeBootSite = Callable[["MachineSettings", BootPlace], BootSite]


class Sites:
    """Safe from any thread.

    Args:
        settings: of the provider.
        make: makes a boot site; None takes cnflow's own.
        is_ending: set when the run ends, and nobody waits for a machine any more.
    """

    def __init__(self, settings: MachineSettings, make: MakeBootSite | None, is_ending: threading.Event) -> None:
        self._settings = settings
        self._make = make or _own_boot_site
        self._is_ending = is_ending
        self._lock = threading.Lock()
        self._interchange: PlacedMachine | None = None
        self._site: BootSite | None = None
        self._place: BootPlace | None = None
        self._folder: str | None = None

    def place_interchange(self, request: InterchangeRequest, cloud: Cloud) -> PlacedInterchange:
        """Have a machine for an interchange; boot sites made from now on are on it.

        Raises:
            BlockRejectedError: the cloud will never run it.
            BlockError: the cloud does not answer, has no room, or the machine is not reached in time.
        """
        from cnflow.providers._shared.machines.interchange import PlacedMachine  # noqa: PLC0415 - for laptops alone

        placed = PlacedMachine(request, self._settings, cloud, is_ending=self._is_ending)
        placed.place()
        with self._lock:
            self._interchange = placed
        return placed

    def boot_site(self) -> BootSite:
        """Return the boot site of the machine of the interchange."""
        with self._lock:
            place = self._interchange.boot_place if self._interchange is not None else self._place or self._here()
            if self._site is not None and place is not self._place:
                self._site.close()
                self._site = None
            if self._site is None:
                self._site, self._place = self._make(self._settings, place), place
            return self._site

    def forget(self, names: Collection[str]) -> None:
        """Let tokens of these blocks work no more; a boot site that is not reached ends with its interchange."""
        site = self._site
        if site is None:
            return
        try:
            site.forget(names)
        except BlockError as error:
            logger.debug("tokens of blocks that have ended are not removed: %s", error)

    def report_of(self, name: str, rank: int) -> str:
        """Return the report of a machine; empty without one, and where the boot site is not reached."""
        site = self._site
        if site is None:
            return ""
        try:
            return site.report_of(name, rank)
        except BlockError as error:
            logger.debug("the report of a machine of block %s is not known: %s", name, error)
            return ""

    def bring(self, name: str, machines: Iterable[Machine]) -> None:
        """Bring the boot to those *machines* of a block that run, where they fetch nothing themselves."""
        site = self._site
        if not isinstance(site, BringsBoot):
            return
        for each in machines:
            addresses = [address for address in (each.public_address, each.private_address) if address]
            if each.state is MachineState.RUNNING:
                site.bring(name, number(each, tags.RANK, 0), addresses)

    def close(self) -> None:
        """End the boot site."""
        with self._lock:
            site, self._site = self._site, None
            folder, self._folder = self._folder, None
        if site is not None:
            site.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _here(self) -> BootPlace:
        self._folder = tempfile.mkdtemp(prefix="cnflow-boot-")
        return BootPlace(SiteFolder(LocalBackend(LocalChannel()), self._folder))


def _own_boot_site(settings: MachineSettings, place: BootPlace) -> BootSite:
    if settings.boot == "ssh":
        from cnflow.providers._shared.machines.boot_push import PushingBootSite  # noqa: PLC0415 - for few

        return PushingBootSite(settings)
    from cnflow.providers._shared.machines.boot_site import BootServerSite  # noqa: PLC0415 - brings cryptography

    return BootServerSite(settings, place)
