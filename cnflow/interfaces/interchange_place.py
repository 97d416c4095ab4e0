"""Seam between an executor and a provider in whose system the executor's interchange can run, beside the blocks.

::

    executor ── place_interchange(request) ──> provider: a pod, and an address that stays  ──> PlacedInterchange
    start    ── command(is_start=True) ──────> runs here; stdin and stdout reach a relay beside the interchange
                                               the machine of the interchange is gone: another one is made
    attach   ── command(is_start=False) ─────> the same; where the machine is gone, its relay reports that instead
    end      ── close() ─────────────────────> machine and address are removed

For drivers that blocks cannot reach. Relays: `cnflow.interchange.relay`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.ids import RunId
    from cnflow.model.image import Image
    from cnflow.units import Seconds


class InterchangeRequest(NamedTuple):
    """Request for the machine of one interchange."""

    run: RunId
    executor: str
    image: Image
    """Of the executor; its provider has prepared it."""

    ports: tuple[int, int] | None
    """First and last TCP port for managers; None leaves them to the provider."""

    grace: Seconds
    """Time for which the interchange lives without its driver."""

    has_local_blocks: bool = False
    """Blocks on the driver's own machine connect, too: the addresses are to have one that they reach."""


class InheritedCommand(NamedTuple):
    """Command line of a process on this machine."""

    argv: Sequence[str]
    descriptor: int
    """That the process inherits, and whose number `argv` has; whoever starts the process closes it."""


class PlacedInterchange(Protocol):
    """Machine for one executor's interchange.

    Attributes:
        name: of the machine, for messages.
        addresses: at which managers reach it, also a later one in its place.
        port: of these addresses, at which the interchange has to listen.
    """

    name: str
    addresses: Collection[str]
    port: int

    def command(self, *, is_start: bool) -> InheritedCommand:
        """Return a command whose stdin and stdout reach a relay there. Does not block.

        Args:
            is_start: the machine is made again if it is gone; else the command prints that the interchange is gone.

        Raises:
            OSError: this machine has no descriptors left.
        """

    def close(self) -> None:
        """Remove the machine, whose interchange has ended, or will be cut off."""


@runtime_checkable
class HostsInterchange(Protocol):
    """A provider whose system can run an interchange; its settings' `site` is a `ClusterSite`."""

    def place_interchange(self, request: InterchangeRequest) -> PlacedInterchange:
        """Have a machine for the interchange, which runs when this returns; called after `prepare`.

        Raises:
            BlockRejectedError: the system will never run it; the message has the user's next step.
            BlockError: the system does not answer, or has no room within the provider's `startup_timeout`.
        """
