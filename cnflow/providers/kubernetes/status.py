"""Status of a block from its Job, its pods and the warnings about them. No I/O.

::

    no Job, no pods ─────────────────────────────> GONE
    no pods yet ─────────────────────────────────> PENDING   or FAILED, in the words of the Job controller's events
    any pod runs ────────────────────────────────> RUNNING   hosts: of all pods, by rank
    all pods wait, and one will never start ─────> FAILED    after the `Wait.patience` of its words
    all pods have ended, or the Job has failed ──> ENDED, FAILED   words of the pod that failed first

`Waits` measures how long a pod has waited for one reason, by this machine's clock: that of the cluster may differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.providers.kubernetes.pod_report import PodReport, report_on
from cnflow.providers.kubernetes.waiting import SOON, Wait, judge_wait
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
"""Label and annotation of the pods of an indexed Job."""


UNSCHEDULABLE = "Unschedulable"
_TOO_LARGE = Wait(
    SOON,
    advice="Ask for less in KubernetesProvider (init_cpu, init_mem, gpus), or add a larger node.",
    is_for_good=True,
)


class BlockObjects(NamedTuple):
    """All objects of one block that the cluster has."""

    job: Mapping[str, Any] | None
    """None for a bare pod, and once the Job is deleted."""

    pods: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]] = ()
    """Warnings about the Job and its pods, oldest first."""

    is_bare: bool = False
    """The block is a pod without a Job."""

    lack: str = ""
    """Why no node of the cluster could hold the pods; empty if one could, or that is not known."""


class Judged(NamedTuple):
    """Status of a block, and the log that explains it."""

    status: BlockStatus
    log_of: tuple[str, str] = ("", "")
    """Pod and container whose last lines belong to the message; empty for none."""


class Waits:
    """Times since when blocks have waited for one reason each."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, Seconds]] = {}

    def duration(self, name: str, reason: str, now: Seconds) -> Seconds:
        """Return for how long *name* has waited for *reason*, as seen by the calls of this method."""
        known, since = self._since.get(name, ("", now))
        if known != reason:
            since = now
        self._since[name] = (reason, since)
        return Seconds(now - since)

    def forget(self, name: str) -> None:
        """Forget a block that does not wait any more."""
        self._since.pop(name, None)


def judge_block(name: str, block: BlockObjects, waits: Waits, *, now: Seconds, wall: float) -> Judged:
    """Return the status of the block *name*.

    Args:
        name: of the Job or pod.
        block: what the cluster has of it.
        waits: of all blocks; this one's is brought up to date.
        now: of the monotonic clock.
        wall: seconds since 1970.
    """
    if block.job is None and not block.pods:
        waits.forget(name)
        return Judged(BlockStatus(BlockState.GONE))
    reports = [
        report_on(pod, [one for one in block.events if _is_about(one, pod)], wall)
        for pod in sorted(block.pods, key=rank_of)
    ]
    hosts = tuple(report.host for report in reports)
    judged = _of_pods(name, block, reports, waits, now) if reports else _without_pods(name, block, waits, now)
    if judged.status.state is not BlockState.PENDING:
        waits.forget(name)
    return judged._replace(status=replace(judged.status, hosts=hosts))


def is_over(workload: Mapping[str, Any]) -> bool:
    """Return True if a Job or bare pod has ended, or is being deleted."""
    if workload["metadata"].get("deletionTimestamp") or workload.get("status", {}).get("phase") in {
        "Succeeded",
        "Failed",
    }:
        return True
    return any(_job_condition(workload, kind) for kind in ("Complete", "SuccessCriteriaMet", "Failed", "FailureTarget"))


