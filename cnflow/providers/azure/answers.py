"""Answers and refusals of Azure's resource manager. No I/O.

https://learn.microsoft.com/azure/virtual-machines/states-billing,
https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.machine import Machine, MachineState, Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

_POWER: Mapping[str, MachineState] = {
    "deallocated": MachineState.ENDED,
    "deallocating": MachineState.STOPPING,
    "running": MachineState.RUNNING,
    "starting": MachineState.PENDING,
    "stopped": MachineState.ENDED,
    "stopping": MachineState.STOPPING,
}
_NO_ROOM = frozenset(
    {
        "AllocationFailed",
        "ZonalAllocationFailed",
        "SkuNotAvailable",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
    }
)


class ApiError(Exception):
    """A request was refused, with the *status* of HTTP, a *code* and *words* of the service."""

    def __init__(self, status: int, code: str, words: str) -> None:
        self.status, self.code, self.words = status, code, words
        super().__init__(f"{code}: {words} (status {status})")


def meaning_of(error: ApiError, action: str) -> BlockError:
    """Return the error of the seam for a request that was refused; *action* begins its message."""
    words = f"{action}: {error}"
    if error.code in _NO_ROOM:
        return NoCapacityError(words)
    if error.code == "QuotaExceeded" or (error.code == "OperationNotAllowed" and "quota" in error.words.lower()):
        return QuotaError(f"{words}\nAsk for more in the portal (Quotas), or lower max_blocks.")
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderBusyError(words)
    if error.status == HTTPStatus.UNAUTHORIZED:
        return BlockRejectedError(f"{words}\nLog in anew: az login")
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return BlockRejectedError(words)
    return BlockError(words)


def machine_of(answer: Mapping[str, Any]) -> Machine:
    """Return the machine that Azure describes, with its instance view."""
    properties = answer.get("properties") or {}
    codes = [str(each.get("code", "")) for each in (properties.get("instanceView") or {}).get("statuses", ())]
    state = _state(str(properties.get("provisioningState", "")), codes)
    addresses = properties.get("cnflowAddresses") or {}
    return Machine(
        id=str(answer["name"]),
        state=state,
        tags=dict(answer.get("tags") or {}),
        placement=Placement(
            str((properties.get("hardwareProfile") or {}).get("vmSize", "")),
            next(iter(answer.get("zones") or ()), ""),
            is_spot=properties.get("priority") == "Spot",
        ),
        reason=""
        if state is MachineState.RUNNING
        else ", ".join(codes) or str(properties.get("provisioningState", "")),
        public_address=str(addresses.get("public", "")),
        private_address=str(addresses.get("private", "")),
        launched_at=_seconds(properties.get("timeCreated")),
        is_kept=state is MachineState.ENDED,
    )


def _state(provisioning: str, codes: list[str]) -> MachineState:
    power = next((code.partition("/")[2] for code in codes if code.startswith("PowerState/")), "")
    if provisioning == "Deleting":
        return MachineState.STOPPING
    if provisioning == "Failed":
        return MachineState.ENDED
    return _POWER.get(power, MachineState.PENDING)


def _seconds(moment: str | None) -> float | None:
    return None if not moment else dt.datetime.fromisoformat(moment[:19] + "+00:00").timestamp()
