"""Reads the pods of a Deployment as the API server has them. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cnflow.worker_pool.deployments.scaling import Pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ENDED = frozenset({"Succeeded", "Failed"})


def pods_of(objects: Iterable[Mapping[str, Any]]) -> list[Pod]:
    """Return the pods of the API's *objects*, oldest first."""
    ordered = sorted(objects, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
    return [_pod(one) for one in ordered]


def _pod(one: Mapping[str, Any]) -> Pod:
    metadata, status = one["metadata"], one.get("status", {})
    phase = status.get("phase", "Pending")
    is_ending = "deletionTimestamp" in metadata or phase in _ENDED
    created = datetime.fromisoformat(metadata["creationTimestamp"].replace("Z", "+00:00")).timestamp()
    state = "running" if phase == "Running" else "pending"
    reason, words = _wait(status)
    return Pod(metadata["name"], is_ending, state, f"{reason}: {words}".strip(": "), created, reason)


def _wait(status: Mapping[str, Any]) -> tuple[str, str]:
    """Return why a pod does not run, in one word and in those of the kubelet or the scheduler; empty if it does."""
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for container in containers:
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in {"ContainerCreating", "PodInitializing"}:
            return reason, waiting.get("message", "")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return condition.get("reason", ""), condition.get("message", "")
    return status.get("reason", ""), status.get("message", "")


def refusal_of(deployment: Mapping[str, Any]) -> str:
    """Return why no pod of *deployment* can be made, in the words of the API server; empty if it can."""
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message", ""))
    return ""
