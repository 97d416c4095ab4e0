"""Machines as Compute Engine lists them, as values of cnflow; pure.

::

    PROVISIONING, STAGING ──> PENDING        RUNNING, REPAIRING ──> RUNNING       STOPPING, SUSPENDING ──> STOPPING
    STOPPED, SUSPENDED, TERMINATED ──> ENDED: it keeps its disk until it is deleted

A machine that the service took back, or that reached its longest life, is deleted by the service and is in no list any
more: the operations of its zone show why.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cnflow.model.block import EndCause
from cnflow.model.machine import Machine, MachineState, Placement
from cnflow.providers.google.requests import id_of, last_part

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from cnflow.model.machine import Rate

# https://cloud.google.com/compute/docs/instances/instance-life-cycle
_STATES: Mapping[str, MachineState] = {
    "PROVISIONING": MachineState.PENDING,
    "STAGING": MachineState.PENDING,
    "PENDING": MachineState.PENDING,
    "RUNNING": MachineState.RUNNING,
    "REPAIRING": MachineState.RUNNING,
    "STOPPING": MachineState.STOPPING,
    "PENDING_STOP": MachineState.STOPPING,
    "SUSPENDING": MachineState.STOPPING,
    "DEPROVISIONING": MachineState.STOPPING,
    "STOPPED": MachineState.ENDED,
    "SUSPENDED": MachineState.ENDED,
    "TERMINATED": MachineState.ENDED,
}

_KEPT = {MachineState.STOPPING, MachineState.ENDED}  # one that stops is kept as well, unless it is being deleted

# Operations of the system: https://cloud.google.com/compute/docs/logging/audit-logging#audited_operations
_ENDS: Mapping[str, tuple[EndCause | None, str]] = {
    "compute.instances.preempted": (EndCause.PREEMPTED, "Compute Engine took the machine back (preempted)"),
    "compute.instances.hostError": (EndCause.NODE, "the machine's host failed (hostError)"),
    "compute.instances.terminateOnHostMaintenance": (EndCause.NODE, "its host was taken out for maintenance"),
    "compute.instances.guestTerminate": (None, "the machine shut down"),
    "stop": (EndCause.USER, "it was stopped by {user}"),
    "delete": (EndCause.USER, "it was deleted by {user}"),
}


def is_ending(status: str | None) -> bool:
    """Return whether an instance with *status* has ended, or is about to."""
    return _STATES.get(status or "") in _KEPT


def seconds_of(stamp: str) -> float | None:
    """Return the Unix time of *stamp*, such as ``2026-11-01T09:00:00.000-07:00``; None if it is empty."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else None


def machine_of(instance: Mapping[str, Any], rate_of: Callable[[str, str, bool], Rate]) -> Machine:
    """Return *instance*, of a list, as a machine.

    Args:
        instance: as the REST API has it.
        rate_of: rate of a type, a zone, spot or not.
    """
    zone, kind = last_part(instance.get("zone", "")), last_part(instance.get("machineType", ""))
    is_spot = (instance.get("scheduling") or {}).get("provisioningModel") == "SPOT"
    interface: dict[str, Any] = next(iter(instance.get("networkInterfaces") or []), {})
    access: dict[str, Any] = next(iter(interface.get("accessConfigs") or []), {})
    status = instance.get("status", "")
    return Machine(
        id_of(zone, instance["name"]),
        _STATES.get(status, MachineState.PENDING),
        dict(instance.get("labels") or {}),
        Placement(kind, zone, is_spot, rate_of(kind, zone, is_spot)),
        reason=instance.get("statusMessage", "") or (status.lower() if status else ""),
        public_address=access.get("natIP", ""),
        private_address=interface.get("networkIP", ""),
        launched_at=seconds_of(instance.get("creationTimestamp", "")),
        is_kept=is_ending(status),
    )


def end_of(operations: Iterable[Mapping[str, Any]], accounts: Collection[str] = ()) -> tuple[EndCause | None, str]:
    """Return cause and reason of a machine's end, by the operations on it; the first that ended it counts.

    Args:
        operations: on it.
        accounts: its own, by which it deletes itself when its manager has ended.
    """
    ends = [each for each in operations if each.get("operationType") in _ENDS]
    if not ends:
        return None, ""
    first = min(ends, key=lambda each: seconds_of(each.get("insertTime", "")) or 0.0)
    if first["operationType"] == "delete" and first.get("user") in accounts:
        return None, "the machine deleted itself"
    cause, words = _ENDS[first["operationType"]]
    return cause, words.format(user=first.get("user") or "somebody")


def deadline_of(instance: Mapping[str, Any]) -> float | None:
    """Return the Unix time at which the service ends *instance*, by its longest life; None if it has none."""
    limit = ((instance.get("scheduling") or {}).get("maxRunDuration") or {}).get("seconds")
    started = seconds_of(instance.get("creationTimestamp", ""))
    return started + float(limit) if limit and started is not None else None
