"""Place of an executor's interchange, as its settings give it: beside the driver, at a site, behind a command.

::

    interchange_command ──> on the machine that the command reaches
    interchange="site" ───> at the site of the provider: by its channel, or among the blocks of a cluster
    "auto" ───────────────> at the site, if its channel leads to another machine, or this one is outside of the cluster
                           and no address= or way= says how pods reach it
    "driver", and else ───> beside the driver
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from cnflow.config.channels import LocalChannel
from cnflow.config.ways import DialIn, Listen, Tunnel

if TYPE_CHECKING:
    from cnflow.config.channels import ChannelSettings
    from cnflow.config.executors import HighThroughputExecutor

InterchangePlace = Literal["auto", "driver", "site"]


class SiteAddress(NamedTuple):
    """Way to the machine on which the commands of a site run, and cnflow's folder there."""

    channel: ChannelSettings
    folder: str

    @property
    def is_local(self) -> bool:
        """Commands run on the driver's own machine."""
        return isinstance(self.channel, LocalChannel)


class ClusterSite(NamedTuple):
    """Cluster whose provider runs the interchange itself; see `cnflow.interfaces.HostsInterchange`."""

    is_local: bool
    """This driver runs in the cluster, where blocks reach it."""


Site = SiteAddress | ClusterSite


def interchange_site(settings: HighThroughputExecutor) -> Site | None:
    """Return the site at which the interchange runs; None for one beside the driver, or behind a command."""
    if settings.interchange == "driver" or settings.interchange_command:
        return None
    site = settings.provider.site()
    if isinstance(site, ClusterSite) and settings.interchange == "auto" and _has_own_way(settings):
        return None
    return site if site is not None and (settings.interchange == "site" or not site.is_local) else None


def _has_own_way(settings: HighThroughputExecutor) -> bool:
    """Return whether the user has said how blocks reach this machine; an interchange in the cluster has its address."""
    return bool(settings.address) or not isinstance(settings.way, DialIn) or bool(settings.way.addresses)


def check_interchange(settings: HighThroughputExecutor) -> None:
    """Check the options that concern the place of the interchange against each other.

    Raises:
        ValueError: they contradict each other.
    """
    if settings.interchange_command and settings.interchange != "auto":
        raise ValueError(
            f"interchange_command names the machine of the interchange; leave out interchange={settings.interchange!r}"
        )
    if settings.interchange == "site" and settings.provider.site() is None:
        raise ValueError(
            f'interchange="site" needs a provider whose blocks are reached by a channel, such as '
            f"SlurmProvider(channel=SSHChannel(...)), or KubernetesProvider, not {type(settings.provider).__name__}"
        )
    site, way = interchange_site(settings), settings.way
    if site is None or (isinstance(site, SiteAddress) and site.is_local):
        return
    settings.provider.refuse_site(site)
    if isinstance(site, ClusterSite) and _has_own_way(settings):
        raise ValueError(
            'address= and way= lead to this machine, and interchange="site" runs the interchange in the cluster, where '
            'blocks find it by themselves; leave them out, or set interchange="driver"'
        )
    if isinstance(way, Listen):
        raise ValueError(  # noqa: TRY004 - pydantic wants ValueError
            "way=Listen() needs a folder that this machine and the nodes share, and the interchange runs at the site; "
            "leave out way, since the nodes reach the site's own machine"
        )
    if isinstance(way, Tunnel) and way.command:
        raise ValueError(
            "Tunnel(command=...) leads to this machine, and the interchange runs at the site; leave out way, since the "
            "nodes reach the site's own machine"
        )
