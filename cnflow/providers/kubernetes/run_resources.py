"""Resources of a run in a namespace besides its blocks: its object, ConfigMaps of cnflow's code, Secrets of blocks.

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
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cnflow.capsule import tag_of
from cnflow.capsule.archive import capsule_archive, unpacker
from cnflow.errors import BlockError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import CONFLICT, NOT_FOUND, ApiError, ClusterError
from cnflow.providers.kubernetes.block_policy import policy_of_blocks
from cnflow.providers.kubernetes.block_secret import owner_of, owner_patch, secret_for
from cnflow.providers.kubernetes.config_maps import STRATEGIC_PATCH, Code, ConfigMaps
from cnflow.providers.kubernetes.names import block_labels, object_name, user_label
from cnflow.providers.kubernetes.pod_start import UNPACKER, PodCode, parts_for
from cnflow.providers.kubernetes.requests import credentials_content, patched, secret_content
from cnflow.providers.kubernetes.run_object import RunObject
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from cnflow.capsule import Kind
    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.ids import RunId
    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.model.block import BlockRequest
    from cnflow.providers.kubernetes.parts import PodParts
    from cnflow.providers.kubernetes.probe import PreparedImage

logger = logging.getLogger(__name__)


class RunResources:
    """The objects of the runs of one provider. Safe from any thread.

    Args:
        cluster: that has them.
        settings: of the provider.
        cache_dir: where capsules are kept; None decides by `cnflow.capsule.default_cache_dir`.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: KubernetesProvider,
        cache_dir: Path | None = None,
    ) -> None:
        self._cluster = cluster
        self._namespace = cluster.namespace
        self._settings = settings
        self._cache_dir = cache_dir
        self._maps = ConfigMaps(cluster, cluster.namespace, lambda made: patched(made, settings))
        self._lock = threading.Lock()
        self._is_closed = False
        self._codes: dict[Kind, Code] = {}
        self._objects: dict[RunId, RunObject] = {}
        self._policies: set[tuple[str, str]] = set()
        """NetworkPolicies that are there: uid of the run's object, and executor."""

        self._owners: ThreadPoolExecutor | None = None
        """One thread, so that it takes little of the requests that the cluster allows from new blocks."""

    def owner(self, run: RunId, adoptable_for: float = 0.0) -> Mapping[str, str]:
        """Have the object of *run*; return the reference by which it owns others.

        Raises:
            BlockRejectedError: the cluster does not take it.
            BlockError: the cluster does not answer, or `close` came before.
        """
        with self._lock:
            if self._is_closed:  # a submission that hung until the run had ended would have the object made anew
                raise BlockError(f"The provider was closed before a block of run {run} was asked for.")
            if run not in self._objects:
                self._objects[run] = acquire(self._cluster, run, self._settings)
            shared = self._objects[run]
        return shared.ensure(Seconds(adoptable_for))

    def code(self, image: PreparedImage, owner: Mapping[str, Any]) -> PodCode:
        """Have cnflow's code for *image* in the namespace, as long as *owner* lives.

        Raises:
            CapsuleError: it cannot be made.
            BlockRejectedError, ClusterError: as `ConfigMaps.ensure`.
        """
        if image.holds_code:
            return PodCode(image.kind, image.probe.capsule)
        code = self._code_of(image.kind)
        return PodCode(image.kind, code.tag, self._maps.ensure(code, owner), self._settings.capsule_claim or "")

    def prepare_block(self, request: BlockRequest, image: PreparedImage) -> PodParts:
        """Have all that the pods of a block mount, so that no kubelet waits for it.

        Raises:
            CapsuleError, BlockRejectedError, BlockError: as `owner` and `code`.
        """
        owner = self.owner(request.run, request.manager.adoptable_for)
        if self._settings.network_policy:
            self._ensure_policy(request, owner)
        parts = parts_for(request, self.code(image, owner), image.probe, owner=owner, secret=object_name(request.name))
        if request.image.credentials is None:
            self._make_secret(request, owner, parts.secret, secret_content(request))
            return parts
        content = credentials_content(request.image)
        self._make_secret(request, owner, parts.secret, secret_content(request))
        parts = parts._replace(pull_secrets=(f"{parts.secret}-login",))
        try:
            self._make_secret(request, owner, parts.pull_secrets[0], content, kind="kubernetes.io/dockerconfigjson")
        except BlockError:
            self.discard(parts)
            raise
        return parts

    def hand_over(self, parts: PodParts, job: Mapping[str, Any]) -> None:
        """Let the Secret of a block end with its *job*, as the API server has returned it; done in the background.

        Until then, and if the cluster does not answer now, it ends with the run.
        """
        with self._lock:
            if self._is_closed:
                return
            if self._owners is None:
                self._owners = ThreadPoolExecutor(1, "cnflow-secrets")
            self._owners.submit(self._hand_over, parts, owner_patch(parts.owner, owner_of(job)))

    def discard(self, parts: PodParts) -> None:
        """Delete the Secret of a block whose Job was refused; if the cluster does not answer, it ends with the run."""
        for name in (parts.secret, *parts.pull_secrets):
            try:
                self._delete_secret(name)
            except ClusterError as error:
                logger.debug("Secret %s lives as long as its run: %s", name, error)

    def on_code_missing(self) -> None:
        """Look for the ConfigMaps anew at the next block: a pod waits for one that is not there."""
        self._maps.forget()

    def close(self) -> None:
        """Give up the objects of the runs."""
        with self._lock:
            self._is_closed = True
            objects, self._objects = self._objects, {}
            owners, self._owners = self._owners, None
        if owners is not None:
            owners.shutdown(wait=True, cancel_futures=True)
        for run, shared in objects.items():
            release(run, shared)

    def _hand_over(self, parts: PodParts, patch: Mapping[str, Any]) -> None:
        for name in (parts.secret, *parts.pull_secrets):
            path = paths.secrets(self._namespace, name)
            try:
                self._cluster.request("PATCH", path, body=patch, content_type=STRATEGIC_PATCH)
            except ClusterError as error:
                logger.debug("Secret %s lives as long as its run: %s", name, error)

    def _ensure_policy(self, request: BlockRequest, owner: Mapping[str, Any]) -> None:
        """Have the NetworkPolicy of an executor's blocks, once for each owner; one that is there comes with its pod."""
        key = (str(owner["uid"]), request.executor)
        if key in self._policies:
            return
        policy = policy_of_blocks(request.run, request.executor, self._settings, owner)
        try:
            self._cluster.request("POST", paths.network_policies(self._namespace), body=policy)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
        self._policies.add(key)

    def _make_secret(
        self,
        request: BlockRequest,
        owner: Mapping[str, Any],
        name: str,
        content: Mapping[str, bytes],
        kind: str = "Opaque",
    ) -> None:
        labels = block_labels(request.run, request.executor, request.block, user_label())
        secret = patched(secret_for(name, content, owner=owner, labels=labels, kind=kind), self._settings)
        try:
            self._cluster.request("POST", paths.secrets(self._namespace), body=secret)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            self._delete_secret(name)  # of an earlier submission that got no answer
            self._cluster.request("POST", paths.secrets(self._namespace), body=secret)

    def _delete_secret(self, name: str) -> None:
        try:
            self._cluster.request("DELETE", paths.secrets(self._namespace, name))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

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


def acquire(cluster: Cluster, run: RunId, settings: KubernetesProvider) -> RunObject:
    """Return the object of *run*, which providers of one process share; each calls `release`."""
    key = (cluster.server, cluster.namespace, str(run))
    with _SHARED_LOCK:
        if key not in _SHARED:
            lease, is_bare = Seconds(settings.lease_duration), settings.workload == "pod"
            made = RunObject(cluster, run, lease, user_label(), is_bare=is_bare)
            _SHARED[key] = (made, 0)
        shared, users = _SHARED[key]
        _SHARED[key] = (shared, users + 1)
        return shared


def release(run: RunId, shared: RunObject) -> None:
    """Give up *shared*, the object of *run*; the last provider deletes it, if nothing is left but what it owns."""
    with _SHARED_LOCK:
        # By the object: credentials that were loaded anew may name another address of the server.
        key, users = next((key, users) for key, (each, users) in _SHARED.items() if each is shared)
        if users > 1:
            _SHARED[key] = (shared, users - 1)
            return
        del _SHARED[key]
    shared.stop()
    try:
        if not shared.is_needed():
            shared.delete()
    except ClusterError as error:
        logger.warning("what is left of run %s in namespace %s ends by itself: %s", run, key[1], error)
