"""All that a run has in a namespace besides its blocks: its object, ConfigMaps of cnflow's code, Secrets of blocks.

::

    prepare_block(request, image) ──> run's object, ConfigMaps: once ──> Secret, owned by the run's object ──> PodParts
    the provider creates the Job ──┬── hand_over(parts, job): the Job owns the Secret
                                   └── refused: discard(parts)
    close() ──┬── nothing else of the run is left: its object is deleted, and all that it owns
              └── blocks live on, for another driver: the object ends by its deadline, if none comes

Executors of one run share its object.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.capsule import tag_of
from cnflow.capsule.archive import capsule_archive, unpacker
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import CONFLICT, NOT_FOUND, ApiError, ClusterError
from cnflow.providers.kubernetes.block_secret import owner_of, owner_patch, secret_for
from cnflow.providers.kubernetes.config_maps import STRATEGIC_PATCH, Code, ConfigMaps
from cnflow.providers.kubernetes.names import block_labels, object_name
from cnflow.providers.kubernetes.pod_start import UNPACKER, PodCode, parts_for, secret_entries
from cnflow.providers.kubernetes.run_object import DEFAULT_LEASE, RunObject
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from cnflow.capsule import Kind, Probe
    from cnflow.ids import RunId
    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.model.block import BlockRequest
    from cnflow.providers.kubernetes.parts import PodParts

logger = logging.getLogger(__name__)


class ImageStart(NamedTuple):
    """How managers start in an image: what `cnflow.providers.kubernetes.probe` finds out."""

    probe: Probe
    kind: Kind
    holds_code: bool = False
    """The image has cnflow's code itself, in the version of the driver."""


class RunResources:
    """The objects of the runs of one provider. Safe from any thread.

    Args:
        cluster: that has them.
        namespace: of all of them.
        lease: seconds without a driver after which the cluster deletes all of a run.
        claim: PersistentVolumeClaim for unpacked code; empty for none.
        cache_dir: where capsules are kept; None decides by `cnflow.capsule.default_cache_dir`.
        user: value of the label of the driver's user.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        *,
        lease: Seconds = DEFAULT_LEASE,
        claim: str = "",
        cache_dir: Path | None = None,
        user: str = "",
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._lease = lease
        self._claim = claim
        self._cache_dir = cache_dir
        self._user = user
        self._maps = ConfigMaps(cluster, namespace)
        self._lock = threading.Lock()
        self._codes: dict[Kind, Code] = {}
        self._objects: dict[RunId, RunObject] = {}

    def owner(self, run: RunId, adoptable_for: float = 0.0) -> Mapping[str, str]:
        """Have the object of *run*; return the reference by which it owns others.

        Raises:
            BlockRejectedError: the cluster does not take it.
            BlockError: the cluster does not answer.
        """
        with self._lock:
            if run not in self._objects:
                self._objects[run] = acquire(self._cluster, self._namespace, run, lease=self._lease, user=self._user)
            shared = self._objects[run]
        return shared.ensure(Seconds(adoptable_for))

    def code(self, image: ImageStart, owner: Mapping[str, Any]) -> PodCode:
        """Have cnflow's code for *image* in the namespace, as long as *owner* lives.

        Raises:
            CapsuleError: it cannot be made.
            BlockRejectedError, ClusterError: as `ConfigMaps.ensure`.
        """
        if image.holds_code:
            return PodCode(image.kind, image.probe.capsule)
        code = self._code_of(image.kind)
        return PodCode(image.kind, code.tag, self._maps.ensure(code, owner), self._claim)

    def prepare_block(self, request: BlockRequest, image: ImageStart) -> PodParts:
        """Have all that the pods of a block mount, so that no kubelet waits for it.

        Raises:
            CapsuleError, BlockRejectedError, BlockError: as `owner` and `code`.
        """
        owner = self.owner(request.run, request.manager.adoptable_for)
        parts = parts_for(request, self.code(image, owner), image.probe, owner=owner, secret=object_name(request.name))
        labels = block_labels(request.run, request.executor, request.block, self._user)
        secret = secret_for(parts.secret, secret_entries(request), owner=owner, labels=labels)
        try:
            self._cluster.request("POST", paths.secrets(self._namespace), body=secret)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            self.discard(parts)  # of an earlier submission that got no answer
            self._cluster.request("POST", paths.secrets(self._namespace), body=secret)
        return parts

    def hand_over(self, parts: PodParts, job: Mapping[str, Any]) -> None:
        """Let the Secret of a block end with its *job*, as the API server has returned it.

        Until then, and if the cluster does not answer now, it ends with the run.
        """
        patch = owner_patch(parts.owner, owner_of(job))
        path = paths.secrets(self._namespace, parts.secret)
        try:
            self._cluster.request("PATCH", path, body=patch, content_type=STRATEGIC_PATCH)
        except ClusterError as error:
            logger.debug("Secret %s lives as long as its run: %s", parts.secret, error)

    def discard(self, parts: PodParts) -> None:
        """Delete the Secret of a block whose Job was refused; one that is gone is no error.

        Raises:
            ClusterError: the cluster does not answer.
        """
        try:
            self._cluster.request("DELETE", paths.secrets(self._namespace, parts.secret))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def on_code_missing(self) -> None:
        """Look for the ConfigMaps anew at the next block: a pod waits for one that is not there."""
        self._maps.forget()

    def close(self) -> None:
        """Give up the objects of the runs."""
        with self._lock:
            objects, self._objects = self._objects, {}
        for run in objects:
            release(self._cluster, self._namespace, run)

    def _code_of(self, kind: Kind) -> Code:
        with self._lock:
            if kind not in self._codes:
                programs = {UNPACKER: unpacker(kind.machine)} if kind.carries_python else {}
                archive = capsule_archive(kind, self._cache_dir).read_bytes()
                self._codes[kind] = Code.of(tag_of(kind), archive, programs)
            return self._codes[kind]


_SHARED: dict[tuple[str, str, str], tuple[RunObject, int]] = {}
"""Objects that this process renews, and how many providers use each."""

_SHARED_LOCK = threading.Lock()


def acquire(cluster: Cluster, namespace: str, run: RunId, *, lease: Seconds, user: str) -> RunObject:
    """Return the object of *run*, which providers of one process share; each calls `release`."""
    key = (cluster.server, namespace, str(run))
    with _SHARED_LOCK:
        shared, users = _SHARED.get(key) or (RunObject(cluster, namespace, run, lease=lease, user=user), 0)
        _SHARED[key] = (shared, users + 1)
        return shared


def release(cluster: Cluster, namespace: str, run: RunId) -> None:
    """Give up the object of *run*; the last provider deletes it, if nothing of the run is left but what it owns."""
    key = (cluster.server, namespace, str(run))
    with _SHARED_LOCK:
        shared, users = _SHARED[key]
        if users > 1:
            _SHARED[key] = (shared, users - 1)
            return
        del _SHARED[key]
    shared.stop()
    try:
        if not shared.is_needed():
            shared.delete()
    except ClusterError as error:
        logger.warning("what is left of run %s in namespace %s ends by itself: %s", run, namespace, error)
