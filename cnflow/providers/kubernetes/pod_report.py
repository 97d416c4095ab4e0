"""Reads one pod: whether it waits, runs or has ended, and why, in the cluster's own words. No I/O.

::

    PodScheduled=False ───────────────> PENDING  the scheduler's sentence
    a container waits ────────────────> PENDING  ErrImagePull, CreateContainerConfigError, CrashLoopBackOff ...
    an init container fails ──────────> FAILED   its exit code; its last lines are wanted
    the main container runs ──────────> RUNNING  also while the pod is being deleted
    the main container has ended ─────> ENDED, FAILED  exit code, OOMKilled with the limit, StartError
    DisruptionTarget ─────────────────> FAILED, PREEMPTED once it has ended: drain, preemption, spot, eviction
    deleted longer ago than its grace > FAILED, NODE: its node does not answer
"""

from __future__ import annotations

import signal
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.model.block import BlockState, EndCause
from cnflow.providers.kubernetes.waiting import ENDLESS, Wait, judge_wait
from cnflow.text import describe_exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LOST = 30.0
"""Seconds beyond its grace period after which a pod that is being deleted is taken for one of a lost node."""

_SIGNALLED = 128
_BY_HAND = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP})

# Reasons of the condition DisruptionTarget: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/.
_DISRUPTIONS: Mapping[str, str] = {
    "PreemptionByScheduler": "it gave way to a pod of higher priority",
    "DeletionByTaintManager": "its node was tainted, as one that is lost or taken back",
    "EvictionByEvictionAPI": "it was evicted, as by a node's drain",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "the kubelet ended it, for want of a resource or before the node's shutdown",
}

# Reasons of a pod's status that the kubelet sets: pkg/kubelet/eviction, nodeshutdown, lifecycle.
_POD_REASONS: Mapping[str, EndCause] = {
    "Evicted": EndCause.PREEMPTED,
    "Preempting": EndCause.PREEMPTED,
    "Terminated": EndCause.PREEMPTED,
    "Shutdown": EndCause.PREEMPTED,
    "NodeShutdown": EndCause.PREEMPTED,
    "NodeLost": EndCause.NODE,
    "NodeAffinity": EndCause.NODE,
    "UnexpectedAdmissionError": EndCause.NODE,
    "DeadlineExceeded": EndCause.WALLTIME,
}

_CONTAINER_REASONS: Mapping[str, EndCause] = {
    "OOMKilled": EndCause.OOM,
    "StartError": EndCause.IMAGE,
    "ContainerCannotRun": EndCause.IMAGE,
    "ContainerStatusUnknown": EndCause.NODE,
}


class PodReport(NamedTuple):
    """State of one pod."""

    pod: str
    """Name."""

    host: str
    """Host name that its processes see."""

    state: BlockState
    message: str = ""
    cause: EndCause | None = None
    exit_code: int | None = None
    reason: str = ""
    """Of a wait, in one word."""

    wait: Wait = ENDLESS
    log_of: str = ""
    """Container whose last lines explain the end; empty for none."""


def report_on(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]], now: float) -> PodReport:
    """Return the state of *pod*.

    Args:
        pod: as the API has it.
        events: warnings about it, oldest first.
        now: seconds since 1970.
    """
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    ended = _terminated(pod)
    if phase in {"Succeeded", "Failed"} or ended is not None:
        return _ended(pod, ended)
    if _is_overdue(pod, now):
        node = (pod.get("spec") or {}).get("nodeName", "its node")
        words = f"it is to be deleted, and {node} does not confirm that: the node seems to be lost"
        return _report(pod, BlockState.FAILED, words, EndCause.NODE)
    if _main_status(pod).get("state", {}).get("running"):
        return _report(pod, BlockState.RUNNING, _disruption(pod)[1])
    return _waiting(pod, events)


