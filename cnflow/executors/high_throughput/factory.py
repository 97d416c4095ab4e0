"""Joins the parts of a high-throughput executor; named by its settings, called by the composition root.

::

    serializer ──> queue ──> client ──> managers ──> provisioner ──> introspection ──> HighThroughputBackend

Each part gets those before it. Events go the other way: by `start`, an executor hands itself to its parts.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from cnflow.clock import SystemClock
from cnflow.config.existing_pool import ExistingPool
from cnflow.config.interchange_place import ClusterSite, interchange_site
from cnflow.config.registry import backend_of
from cnflow.errors import ConfigurationError
from cnflow.executors.high_throughput.executor import HighThroughputBackend
from cnflow.executors.high_throughput.executor_events import ExecutorEvents
from cnflow.executors.high_throughput.interchange_among_blocks import AmongBlocks
from cnflow.executors.high_throughput.interchange_client import InterchangeClient
from cnflow.executors.high_throughput.interchange_host import Here, Through
from cnflow.executors.high_throughput.interchange_life import InterchangeLife
from cnflow.executors.high_throughput.introspection import Introspection
from cnflow.executors.high_throughput.local_packages.overlay import LocalPackages
from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.executors.high_throughput.places import Places
from cnflow.executors.high_throughput.pool_host import PoolHost
from cnflow.executors.high_throughput.provisioning import BlockProvisioner
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.executors.high_throughput.shared_arguments import shared_arguments
from cnflow.executors.high_throughput.task_queue import TaskQueue
from cnflow.interfaces import InterchangeRequest
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.interchange_host import InterchangeHost
    from cnflow.interfaces import Provider, RunContext


def make_backend(
    settings: HighThroughputExecutor, run: RunContext, make_provider: Callable[[], Provider] | None = None
) -> HighThroughputBackend:
    """Make the executor of *settings*, not started.

    Args:
        settings: what the user wrote.
        run: of which it is a part.
        make_provider: called in a thread of the executor; None makes the live half of ``settings.provider``.

    Raises:
        MissingExtraError: the packages of its provider are not installed.
        ConfigurationError: the provider's settings name no live half, or blocks of a site are to be adoptable.
    """
    settings = settings.model_copy(update={"provider": settings.provider.for_image(settings.image)})
    _refuse_adoption(settings, run)
    log_file = run.run_dir / settings.label / "interchange.log"
    given = [*run.local_packages, *settings.local_packages]
    serializer = TaskSerializer(LocalPackages(given) if given else None, settings.keep_results_from)
    memory = serializer.memory = shared_arguments(settings, run)
    host = _make_host(settings, run, log_file)
    period, threshold = Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold)
    life = InterchangeLife(period, threshold, host.grace, was_reached=host.reaches_first)
    client = InterchangeClient(settings.label, host, life, TaskQueue(serializer), SystemClock())
    client.bulk.set_largest_result(settings.max_result_size)
    places = Places(run.run, settings.label)
    managers = ConnectedManagers(client.ask, places, memory)
    make_provider = make_provider or functools.partial(backend_of(settings.provider), settings.provider)
    events = ExecutorEvents(settings.label, run.emit, places)
    provisioner = BlockProvisioner(settings, make_provider, run, client, managers, events)
    client.bulk.name_by_digest(is_wanted=run.adoptable_for > 0 or provisioner.adopted_tasks is not None)
    client.bulk.items.pack_in(provisioner.log_dir)
    introspection = Introspection(settings, client, managers, provisioner)
    return HighThroughputBackend(settings, serializer, client, managers, provisioner, introspection)


def _make_host(settings: HighThroughputExecutor, run: RunContext, log_file: Path) -> InterchangeHost:
    if isinstance(settings.provider, ExistingPool):
        grace = Seconds(settings.detached_timeout)
        return PoolHost(settings.provider.address, settings.image, grace, log_file)
    if settings.interchange_command:
        return Through(settings.interchange_command, Seconds(settings.interchange_grace), log_file)
    site = interchange_site(settings)
    if isinstance(site, ClusterSite):
        grace = Seconds(settings.detached_timeout)
        request = InterchangeRequest(run.run, settings.label, settings.image, settings.worker_port_range, grace)
        return AmongBlocks(request, log_file)
    if site is not None:
        from cnflow.executors.high_throughput.interchange_site import AtSite  # noqa: PLC0415 - sites are rare

        return AtSite(site, Seconds(settings.detached_timeout), log_file)
    return Here(log_file)


def _refuse_adoption(settings: HighThroughputExecutor, run: RunContext) -> None:
    if run.adoptable_for and isinstance(settings.provider, ExistingPool):
        raise ConfigurationError(
            f"adoptable_for= leaves the blocks of executor {settings.label!r} to another driver, and they are those of "
            "a pool, which has them in any case. Leave out adoptable_for"
        )
    if run.adoptable_for and interchange_site(settings) is not None:
        raise ConfigurationError(
            f"adoptable_for= leaves the blocks of executor {settings.label!r} to another driver, which finds those of "
            "an interchange on its own machine, and this interchange runs at the site. Leave out adoptable_for; the "
            'executor has detached_timeout=. Or set interchange="driver"'
        )
