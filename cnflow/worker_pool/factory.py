"""Makes the parts of one pool from its settings.

::

    host (child process, --pool) ──> client ──> managers ──> blocks: provisioner, or Deployment ──> LivePool
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cnflow.clock import SystemClock
from cnflow.config.registry import backend_of
from cnflow.errors import ConfigurationError
from cnflow.executors.high_throughput.executor_events import ExecutorEvents
from cnflow.executors.high_throughput.interchange_client import InterchangeClient
from cnflow.executors.high_throughput.interchange_host import Here
from cnflow.executors.high_throughput.interchange_life import InterchangeLife
from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.executors.high_throughput.places import Places
from cnflow.executors.high_throughput.provisioning import BlockProvisioner
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.executors.high_throughput.task_queue import TaskQueue
from cnflow.model.pool_settings import PoolInterchangeSettings
from cnflow.units import Seconds
from cnflow.worker_pool.pool import LivePool, PoolParts
from cnflow.worker_pool.provider_blocks import ProviderBlocks

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.config.worker_pool import WorkerPool
    from cnflow.interfaces import RunContext
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.worker_pool.deployments.release import ReleaseObjects

REPORT_PERIOD = 0.25
"""Seconds between two reports of an interchange, so that a pool begins to grow within that."""


class ClientsEnd(NamedTuple):
    """End of an interchange that drivers connect to."""

    endpoint: str
    """``tcp://ADDRESS``, without a port."""

    port: int
    secret_key: str
    keys: Path
    """Folder of the public keys of clients."""

    grace: float
    """Seconds without a connection after which a client is forgotten."""

    def settings(self, settings: InterchangeSettings, managers_key: str = "") -> PoolInterchangeSettings:
        """Return *settings* with this end."""
        return PoolInterchangeSettings(
            **msgspec.structs.asdict(settings),
            clients_endpoint=self.endpoint,
            clients_ports=(self.port, self.port),
            clients_secret_key=self.secret_key,
            client_keys=str(self.keys),
            managers_key=managers_key,
            clients_grace=self.grace,
            report_period=REPORT_PERIOD,
        )


def make_pool(settings: WorkerPool, run: RunContext, clients: ClientsEnd) -> LivePool:
    """Make the pool of *settings*, not started, whose blocks a provider starts.

    Raises:
        MissingExtraError: the packages of its provider are not installed.
        ConfigurationError: the settings cannot work for a pool.
    """
    provider = settings.provider.for_image(settings.image)
    ports = (settings.managers_port, settings.managers_port) if settings.managers_port else settings.worker_port_range
    settings = settings.model_copy(update={"provider": provider, "worker_port_range": ports})
    _refuse_what_pools_lack(settings)
    log_dir = run.run_dir / settings.label
    client = make_client(settings, log_dir / "interchange.log", clients)
    places = Places(run.run, settings.label)
    managers = ConnectedManagers(client.ask, places)
    make_provider = functools.partial(backend_of(provider), provider)
    events = ExecutorEvents(settings.label, run.emit, places)
    provisioner = BlockProvisioner(settings, make_provider, run, client, managers, events)
    return LivePool(settings, PoolParts(client, managers, ProviderBlocks(settings, provisioner), log_dir))


def make_deployment_pool(
    settings: WorkerPool, run: RunContext, clients: ClientsEnd, objects: ReleaseObjects
) -> LivePool:
    """Make the pool of *settings*, not started, whose blocks are the pods of a Deployment.

    Raises:
        BlockError: the API server refuses, or does not answer.
        ConfigurationError: an object of the release does not exist.
    """
    from cnflow.worker_pool.deployments.blocks import DeploymentBlocks  # noqa: PLC0415 - the client of Kubernetes

    assert settings.managers_port is not None
    settings = settings.model_copy(update={"worker_port_range": (settings.managers_port, settings.managers_port)})
    log_dir = run.run_dir / settings.label
    managers_key = objects.manager_keys(settings.label).public
    client = make_client(settings, log_dir / "interchange.log", clients, managers_key)
    managers = ConnectedManagers(client.ask, Places(run.run, settings.label))
    blocks = DeploymentBlocks(settings, run, objects, client, managers)
    return LivePool(settings, PoolParts(client, managers, blocks, log_dir))


def make_client(settings: WorkerPool, log_file: Path, clients: ClientsEnd, managers_key: str = "") -> InterchangeClient:
    """Make the client of the interchange of a pool, which starts it as a child of this process."""
    host = Here(log_file, ("--pool",), lambda given: msgspec.json.encode(clients.settings(given, managers_key)))
    life = InterchangeLife(Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold))
    return InterchangeClient(settings.label, host, life, TaskQueue(TaskSerializer()), SystemClock())


def _refuse_what_pools_lack(settings: WorkerPool) -> None:
    """Refuse settings that need a driver of the executor's own.

    Raises:
        ConfigurationError: the settings have some.
    """
    if settings.interchange_command or settings.interchange == "site":
        raise ConfigurationError(
            f"Pool {settings.label!r}: the interchange of a pool runs beside its server. Leave out interchange= and "
            "interchange_command=, and start the server on the machine that managers reach, such as a login node."
        )
    if settings.provider.traits().runs_images and not settings.provider.traits().runs_bare and not settings.image:
        raise ConfigurationError(
            f"Pool {settings.label!r}: its provider runs containers. Set image= to the image of its workers."
        )
