"""Seam between the provider of virtual machines and the delivery of cnflow's code and keys to them.

::

    backend ── admit(request, rank) ──> user data: where to fetch, a pinned certificate, a token that works once
       machine ── token ──> boot site, beside the interchange ──> code, settings with keys
       machine ── report ─> boot site: last lines of a boot that failed, or of a manager that ended
    backend ── report_of(name, rank) ──> these lines, for the error of a block that never connected
    backend ── forget(names) ──> tokens work no more

A machine's console holds lines that mark what is cnflow's, `OUTPUT` and those after it; `machines.judge` reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from cnflow.model.boot_order import BOOT_FAILED, EXIT_CODE, OUTPUT, PREEMPTED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.model.block import BlockRequest
    from cnflow.sites.folder import SiteFolder

__all__ = ["BOOT_FAILED", "EXIT_CODE", "OUTPUT", "PREEMPTED", "BootPlace", "BootSite", "BringsBoot"]


class BootPlace(NamedTuple):
    """Machine of the interchange, on which the boot site is."""

    site: SiteFolder
    hosts: tuple[str, ...] = ()
    """Addresses at which machines of blocks reach it, likeliest first; empty takes those of the manager's settings."""

    grace: float = 0.0
    """Seconds for which it serves without its driver; 0 ends it with the driver."""


class BootSite(Protocol):
    """Delivers code and settings to machines. Safe from any thread."""

    def admit(self, request: BlockRequest, rank: int) -> str:
        """Return the user data of machine *rank* of a block, for which all is served; the same until `forget`.

        Raises:
            BlockRejectedError: the options make it too long, or no code of cnflow fits any machine.
            BlockError: the machine of the interchange is not reached, or cannot serve.
        """

    def report_of(self, name: str, rank: int) -> str:
        """Return what that machine of the block *name* has reported; empty if nothing."""

    def forget(self, names: Collection[str]) -> None:
        """Let tokens of the blocks of these names work no more, and remove their files; unknown ones are no error."""

    def close(self) -> None:
        """End what serves, and its files."""


@runtime_checkable
class BringsBoot(Protocol):
    """A boot site whose machines fetch nothing: the driver brings it to them."""

    def bring(self, name: str, rank: int, addresses: Sequence[str]) -> None:
        """Bring code and order to that machine, which runs, in the background; further calls are none.

        Args:
            name: of the block.
            rank: of the machine.
            addresses: of it, likeliest first.
        """
