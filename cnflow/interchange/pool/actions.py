"""Actions of a pool, beside those of `cnflow.interchange.actions`, which are for managers and the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Union

from cnflow.interchange import actions as on

if TYPE_CHECKING:
    from cnflow.ids import ManagerId
    from cnflow.interchange.pool.client import ClientId


class ReportNoWorkers(NamedTuple):
    """Report to a client why the pool has no manager; see `cnflow.wire.manager_messages.NoWorkers`."""

    reason: str
    is_final: bool


class ForClient(NamedTuple):
    """Send results or a report to one client, in its own ids."""

    client: ClientId
    action: Union[on.SendResults, on.ReportManagerUp, on.ReportManagerDown, ReportNoWorkers]


class ReleaseResults(NamedTuple):
    """Let a manager drop parts of results, and items, that nobody waits for."""

    manager: ManagerId
    blobs: list[bytes]
    source: bytes
    """Manager that they came from, or empty for a client."""


PoolAction = Union[on.Action, ForClient, ReleaseResults]
