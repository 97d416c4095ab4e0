"""Machines as EC2 describes them. No I/O.

::

    {"InstanceId": ..., "State": {"Name": "terminated"}, "StateReason": {"Code": "Server.SpotInstanceTermination"}, ...}
        └──machine_of──> Machine(ENDED, cause=PREEMPTED, reason=...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.model.block import EndCause
from cnflow.model.machine import Machine, MachineState, Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html
_STATES: Mapping[str, MachineState] = {
    "pending": MachineState.PENDING,
    "running": MachineState.RUNNING,
    "shutting-down": MachineState.STOPPING,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.ENDED,
    "terminated": MachineState.ENDED,
}

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
_CAUSES: Mapping[str, EndCause] = {
    "Client.InvalidSnapshot.NotFound": EndCause.IMAGE,
    "Client.UserInitiatedHibernate": EndCause.USER,
    "Client.UserInitiatedShutdown": EndCause.USER,
    "Server.InternalError": EndCause.NODE,
    "Server.ScheduledStop": EndCause.NODE,
    "Server.SpotInstanceShutdown": EndCause.PREEMPTED,
    "Server.SpotInstanceStop": EndCause.PREEMPTED,
    "Server.SpotInstanceTermination": EndCause.PREEMPTED,
}
_KEPT = {"stopping", "stopped"}
"""States in which its disks are paid for until it is terminated; somebody has stopped it."""

_LIVING = {MachineState.PENDING, MachineState.RUNNING}


def machine_of(instance: Mapping[str, Any], *, by_subnet: bool = False) -> Machine:
    """Return the machine that EC2 describes as *instance*.

    Args:
        instance: an entry of DescribeInstances.
        by_subnet: its placement names the subnet in place of the zone, as the settings do.
    """
    state = _STATES.get(instance.get("State", {}).get("Name", ""), MachineState.PENDING)
    why = instance.get("StateReason") or {}
    is_spot = instance.get("InstanceLifecycle") == "spot"
    launched = instance.get("LaunchTime")
    zone = (instance.get("Placement") or {}).get("AvailabilityZone") or ""
    zone = instance.get("SubnetId") or zone if by_subnet else zone
    return Machine(
        id=instance["InstanceId"],
        state=state,
        tags={tag["Key"]: tag["Value"] for tag in instance.get("Tags") or ()},
        placement=Placement(instance.get("InstanceType", ""), zone, is_spot),
        reason=why.get("Message", "") if state not in _LIVING else "",
        cause=_CAUSES.get(why.get("Code", "")) if state not in _LIVING else None,
        public_address=instance.get("PublicIpAddress") or "",
        private_address=instance.get("PrivateIpAddress") or "",
        launched_at=launched.timestamp() if launched is not None else None,
        is_kept=instance.get("State", {}).get("Name") in _KEPT,
    )
