"""One object per run that owns all others, and a dead man's switch that the cluster itself works.

::

    Job cnflow-RUN-run: parallelism 0, so that it never has a pod           owns block Jobs, Secrets, Services, ...
        │ activeDeadlineSeconds = its age + lease       and, with the objects of other runs, ConfigMaps of the code
        │
        ├── driver lives: PATCH activeDeadlineSeconds every lease / 3 ──> the deadline never comes
        ├── run ends: DELETE ──────────────────────────────────────────> the garbage collector deletes all of them
        └── driver is gone: Job controller fails it by its deadline, TTL controller deletes it ──> the same

    ConfigMap of that name, where the user may not make Jobs: owns as much, without a deadline; for `cnflow clean`

No pod, no right and no program of cnflow is needed for that: the controllers that run Jobs do it. Pods end by SIGTERM.
See docs/decisions/0057. The driver measures the Job's age by a clock that goes on while a laptop sleeps.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import CONFLICT, NOT_FOUND, ApiError, ClusterError
from cnflow.providers.kubernetes.block_secret import owner_of
from cnflow.providers.kubernetes.names import NAME, object_name, run_labels, selector
from cnflow.providers.kubernetes.pod_report import seconds_of
from cnflow.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.ids import RunId
    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)

RENEWED = "cnflow.org/renewed"
"""Annotation that changes with each renewal: the API server notes the time of the change."""

ROLE, RUN_ROLE = "cnflow.org/role", "run"
"""Label that tells the object of the run from its blocks."""

_MERGE_PATCH = "application/merge-patch+json"
_RENEWALS = 3
"""Within one lease, so that two may fail."""

_REMOVAL = 10.0
"""Seconds within which an object that is being deleted gives its name free."""

_ENDS = frozenset({"Complete", "SuccessCriteriaMet", "Failed", "FailureTarget"})
"""Conditions of a Job that ends: https://kubernetes.io/docs/concepts/workloads/controllers/job/."""

_PAUSE = 0.2
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def run_object_name(run: RunId) -> str:
    """Return the name of the object of *run*."""
    return object_name(f"cnflow-{run}-run")


