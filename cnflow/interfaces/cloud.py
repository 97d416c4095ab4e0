"""The seam between the provider of virtual machines and a cloud: the few calls in which clouds differ.

::

    placements() ──> type, zone, spot or not, in the order of preference, with estimates of prices
    launch(request) ──> Machine                    raised: NoCapacityError    this placement has no room: the next one
                                                           QuotaError         a limit of the account: wait
                                                           ProviderBusyError  throttled, nothing was started: wait
                                                           BlockRejectedError never: wrong image, no permission, ...
                                                           BlockError         no answer; `list` shows what there is
    list(tags) ──────> every machine that carries all of *tags*, in one query of all pages, ended ones for some minutes
    terminate(ids) ──> those whose end was refused, and why
    console(id) ─────> what the machine has printed

Every method may block, and is called from several threads at once. The one implementation behind it that imports an SDK
is the cloud's `client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnflow.model.finding import Finding
    from cnflow.model.machine import Machine, MachineRequest, Placement


class Cloud(Protocol):
    """Machines of one account, in one region.

    Attributes:
        name: of the cloud, for messages, such as ``EC2 in us-east-2``.
    """

    name: str

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Ways to have a machine, in order of preference; those *for_interchange* are small and never spot.

        Raises:
            BlockRejectedError: no type fits, or the image does not exist.
            BlockError: the cloud does not answer.
        """

    def prepare(self, tags: Mapping[str, str]) -> None:
        """Make what machines need, once: find the image, make the network where the settings ask for one.

        Args:
            tags: carried by all that is made.

        Raises:
            BlockRejectedError: the settings, the credentials or the account's rights do not allow it.
            BlockError: the cloud does not answer.
        """

    def launch(self, request: MachineRequest) -> Machine:
        """Start one machine; see the module for what is raised. A repeated request returns the same machine."""

    def list(self, tags: Mapping[str, str]) -> Sequence[Machine]:
        """Machines that carry all of *tags*, and no others.

        Raises:
            BlockError: the cloud does not answer; nothing is known.
        """

    def terminate(self, ids: Collection[str]) -> Mapping[str, str]:
        """End machines; those that are gone are no error. Returns those that were refused, each with the reason."""

    def console(self, machine: str) -> bytes:
        """What the machine has printed, as far as the cloud has it; empty if nothing."""

    def remove_shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Remove networks and the like that carry *tags* and are in no use; return names of them, for the user."""

    def shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Names of what `remove_shared` would remove."""

    def preview(self, request: MachineRequest) -> Mapping[str, object]:
        """The request as the cloud would get it. Pure: asks nothing."""

    def check(self) -> Sequence[Finding]:
        """Findings on credentials, rights, image, network and quotas, without starting anything."""

    def close(self) -> None:
        """Close connections."""


@runtime_checkable
class HasCloud(Protocol):
    """A provider of a cloud's machines.

    Attributes:
        cloud: that has them.
    """

    cloud: Cloud


@runtime_checkable
class AnswersPrices(Protocol):
    """A cloud with an interface for its prices.

    Attributes:
        region: of the prices.
    """

    region: str

    def fetch_prices(self, types: Collection[str]) -> Mapping[str, Mapping[str, float]]:
        """Dollars per hour by type: ``on_demand``, and ``spot`` where it has such.

        Raises:
            BlockError: the cloud does not answer.
        """