def container_statuses(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the statuses of all containers, those of init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def main_container(pod: Mapping[str, Any]) -> str:
    """Return the name of the container that runs the manager: the first."""
    return str(pod["spec"]["containers"][0]["name"])


def _main_status(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    name = main_container(pod)
    return next((one for one in container_statuses(pod) if one["name"] == name), {})


def _terminated(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the container that ended the pod: the main one, or an init container that failed; None while it lives."""
    main = _main_status(pod)
    if main.get("state", {}).get("terminated"):
        return main
    restarted = {
        str(one["name"]) for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"
    }
    for one in (pod.get("status") or {}).get("initContainerStatuses") or ():
        end = one.get("state", {}).get("terminated")
        if end and end.get("exitCode") and one["name"] not in restarted and pod["spec"].get("restartPolicy") == "Never":
            return one  # type: ignore[no-any-return]  # as the API has it
    return None


def _ended(pod: Mapping[str, Any], container: Mapping[str, Any] | None) -> PodReport:
    cause, why = _outside_cause(pod)
    if container is None and pod["status"].get("phase") == "Succeeded":
        return _report(pod, BlockState.ENDED, why, cause, exit_code=0)
    if container is None:
        return _report(pod, BlockState.FAILED, why or "it failed", cause or EndCause.OTHER)
    end = container["state"]["terminated"]
    code = int(end["exitCode"])
    if code == 0 and container["name"] == main_container(pod):
        return _report(pod, BlockState.ENDED, why, cause, exit_code=0)
    words, own_cause = _words_of_end(pod, container)
    return _report(
        pod,
        BlockState.FAILED,
        f"{words}; {why}" if why else words,
        cause or own_cause,
        exit_code=code,
        log_of="" if end.get("reason") == "StartError" else str(container["name"]),
    )


def _outside_cause(pod: Mapping[str, Any]) -> tuple[EndCause | None, str]:
    """Return cause and words of an end that came from outside the pod; nothing for one of its own."""
    status = pod["status"]
    cause, why = _disruption(pod)
    reason = str(status.get("reason") or "")
    if reason:
        # OutOfcpu and the like: the kubelet had less left than the scheduler counted with.
        cause = EndCause.NODE if reason.startswith("OutOf") else cause or _POD_REASONS.get(reason)
        return cause, f"{reason}: {status.get('message') or why}"
    if cause is None and pod["metadata"].get("deletionTimestamp"):
        return EndCause.USER, "it was deleted, not by this driver"
    return cause, why


def _words_of_end(pod: Mapping[str, Any], container: Mapping[str, Any]) -> tuple[str, EndCause]:
    end, name = container["state"]["terminated"], container["name"]
    code, reason = int(end["exitCode"]), str(end.get("reason", ""))
    who = "" if name == main_container(pod) else f"container {name!r}: "
    cause = _CONTAINER_REASONS.get(reason)
    if reason == "OOMKilled":
        limit = _memory_limit(pod, name)
        own = f"its limit of {limit}" if limit else "the memory of its node"
        return (
            f"{who}OOMKilled: it used more memory than {own}. Set a larger max_mem= of KubernetesProvider, or fewer "
            "workers for each pod (max_workers)"
        ), EndCause.OOM
    if cause is EndCause.IMAGE:
        return f"{who}{reason}: {end.get('message', '')}", cause
    words = f"{who}{describe_exit(code)}"
    if end.get("message"):
        words += f": {str(end['message']).strip()}"
    if cause is None and code > _SIGNALLED and code - _SIGNALLED in _BY_HAND:
        cause = EndCause.USER
    return words, cause or EndCause.OTHER


def _waiting(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> PodReport:
    for one in container_statuses(pod):
        wait = one.get("state", {}).get("waiting") or {}
        reason, words = str(wait.get("reason", "")), str(wait.get("message", ""))
        if reason in {"", "ContainerCreating", "PodInitializing"}:
            continue
        return _wait_report(pod, reason, words, "" if reason != "CrashLoopBackOff" else str(one["name"]))
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _wait_report(pod, str(scheduled.get("reason", "")), str(scheduled.get("message", "")))
    for event in reversed(list(events)):
        wait_for = judge_wait(str(event.get("reason")), str(event.get("message")))
        if wait_for is not ENDLESS or event.get("reason") in {"FailedMount", "FailedAttachVolume"}:
            return _wait_report(pod, str(event.get("reason")), str(event.get("message")))
    return _report(pod, BlockState.PENDING)


def _wait_report(pod: Mapping[str, Any], reason: str, words: str, log_of: str = "") -> PodReport:
    wait = judge_wait(reason, words)
    message = f"{reason}: {words}" if words else reason
    return _report(pod, BlockState.PENDING, message, reason=reason, wait=wait, log_of=log_of)


def _report(
    pod: Mapping[str, Any],
    state: BlockState,
    message: str = "",
    cause: EndCause | None = None,
    **more: Any,  # noqa: ANN401 - fields of the report
) -> PodReport:
    name = str(pod["metadata"]["name"])
    host = str((pod.get("spec") or {}).get("hostname") or name)
    return PodReport(name, host, state, f"Pod {name}: {message}" if message else "", cause, **more)


def _disruption(pod: Mapping[str, Any]) -> tuple[EndCause | None, str]:
    """Return the cause and the words of a disruption from outside; nothing without one."""
    condition = _condition(pod, "DisruptionTarget")
    if condition.get("status") != "True":
        return None, ""
    reason = str(condition.get("reason", ""))
    known = _DISRUPTIONS.get(reason, "it was disrupted")
    words = f"{known} ({reason}: {condition.get('message', '')})"
    return (EndCause.NODE if reason == "DeletionByPodGC" else EndCause.PREEMPTED), words


def _condition(pod: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), {})


def _is_overdue(pod: Mapping[str, Any], now: float) -> bool:
    """Return True if the pod should have been gone for a while; ``deletionTimestamp`` is the end of its grace."""
    stamp = pod["metadata"].get("deletionTimestamp")
    return bool(stamp) and now - seconds_of(stamp) > _LOST


def seconds_of(stamp: str) -> float:
    """Return the seconds since 1970 of a time of the API, which is RFC 3339 in UTC."""
    return (
        datetime.strptime(stamp.partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")
        .replace(tzinfo=timezone.utc)
        .timestamp()
    )


def _memory_limit(pod: Mapping[str, Any], container: str) -> str:
    spec = pod["spec"]
    for one in [*spec["containers"], *(spec.get("initContainers") or ())]:
        if one["name"] == container:
            return str(((one.get("resources") or {}).get("limits") or {}).get("memory", ""))
    return ""
