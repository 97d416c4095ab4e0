"""Checks of the options of a high-throughput executor against each other; each raises ValueError. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.config.several import SeveralProviders
from cnflow.config.ways import DialIn, Listen

if TYPE_CHECKING:
    from cnflow.config.executors import HighThroughputExecutor

_START = 2.0
"""Seconds; less than any manager and its workers take from the start of a block to a task."""


def check_address(settings: HighThroughputExecutor) -> None:
    """Check how managers find the interchange."""
    way, address = settings.way, settings.address
    has_address = address or not isinstance(way, DialIn) or way.addresses
    if settings.interchange_command and not has_address:
        raise ValueError(
            "interchange_command needs address: the one at which managers reach the machine that the command "
            "connects with"
        )
    if isinstance(way, DialIn) and way.addresses and address:
        raise ValueError("address and way=DialIn(addresses=...) are given; name all addresses in the latter")
    if isinstance(way, Listen) and (address or settings.worker_port_range):
        raise ValueError(
            "with way=Listen() nobody connects to this machine: leave out address and worker_port_range; the ports "
            "of the nodes are Listen(ports=...)"
        )


def check_blocks(settings: HighThroughputExecutor) -> None:
    """Check that blocks can run tasks as the executor wants them."""
    walltime = settings.provider.walltime
    if walltime is not None and walltime <= _START:
        raise ValueError(
            f"walltime={walltime:g} of the provider leaves no time for a task: a manager and its workers take "
            f"about {_START:g} s to start; set a longer one"
        )
    if settings.fresh and settings.provider.nodes_per_block != 1:
        raise ValueError(
            f"fresh=True gives each task a block of one node; nodes_per_block={settings.provider.nodes_per_block}"
        )
    if settings.fresh and (settings.max_workers or 1) != 1:
        raise ValueError(
            f"fresh=True gives each task a block, and a block one worker, not max_workers={settings.max_workers}; the "
            "provider's max_blocks limits how many run at once"
        )


def check_several(settings: HighThroughputExecutor) -> None:
    """Check the options of several providers."""
    provider = settings.provider
    if isinstance(provider, SeveralProviders):
        if settings.hedge > len(provider.providers):
            raise ValueError(
                f"hedge={settings.hedge} asks for blocks on as many providers at a time, and there are "
                f"{len(provider.providers)}"
            )
        return
    fields = type(settings).model_fields
    for name in ("hedge", "spill_after"):
        if getattr(settings, name) != fields[name].default:
            raise ValueError(f"{name} is for several providers: provider=[LocalProvider(), SlurmProvider()]")


def check_heartbeats(settings: HighThroughputExecutor) -> None:
    """Check that a manager has time for a heartbeat before it counts as lost."""
    if settings.heartbeat_threshold < 2 * settings.heartbeat_period:
        raise ValueError(
            f"heartbeat_threshold={settings.heartbeat_threshold} must be at least twice the "
            f"heartbeat_period={settings.heartbeat_period}",
        )