def config_map_for_run(run: RunId, user: str = "") -> dict[str, Any]:
    """Return the ConfigMap that owns all of *run* where Jobs may not be made; pure."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(run, user)}


def job_for_run(run: RunId, lease: float, user: str = "") -> dict[str, Any]:
    """Return the Job that owns all of *run*, and ends *lease* seconds from now; pure."""
    container = {
        "name": "none",
        "image": "cnflow.invalid/none",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(run, user),
        "spec": {
            "parallelism": 0,
            "backoffLimit": 0,
            "activeDeadlineSeconds": math.ceil(lease),
            "ttlSecondsAfterFinished": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                }
            },
        },
    }


def renewal(kind: str, age: float, lease: float, mark: str) -> dict[str, Any]:
    """Return the merge patch that moves the end of a Job of that *age* to *lease* seconds from now; pure.

    Args:
        kind: of the object; one other than a Job has no end.
        age: seconds since it was made.
        lease: seconds from now on.
        mark: any text that is new.
    """
    deadline = {"spec": {"activeDeadlineSeconds": math.ceil(age + lease)}} if kind == "Job" else {}
    return {"metadata": {"annotations": {RENEWED: mark}}, **deadline}


def age_at_change(job: Mapping[str, Any]) -> float:
    """Return the seconds from the start of *job* to the last change, by the clock of the API server; pure.

    A PATCH that changes a field is noted with its time: *job* is its answer.
    """
    return max(0.0, changed_at(job) - seconds_of(job["metadata"]["creationTimestamp"]))


def changed_at(made: Mapping[str, Any]) -> float:
    """Return the time of the last change of an object, in seconds since 1970 by the clock of the API server; pure."""
    metadata = made["metadata"]
    times = [entry["time"] for entry in metadata.get("managedFields", ()) if entry.get("time")]
    return seconds_of(max(times, default=metadata["creationTimestamp"]))


def is_over(job: Mapping[str, Any]) -> bool:
    """Return whether *job*, or a pod, has ended or is being deleted; pure."""
    status = job.get("status", {})
    reached = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
    ended = bool(reached & _ENDS) or status.get("phase") in {"Succeeded", "Failed"}
    return ended or bool(job["metadata"].get("deletionTimestamp"))


class RunObject:
    """The object of one run in one namespace. Safe from any thread; `acquire` makes it.

    Args:
        cluster: that has it, in its namespace.
        run: id of the run.
        lease: seconds without the driver after which the cluster deletes all.
        user: value of the label of the driver's user.
        is_bare: the user may not make Jobs.
        clock: seconds from any fixed moment, also while the machine sleeps.
    """

    def __init__(
        self,
        cluster: Cluster,
        run: RunId,
        lease: Seconds,
        user: str = "",
        *,
        is_bare: bool = False,
        clock: Callable[[], float] = lambda: time.clock_gettime(_CLOCK),
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace = cluster.namespace
        self._run = run
        self._lease = lease
        self._user = user
        self._clock = clock
        self._lock = threading.Lock()
        self._made_at = 0.0
        self._owner: dict[str, str] | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._kind = "ConfigMap" if is_bare else "Job"
        self._list = paths.config_maps(namespace) if is_bare else paths.jobs(namespace)
        self._name = f"{self._kind} {run_object_name(run)!r} in namespace {namespace!r}"
        self._path = f"{self._list}/{run_object_name(run)}"

    def ensure(self, lease: Seconds | None = None) -> Mapping[str, str]:
        """Have the object, and renew it from now on; return the reference by which it owns others.

        Args:
            lease: a longer one than before counts from the next renewal on.

        Raises:
            BlockRejectedError: the cluster does not take it.
            BlockError: the cluster does not answer, or is still deleting one of this name.
        """
        with self._lock:
            self._lease = max(self._lease, lease or self._lease)
            if self._owner is None:
                self._owner = self._make()
                if self._thread is None:
                    name = f"cnflow-lease-{self._run}"
                    self._thread = threading.Thread(target=self._renew_until_stopped, name=name, daemon=True)
                    self._thread.start()
            return self._owner

    def renew(self) -> None:
        """Move the deadline; an object that is gone is made again by the next `ensure`.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        with self._lock:
            if self._owner is None:
                return
            sent = self._clock()
            try:
                job = self._patch(sent - self._made_at)
                is_gone = is_over(job) or job["metadata"]["uid"] != self._owner["uid"]
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise
                is_gone = True
            if is_gone:
                self._owner = None
                logger.warning(
                    "the cluster has ended all blocks of run %s: the object of the run, %s, was deleted by hand or was "
                    "not renewed for %s. New blocks are asked for as they are needed.",
                    *(self._run, self._name, duration(self._lease)),
                )

    def stop(self) -> None:
        """Renew the object no more; it ends by its deadline."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def delete(self) -> None:
        """Stop, and delete the object with all that it owns, in the background.

        Raises:
            ClusterError: the cluster does not answer; then the object ends by its deadline.
        """
        self.stop()
        with self._lock:
            self._owner = None
        try:
            self._cluster.request("DELETE", self._path, query={"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def is_needed(self) -> bool:
        """Return whether a Job or a pod of the run lives besides this object.

        Raises:
            ClusterError: the cluster does not answer.
        """
        labels = selector(run_labels(self._run))
        others = f"{labels},{ROLE}!={RUN_ROLE}"
        kinds = (paths.jobs, paths.pods) if self._kind == "Job" else (paths.pods,)
        lists = (self._cluster.list_all(path(self._namespace), others) for path in kinds)
        return any(not is_over(each) for listed in lists for each in listed.items)

    def _make(self) -> dict[str, str]:
        deadline = self._clock() + _REMOVAL
        bare = config_map_for_run(self._run, self._user)
        body = job_for_run(self._run, self._lease, self._user) if self._kind == "Job" else bare
        while True:
            self._made_at = self._clock()
            try:
                return owner_of(self._cluster.request("POST", self._list, body=body))
            except ApiError as error:
                if error.status != CONFLICT:
                    raise
            if (adopted := self._adopt()) is not None:
                return adopted
            if self._clock() > deadline:
                raise BlockError(
                    f"{self._name}, the object of this run, is still being deleted. See which finalizer holds it: "
                    f"kubectl get -o yaml -n {self._namespace} {self._kind} {run_object_name(self._run)}"
                )
            time.sleep(_PAUSE)

    def _adopt(self) -> dict[str, str] | None:
        """Take over the object of a driver that was killed, or of another executor; None if it ends."""
        try:
            job = self._cluster.request("GET", self._path)
            if is_over(job):
                return None
            age = self._clock()
            mark = {"metadata": {"annotations": {RENEWED: secrets.token_hex(8)}}}
            job = self._cluster.request("PATCH", self._path, body=mark, content_type=_MERGE_PATCH)
            self._made_at = age - age_at_change(job)
            job = self._patch(self._clock() - self._made_at)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return None
        return None if is_over(job) else owner_of(job)

    def _patch(self, age: float) -> Mapping[str, Any]:
        body = renewal(self._kind, age, self._lease, secrets.token_hex(8))
        job: Mapping[str, Any] = self._cluster.request("PATCH", self._path, body=body, content_type=_MERGE_PATCH)
        return job

    def _renew_until_stopped(self) -> None:
        pause = self._lease / _RENEWALS
        while not self._stopped.wait(pause):
            try:
                self.renew()
                pause = self._lease / _RENEWALS
            except ClusterError as error:
                pause = self._lease / _RENEWALS / 5
                logger.warning("the object of run %s was not renewed, and will be again: %s", self._run, error)
            except Exception:  # a thread that ends would let the cluster delete all blocks
                pause = self._lease / _RENEWALS / 5
                logger.exception("the object of run %s was not renewed, and will be again", self._run)


def _metadata(run: RunId, user: str) -> dict[str, Any]:
    labels = {**run_labels(run, user=user), ROLE: RUN_ROLE}
    return {"name": run_object_name(run), "labels": labels, "annotations": {NAME: f"cnflow-{run}"}}