def _of_pods(name: str, block: BlockObjects, reports: Sequence[PodReport], waits: Waits, now: Seconds) -> Judged:
    living = [report for report in reports if not report.state.is_final]
    running = next((report for report in living if report.state is BlockState.RUNNING), None)
    if running is not None:
        return Judged(BlockStatus(BlockState.RUNNING, running.message))
    failed = next((report for report in reports if report.state is BlockState.FAILED), None)
    waiting = next((report for report in living if report.message), None)
    if waiting is not None and failed is None:
        if block.lack and waiting.reason == UNSCHEDULABLE:
            waiting = waiting._replace(message=f"{waiting.message}\n{_capital(block.lack)}.", wait=_TOO_LARGE)
        return _waited(name, waiting, waits, now)
    is_finished = block.is_bare or (
        block.job is not None and (len(reports) >= _pods_of(block.job) or is_over(block.job))
    )
    if living or not is_finished:
        return Judged(BlockStatus(BlockState.PENDING if block.job is not None or block.is_bare else BlockState.RUNNING))
    is_walltime = block.job is not None and _failure_of(block.job)[0] == "DeadlineExceeded"
    if failed is None:
        last = reports[-1]
        cause = EndCause.WALLTIME if is_walltime else last.cause
        return Judged(BlockStatus(BlockState.ENDED, last.message, cause, exit_code=0))
    cause = EndCause.WALLTIME if is_walltime else failed.cause
    status = BlockStatus(BlockState.FAILED, failed.message, cause, failed.exit_code)
    return Judged(status, (failed.pod, failed.log_of))


def _waited(name: str, report: PodReport, waits: Waits, now: Seconds) -> Judged:
    """Return the status of a block whose pod waits: PENDING, or FAILED once its patience is over."""
    waited = waits.duration(name, _kind_of(report.reason), now)
    patience = report.wait.patience
    if patience is None or waited < patience:
        return Judged(BlockStatus(BlockState.PENDING, report.message))
    message = f"{report.message}\n{report.wait.advice}" if report.wait.advice else report.message
    wait = report.wait
    status = BlockStatus(BlockState.FAILED, message, wait.cause, is_for_good=wait.is_for_good)
    return Judged(status, (report.pod, report.log_of))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _kind_of(reason: str) -> str:
    """Return one word for the reasons between which a wait goes back and forth."""
    return "image" if reason in {"ErrImagePull", "ImagePullBackOff"} else reason


def _without_pods(name: str, block: BlockObjects, waits: Waits, now: Seconds) -> Judged:
    assert block.job is not None
    reason, message = _failure_of(block.job)
    if reason == "DeadlineExceeded":
        status = BlockStatus(BlockState.FAILED, f"Job {name}: {reason}: {message}", EndCause.WALLTIME)
    elif reason:
        words = f"Job {name}: its pod is gone, deleted by hand or with its node ({reason}: {message})"
        status = BlockStatus(BlockState.FAILED, words, EndCause.USER)
    elif _job_condition(block.job, "Complete"):
        status = BlockStatus(BlockState.ENDED, exit_code=0)
    elif block.job["metadata"].get("deletionTimestamp"):
        status = BlockStatus(BlockState.GONE, f"Job {name} is being deleted")
    elif block.job["spec"].get("suspend"):
        status = BlockStatus(BlockState.PENDING, f"Job {name} is suspended, as by a queue of Jobs")
    else:
        return _not_created(name, block.events, waits, now)
    return Judged(status)


def _not_created(name: str, events: Sequence[Mapping[str, Any]], waits: Waits, now: Seconds) -> Judged:
    """Return the status of a block whose pods are not there yet, by what the Job controller says about it."""
    creation = next((one for one in reversed(events) if one.get("reason") == "FailedCreate"), None)
    if creation is None:
        return Judged(BlockStatus(BlockState.PENDING))
    words = str(creation.get("message", ""))
    wait = judge_wait("FailedCreate", words)
    message = f"Job {name}: {words}"
    return _waited(name, PodReport("", "", BlockState.PENDING, message, reason="FailedCreate", wait=wait), waits, now)


def _failure_of(job: Mapping[str, Any]) -> tuple[str, str]:
    condition = _job_condition(job, "Failed") or _job_condition(job, "FailureTarget")
    return str(condition.get("reason", "")), str(condition.get("message", ""))


def _job_condition(job: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind and one.get("status") == "True"), {})


def _pods_of(job: Mapping[str, Any]) -> int:
    return int(job["spec"].get("completions") or job["spec"].get("parallelism") or 1)


def rank_of(pod: Mapping[str, Any]) -> int:
    """Return the number of the node that *pod* is, from 0 on."""
    metadata = pod["metadata"]
    known = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    return int(known.get(COMPLETION_INDEX, 0))


def _is_about(event: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    return bool((event.get("involvedObject") or {}).get("uid") == pod["metadata"].get("uid"))
