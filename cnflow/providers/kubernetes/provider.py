"""Provider of Jobs: a block is a Job of one pod for each node, watched while it lives.

::

    prepare:  namespace and rights, once ──> digest of the image, its Python, its capsule
    submit:   run's object, ConfigMaps: once ──> Secret ──> Job ──> the Job owns the Secret   (refused: no Secret left)
    status:   reflectors of Jobs and pods ──> `judge_block`, with warnings while it waits and last lines when it failed
    cancel:   Job deleted: SIGTERM, 5 s later SIGKILL, 15 s later without the node's consent
    close:    the object of the run is deleted if nothing of it is left

All that a run has in the cluster is owned by one object; see `cnflow.providers.kubernetes.run_object`.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnflow.addresses import addresses_of_this_machine
from cnflow.clock import SystemClock
from cnflow.errors import BlockError, CapsuleError, ConfigurationError
from cnflow.ids import BlockId, NativeId
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import BAD_REQUEST, CONFLICT, NOT_FOUND, ApiError
from cnflow.model.block import BlockState, BlockStatus, Refusal, Refused
from cnflow.providers._shared.side_by_side import side_by_side
from cnflow.providers.kubernetes import access
from cnflow.providers.kubernetes.checks import check_cluster
from cnflow.providers.kubernetes.config_maps import CODE_NAME
from cnflow.providers.kubernetes.connection import Connection
from cnflow.providers.kubernetes.interchange_place import ClusterInterchange
from cnflow.providers.kubernetes.names import (
    BLOCK,
    MANAGED_BY,
    MANAGER,
    NAME,
    USER,
    run_labels,
    selector,
    user_label,
)
from cnflow.providers.kubernetes.orphans import Orphans
from cnflow.providers.kubernetes.pod_report import main_container
from cnflow.providers.kubernetes.requests import field_validation, preview_of, refuse_unfit, workload_for
from cnflow.providers.kubernetes.status import UNSCHEDULABLE, Judged, Waits, is_over, judge_block, rank_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from cnflow.clock import Clock
    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.ids import RunId
    from cnflow.interfaces import InterchangeRequest, PlacedInterchange
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest
    from cnflow.model.finding import Finding
    from cnflow.model.image import Image
    from cnflow.model.image_identity import ImageIdentity
    from cnflow.providers.kubernetes.parts import PodParts
    from cnflow.providers.kubernetes.probe import PreparedImage
    from cnflow.providers.kubernetes.status import BlockObjects

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_LAST_LINES = 20


class KubernetesBackend:
    """Starts managers in pods. A native id is the name of a block's Job or pod. Connects to the cluster on first use.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules and probes are kept; None decides by `cnflow.capsule.default_cache_dir`.
        clock: source of time.
    """

    def __init__(
        self, settings: KubernetesProvider, *, cache_dir: Path | None = None, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._made: Connection | None = None
        self._images: dict[str, PreparedImage] = {}
        self._waits = Waits()
        self._listeners: list[Callable[[], None]] = []
        self._is_ending = threading.Event()

    def endpoint_hosts(self) -> Collection[str]:
        """Offer all addresses of this machine, or of the pod in which the driver runs."""
        return addresses_of_this_machine()

    def prepare(self, image: Image) -> ImageIdentity:
        """Check namespace and rights once; find the digest of *image* and its Python, and have its capsule ready."""
        refuse_unfit(image, self._settings.nodes_per_block, self._settings)
        connection = self._connection()
        connection.check_once()
        prepared = connection.prober.prepare(image)
        self._images[image.key] = prepared
        return prepared.identity

    def place_interchange(self, request: InterchangeRequest) -> PlacedInterchange:
        """Have a pod for the interchange of an executor, whose driver is outside of the cluster."""
        connection = self._connection()
        connection.check_interchange()
        place = ClusterInterchange(
            request,
            self._settings,
            self._images[request.image.key],
            cluster=connection.cluster,
            resources=connection.resources,
            is_ending=self._is_ending,
        )
        place.place()
        return place

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Create Secret and Job of each request, some at a time; a Job that is refused leaves no Secret."""
        return side_by_side(self._submit, requests, _AT_ONCE)

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Find Jobs that have not ended by their labels."""
        chosen = selector(run_labels(run, executor))
        listed = self._list_blocks(f"{chosen},{BLOCK}")
        found = {BlockId(one["metadata"]["labels"][BLOCK]): NativeId(one["metadata"]["name"]) for one in listed}
        statuses = self.status(found.values()) if found else {}
        living = {block: native for block, native in found.items() if not statuses[native].state.is_final}
        if living:
            self._connection().watch.follow(chosen)
        return living

    def find_all(self) -> Mapping[NativeId, str]:
        """Find Jobs of all runs of this user in the namespace."""
        listed = self._list_blocks(f"{MANAGED_BY}={MANAGER},{USER}={user_label()},{BLOCK}")
        return {NativeId(one["metadata"]["name"]): one["metadata"]["annotations"].get(NAME, "") for one in listed}

    def remove_run(self, run: RunId) -> None:
        """Delete the object of *run*, and with it all that it owns."""
        self._orphans().remove_run(run)

    def remove_orphans(self) -> Sequence[str]:
        """Delete objects of runs that nobody renews, and probes that nobody has deleted."""
        return self._orphans().remove_orphans()

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Judge *blocks* by what is watched; those that are not are asked for."""
        if not blocks:
            return {}
        found = self._connection().watch.objects(blocks)
        return {block: self._judge(block, found[block]) for block in blocks}

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Call *changed* for each change of a watched Job or pod."""
        self._listeners.append(changed)

        def stop() -> None:
            if changed in self._listeners:
                self._listeners.remove(changed)

        return stop

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Delete *blocks* and wait until no pod of theirs is left."""
        return {NativeId(name): why for name, why in self._connection().removal.end(blocks).items()} if blocks else {}

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """Read the log of the pod with rank *node*; empty if it has not started, or is gone."""
        connection = self._connection()
        pods = [pod for pod in connection.watch.objects([block])[block].pods if rank_of(pod) == node]
        return self._log_of(pods[0]["metadata"]["name"], main_container(pods[0]), last) if pods else b""

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Return the Job, without the values of secret variables; it holds no key."""
        return preview_of(request, self._settings)

    def check(self) -> Sequence[Finding]:
        """Check whether the cluster answers, and what this user may do there."""
        return check_cluster(self._settings)

    def interrupt(self) -> None:
        """End waits for the probe of an image, and for the pod of an interchange."""
        self._is_ending.set()

    def close(self) -> None:
        """End the watches, and close the connection; blocks live on."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _connection(self) -> Connection:
        with self._lock:
            if self._made is None:
                self._made = Connection(
                    self._settings,
                    cache_dir=self._cache_dir,
                    clock=self._clock,
                    changed=self._on_changed,
                    is_ending=self._is_ending,
                )
            return self._made

    def _orphans(self) -> Orphans:
        is_bare = self._settings.workload == "pod"
        return Orphans(self._connection().cluster, self._settings.lease_duration, is_bare=is_bare)

    def _on_changed(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        try:
            refuse_unfit(request.image, request.nodes, self._settings)
            if request.image.key not in self._images:
                self.prepare(request.image)
            connection = self._connection()
            connection.watch.follow(selector(run_labels(request.run, request.executor)))
            parts = connection.resources.prepare_block(request, self._images[request.image.key])
        except ApiError as error:
            return Refused.by(error)._replace(words=access.explain_refusal(error))
        except BlockError as error:
            return Refused.by(error)
        except (CapsuleError, ConfigurationError) as error:
            return Refused(Refusal.FOR_GOOD, str(error))
        return self._create(request, parts)

    def _create(self, request: BlockRequest, parts: PodParts) -> NativeId | Refused:
        """Create the Job or pod of a block, whose Secret is there."""
        connection = self._connection()
        try:
            workload = workload_for(request, self._settings, parts)
            path = paths.pods if workload["kind"] == "Pod" else paths.jobs
            query = field_validation(self._settings)
            made = connection.cluster.request("POST", path(connection.namespace), body=workload, query=query)
        except ConfigurationError as error:
            connection.resources.discard(parts)
            return Refused(Refusal.FOR_GOOD, str(error))
        except ApiError as error:
            if error.status == CONFLICT:  # an earlier submission that got no answer: `find` lists it
                return Refused(Refusal.UNKNOWN, str(error), error)
            connection.resources.discard(parts)
            return Refused.by(error)._replace(words=access.explain_refusal(error))
        except BlockError as error:
            return Refused(Refusal.UNKNOWN, str(error), error)
        connection.resources.hand_over(parts, made)
        return NativeId(made["metadata"]["name"])

    def _list_blocks(self, chosen: str) -> list[Mapping[str, Any]]:
        """Return the Jobs or pods of blocks that have not ended."""
        connection = self._connection()
        path = paths.pods if self._settings.workload == "pod" else paths.jobs
        listed = connection.cluster.list_all(path(connection.namespace), chosen).items
        return [one for one in listed if not is_over(one)]

    def _judge(self, block: NativeId, found: BlockObjects) -> BlockStatus:
        now, wall = self._clock.now(), time.time()
        judged = judge_block(block, found, self._waits, now=now, wall=wall)
        if judged.status.state is BlockState.PENDING:
            objects = [*([found.job] if found.job else ()), *found.pods]
            events = self._connection().warnings.about(objects)
            lack = self._connection().room.lack_of(found.pods[0]) if UNSCHEDULABLE in judged.status.message else ""
            judged = judge_block(block, found._replace(events=events, lack=lack), self._waits, now=now, wall=wall)
        if judged.status.state is BlockState.FAILED and CODE_NAME in judged.status.message:
            self._connection().resources.on_code_missing()
        return self._with_last_lines(judged)

    def _with_last_lines(self, judged: Judged) -> BlockStatus:
        pod, container = judged.log_of
        status = judged.status
        if status.state is not BlockState.FAILED or not container:
            return status
        try:
            lines = self._log_of(pod, container, _LAST_LINES).decode(errors="replace").strip()
        except BlockError as error:
            logger.debug("the log of pod %s is not known: %s", pod, error)
            return status
        if not lines:
            return status
        return replace(status, message=f"{status.message}. The last lines of container {container!r}:\n{lines}")

    def _log_of(self, pod: str, container: str, last: int) -> bytes:
        """Return the last lines of a container; none if it has not started, or is gone.

        Raises:
            BlockError: the cluster does not answer.
        """
        connection = self._connection()
        query = {"container": container, "tailLines": str(last)}
        try:
            return connection.cluster.text(paths.pods(connection.namespace, pod, "log"), query)
        except ApiError as error:
            if error.status in {BAD_REQUEST, NOT_FOUND}:  # it waits to start; it is gone
                return b""
            raise
