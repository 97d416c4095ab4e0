"""Starts the interchange of an executor at its place, and finds the endpoint for managers.

::

    host.connect(provider) ──> the machine of the interchange is reached    (nothing for one beside the driver)
    host.addresses ──────────> hosts ──> keys ──> client.start ──> bound: port ──> ManagerEndpoint
    a killed driver's hosts, keys and port ────────> client.start, at the same endpoint
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cnflow.blocks.provider_calls import naming
from cnflow.config.interchange_place import interchange_site
from cnflow.errors import InterchangeLostError
from cnflow.executors.high_throughput.block_requests import ManagerEndpoint, interchange_settings
from cnflow.executors.high_throughput.ways import address_folder, hosts_to_bind, is_encrypted, manager_endpoint
from cnflow.wire.keys import Keyring

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.interchange_events import InterchangeEvents
    from cnflow.executors.high_throughput.live_way import LiveWay
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.interfaces import Provider, RunContext

_BIND_TIMEOUT = 30.0
"""Seconds from the start of an interchange to its open port."""

_BIND_TIMEOUT_ELSEWHERE = 120.0
"""The same through a connection to another machine, where Python may start from a slow file system."""


class InterchangeStarter:
    """Starts the interchange of one executor; for the provisioner's thread.

    Args:
        settings: of the executor.
        run: of which it is a part.
        client: has the interchange started.
        managers: those of the interchange, for its restarts.
        way: of the managers.
        log_dir: folder of the executor's logs.
    """

    def __init__(
        self,
        settings: HighThroughputExecutor,
        run: RunContext,
        client: InterchangeClient,
        managers: ConnectedManagers,
        way: LiveWay,
        log_dir: Path,
    ) -> None:
        self._settings = settings
        self._run = run
        self._client = client
        self._managers = managers
        self._way = way
        self._log_dir = log_dir
        self._site = interchange_site(settings)

    def start_new(self, provider: Provider, owner: InterchangeEvents) -> ManagerEndpoint:
        """Start an interchange at an address of its machine.

        Raises:
            InterchangeLostError: it cannot be started, or opens no port.
            BlockError: its machine is not reached, or the provider's system does not answer.
        """
        settings = self._settings
        self.connect(provider)
        with naming(provider, "endpoint_hosts"):
            hosts = hosts_to_bind(settings, lambda: self._client.host.addresses(provider))
        keys = Keyring() if is_encrypted(settings, hosts, is_at_site=self._site is not None) else None
        url = self.start(hosts, keys, owner)
        folder = address_folder(settings.way, self._log_dir, self._run.run, settings.label)
        return ManagerEndpoint(*manager_endpoint(settings.way, hosts, url, self._client.port, folder), keys)

    def connect(self, provider: Provider) -> None:
        """Reach the machine of the interchange, before `start`."""
        self._client.host.connect(provider)

    def start(
        self,
        hosts: Collection[str | None],
        keys: Keyring | None,
        owner: InterchangeEvents,
        place: tuple[str, int] | None = None,
    ) -> str:
        """Start it and return the endpoint for managers, which holds ``{host}`` where there are *hosts*.

        Args:
            hosts: its addresses; empty for a socket file.
            keys: of the run.
            owner: gets its events.
            place: folder of its socket files and port, for one that follows that of another driver.
        """
        settings, managers, client = self._settings, self._managers, self._client
        managers.are_adoptable = self._run.adoptable_for > 0
        try:
            client.start(
                lambda folder, port: msgspec.structs.replace(
                    interchange_settings(settings, folder, hosts, keys, port, managers),
                    log_size=self._run.log_size,
                    log_ids={"run": self._run.run, "executor": settings.label} if self._run.json_logs else {},
                ),
                owner,
                place,
            )
        except OSError as error:
            raise _not_started(settings, error) from error
        if not hosts:
            return f"ipc://{client.folder}/managers"  # known before it is bound: managers may start at once
        within = _BIND_TIMEOUT_ELSEWHERE if client.host.grace else _BIND_TIMEOUT
        if not client.wait_until_bound(within):
            raise InterchangeLostError(
                f"The interchange of executor {settings.label!r} opened no port within {within:.0f} s; see "
                f"{self._log_dir / 'interchange.log'}."
            )
        self._way.use_port(client.port)
        return f"tcp://{{host}}:{client.port}"


def _not_started(settings: HighThroughputExecutor, error: OSError) -> InterchangeLostError:
    label, command = settings.label, settings.interchange_command
    if not command:
        return InterchangeLostError(f"The interchange of executor {label!r} cannot be started: {error}.")
    return InterchangeLostError(
        f"The interchange of executor {label!r} cannot be started: {command[0]!r}, the first word of "
        f"interchange_command, cannot be run here ({error.strerror}). Install that program, or write its full path."
    )
