"""Servers of nova as machines. No I/O.

::

    BUILD ──> ACTIVE ──> SHUTOFF   shut down from inside: the machine has ended, and holds its quota until it is deleted
      └─────────┴─────> ERROR      its fault says why
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cnflow.model.block import EndCause
from cnflow.model.machine import Machine, MachineState, Placement, Rate
from cnflow.providers.openstack.flavors import gpus_in

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEDULING = "scheduling"
"""Task of a server for which nova looks for a host."""

# Statuses: https://docs.openstack.org/api-guide/compute/server_concepts.html#server-status
_STATES: Mapping[str, MachineState] = {
    "BUILD": MachineState.PENDING,
    "ACTIVE": MachineState.RUNNING,
    "DELETED": MachineState.ENDED,
    "ERROR": MachineState.ENDED,
    "SHELVED": MachineState.ENDED,
    "SHELVED_OFFLOADED": MachineState.ENDED,
    "SHUTOFF": MachineState.ENDED,
    "SOFT_DELETED": MachineState.ENDED,
}
"""All others, such as PAUSED, REBOOT and MIGRATING, are those of machines that run, or will again."""

_FIXED, _FLOATING = "fixed", "floating"
_ENDINGS = frozenset({"deleting", "soft-deleting", "powering-off"})


def machine_of(server: Mapping[str, Any], usd_per_hour: float | None = None) -> Machine:
    """Return the machine that *server* is, an entry of ``/servers/detail``.

    Args:
        server: as nova describes it.
        usd_per_hour: price of a machine, where it is known.
    """
    state = _STATES.get(str(server.get("status")), MachineState.RUNNING)
    if state in {MachineState.PENDING, MachineState.RUNNING} and server.get("OS-EXT-STS:task_state") in _ENDINGS:
        state = MachineState.STOPPING
    addresses = _addresses(server)
    private = addresses.get(_FIXED, "")
    return Machine(
        id=str(server["id"]),
        state=state,
        tags=dict(server.get("metadata") or {}),
        placement=_placement(server, usd_per_hour),
        reason=_reason(server, state),
        cause=EndCause.NODE if server.get("status") == "ERROR" and server.get("OS-SRV-USG:launched_at") else None,
        public_address=addresses.get(_FLOATING) or str(server.get("accessIPv4") or "") or private,
        private_address=private,
        launched_at=_seconds(server.get("OS-SRV-USG:launched_at") or server.get("created")),
        is_kept=state is MachineState.ENDED and not str(server.get("status")).endswith("DELETED"),
    )


def fault_of(server: Mapping[str, Any]) -> str:
    """Return why *server* is in ERROR, in nova's words; empty if it is not."""
    fault = server.get("fault") or {}
    return str(fault.get("message") or "").strip()  # its details are a traceback, which only administrators see


def _placement(server: Mapping[str, Any], usd_per_hour: float | None) -> Placement:
    flavor: Mapping[str, Any] = server.get("flavor") or {}
    rate = Rate(usd_per_hour, float(flavor.get("vcpus") or 0), float(gpus_in(flavor.get("extra_specs") or {})))
    return Placement(
        str(flavor.get("original_name", "")), str(server.get("OS-EXT-AZ:availability_zone") or ""), rate=rate
    )


def _reason(server: Mapping[str, Any], state: MachineState) -> str:
    if state is MachineState.RUNNING:
        return ""
    status, fault = str(server.get("status")), fault_of(server)
    if fault:
        return f"{status}: {fault}"
    task = server.get("OS-EXT-STS:task_state")
    return f"{status} ({task})" if task else status


def _addresses(server: Mapping[str, Any]) -> dict[str, str]:
    """Return the first address of each kind; those of version 4 come first, the others do where there are none."""
    ordered = [one for network in (server.get("addresses") or {}).values() for one in network]
    found: dict[str, str] = {}
    for one in sorted(ordered, key=lambda one: one.get("version") != 4):  # noqa: PLR2004 - of the internet protocol
        found.setdefault(one.get("OS-EXT-IPS:type", _FIXED), str(one["addr"]))
    return found


def _seconds(moment: str | None) -> float | None:
    """Return a moment of nova's, ``2026-11-26T16:00:00Z`` or with ``.000000``, always UTC, as seconds since 1970."""
    if not moment:
        return None
    read = dt.datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return (read if read.tzinfo else read.replace(tzinfo=dt.timezone.utc)).timestamp()
