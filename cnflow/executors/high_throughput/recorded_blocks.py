"""Part of a run's ledger that a high-throughput executor writes: its endpoint, its keys and its blocks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from cnflow.config.dump import plain
from cnflow.errors import ConfigurationError
from cnflow.ledger import ExecutorLedger, ExecutorStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.config import HighThroughputExecutor, ProviderSettings
    from cnflow.executors.high_throughput.block_requests import ManagerEndpoint
    from cnflow.executors.high_throughput.takeover import Takeover
    from cnflow.ledger import RunLedger


@contextlib.contextmanager
def open_executor_ledger(
    ledger: RunLedger | None,
    settings: HighThroughputExecutor,
    endpoint: ManagerEndpoint,
    left: Takeover | None = None,
    *,
    keeps_keys: bool,
) -> Iterator[ExecutorLedger | None]:
    """Open the executor's part of *ledger*, within the block; None if the run keeps none.

    Args:
        ledger: of the run.
        settings: of the executor.
        endpoint: of its interchange.
        left: blocks of another driver that are taken over.
        keeps_keys: managers may outlive this driver; else no secret is written, since nobody could use it.
    """
    if ledger is None:
        yield None
        return
    hosts, url, keys = endpoint
    started = ExecutorStarted(
        label=settings.label,
        image=str(settings.image),
        provider=provider_options(settings.provider),
        hosts=tuple(hosts),
        endpoint=url,
        server_public=keys.server.public if keys else "",
        server_secret=keys.server.secret if keys and keeps_keys else "",
    )
    is_local = url.startswith("ipc://")  # blocks that use a socket file end with this machine
    opened = ExecutorLedger(ledger, started, is_durable=not is_local)
    if left is not None:
        opened.adopt(left.entry)
        opened.on_found(left.natives)
        opened.on_cancelled(left.ended, left.unconfirmed)
    try:
        yield opened
    finally:
        opened.close()


def provider_options(settings: ProviderSettings) -> dict[str, Any] | None:
    """Options by which another process makes the same provider; None for one that only its own script can make."""
    try:
        return plain(settings)
    except ConfigurationError:
        return None
