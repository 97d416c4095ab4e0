"""Pods of a Deployment as the blocks of a pool: starts the pool's interchange, and scales the Deployment.

::

    start ──> interchange, with keys of the release ──> Secret with the managers' settings ──> pods are watched ──┐
                                                                                                                  │
          ┌── events: managers, idle times, drained, pods, tasks <────────────────────────────────────────────────┘
          └─> `scaling` decides ──> PATCH scale, PATCH pod, DELETE pod; Drain, BlockGone to the interchange
    stop ──> nothing: the pods stay, and find the interchange of the next server

An API server that does not answer delays changes of the number of pods; tasks run meanwhile.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from cnflow.blocks.factory import strategy_of
from cnflow.blocks.strategy import Limits
from cnflow.errors import BlockError, CnflowError, InterchangeLostError
from cnflow.executors.high_throughput.block_requests import BlockContext, ManagerEndpoint, interchange_settings
from cnflow.ids import BlockId
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.cluster import MERGE_PATCH
from cnflow.kubernetes_api.errors import NOT_FOUND, ApiError
from cnflow.kubernetes_api.reflector import Reflector
from cnflow.model.status import BlockReport
from cnflow.tasks.slots import slot_count
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire.keys import Keyring
from cnflow.wire.manager_messages import NoWorkers
from cnflow.worker_pool.deployments.missing_workers import MissingWorkers
from cnflow.worker_pool.deployments.pods import pods_of, refusal_of
from cnflow.worker_pool.deployments.scaling import (
    DeletePod,
    DeploymentScale,
    Forget,
    MarkFirst,
    OrderDrain,
    SetReplicas,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cnflow.config.worker_pool import Deployment, WorkerPool
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.provisioning import Owner
    from cnflow.interfaces import RunContext
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.wire.keys import KeyPair
    from cnflow.wire.manager_messages import ManagerInfo
    from cnflow.worker_pool.deployments.release import ReleaseObjects
    from cnflow.worker_pool.deployments.scaling import Action

logger = logging.getLogger(__name__)

_BIND_TIMEOUT = 30.0
_PERIOD = 1.0
"""Seconds between two decisions when nothing happens."""

_REPLICAS_PERIOD = 5.0
"""Seconds between two looks at the number of pods that the Deployment is to have, which others may change."""

_LIST_TIMEOUT = Seconds(10.0)
_COST = {"controller.kubernetes.io/pod-deletion-cost": "-1000"}
_PLENTY = 2**60


class DeploymentBlocks:
    """See `cnflow.worker_pool.pool.PoolBlocks`.

    Args:
        settings: of a pool with a deployment.
        run: context of this start.
        objects: of the release.
        client: of the interchange.
        managers: those of the interchange.
    """

    def __init__(
        self,
        settings: WorkerPool,
        run: RunContext,
        objects: ReleaseObjects,
        client: InterchangeClient,
        managers: ConnectedManagers,
    ) -> None:
        assert settings.deployment is not None
        self._settings, self._deployment = settings, settings.deployment
        self._run = run
        self._objects = objects
        self._client = client
        self._managers = managers
        self.expected_slots = expected_slots(settings, settings.deployment)
        self._scale = _make_scale(settings, settings.deployment, run, self.expected_slots)
        self._missing = MissingWorkers(settings.deployment.name, scales=settings.deployment.scales)
        self._events: queue.SimpleQueue[Callable[[Seconds], Iterable[Action]]] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"cnflow-{settings.label}-pods", daemon=True)
        self._lock = threading.Lock()
        """Held while the state is used."""

    def start(self, owner: Owner) -> None:
        """See `PoolBlocks`."""
        self._owner = owner
        (self._run.run_dir / self._settings.label).mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def on_manager_up(self, info: ManagerInfo) -> None:
        """See `PoolBlocks`."""
        self._put(lambda _: self._scale.on_manager_up(info.block, info.slots))

    def on_manager_down(self, info: ManagerInfo) -> None:
        """See `PoolBlocks`."""
        self._put(lambda _: self._scale.on_manager_down(info.block))

    def on_news(self, message: msg.Drained | msg.BlockEmpty | msg.IdleTimes) -> None:
        """See `PoolBlocks`."""
        match message:
            case msg.Drained(block):
                self._put(lambda now: self._scale.on_drained(block, now))
            case msg.IdleTimes(seconds):
                self._put(lambda _: self._scale.on_idle_times(seconds))
            case msg.BlockEmpty():
                pass  # a pod whose manager has left is started again by its kubelet

    def on_demand(self, tasks: int) -> None:
        """Decide soon."""
        del tasks
        self._put(_nothing)

    def reports(self) -> list[BlockReport]:
        """See `PoolBlocks`."""
        with self._lock:
            scale = self._scale
            return [
                BlockReport(
                    block=pod.name,
                    native=pod.name,
                    state="draining" if pod.is_ending or pod.name in scale.draining else pod.state,
                    nodes=int(pod.name in scale.workers),
                    workers=scale.workers.get(pod.name, 0),
                    tasks=None,
                    age=pod.age(time.time()),
                    message=pod.message,
                )
                for pod in scale.pods.values()
            ]

    def why_no_workers(self) -> NoWorkers:
        """See `PoolBlocks`."""
        tasks = self._owner.demand().tasks
        with self._lock:
            scale = self._scale
            if scale.workers:
                self._missing.on_manager()
                return NoWorkers("")
            return self._missing.judge(scale.staying(), scale.replicas, tasks, Seconds(time.monotonic()))

    def on_failure(self) -> None:
        """See `PoolBlocks`; the pods stay."""
        self._ending.set()
        self._put(_nothing)

    def close(self) -> None:
        """See `PoolBlocks`."""
        self._client.leaves_managers = True
        self._ending.set()
        self._put(_nothing)

    def stop(self) -> None:
        """Wait for the end of the thread; the pods stay."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _put(self, event: Callable[[Seconds], Iterable[Action] | None]) -> None:
        self._events.put(lambda now: event(now) or ())

    # The thread

    def _serve(self) -> None:
        try:
            self._start_interchange()
            selector = self._selector()
            pods = paths.pods(self._objects.namespace)
            reflector = Reflector(self._objects.cluster, pods, selector, lambda: self._put(_nothing))
            try:
                self._scale_until_end(reflector)
            finally:
                reflector.stop()
        except CnflowError as error:
            self._owner.on_failure(error)
        except BaseException as error:  # a thread that ends silently would leave tasks waiting
            logger.exception("pool %s failed", self._settings.label)
            self._owner.on_failure(
                CnflowError(f"Pool {self._settings.label!r} failed: {type(error).__name__}: {error}")
            )

    def _start_interchange(self) -> None:
        settings, client = self._settings, self._client
        keys = Keyring(self._objects.server_keys())
        self._managers.are_adoptable = True
        try:
            client.start(
                lambda folder, port: interchange_settings(
                    settings, folder, [settings.address], keys, port, self._managers
                ),
                self._owner,
            )
        except OSError as error:
            raise InterchangeLostError(
                f"The interchange of pool {settings.label!r} cannot be started: {error}."
            ) from error
        if not client.wait_until_bound(_BIND_TIMEOUT):
            raise InterchangeLostError(
                f"The interchange of pool {settings.label!r} opened no port within {_BIND_TIMEOUT:.0f} s; see "
                f"{client.host.log_file}."
            )
        pair = self._objects.manager_keys(settings.label)
        given = manager_settings(settings, self._run, keys, pair, client.port)
        self._objects.write_settings(self._deployment.secret, given)

    def _selector(self) -> str:
        """Labels of the Deployment's pods."""
        deployment = self._objects.cluster.request("GET", self._path())
        return ",".join(f"{name}={value}" for name, value in deployment["spec"]["selector"]["matchLabels"].items())

    def _scale_until_end(self, reflector: Reflector) -> None:
        read_at = ask_at = 0.0
        while not self._ending.is_set():
            self._take_events()
            now = time.monotonic()
            try:
                if now >= read_at:
                    read_at = now + _REPLICAS_PERIOD
                    self._read_replicas()
                pods = pods_of(reflector.objects(_LIST_TIMEOUT).values())
                with self._lock:
                    gone = self._scale.on_pods(pods)
                    actions = [*gone, *self._scale.decide(self._owner.demand(), Seconds(time.monotonic()))]
                self._perform(actions)
                self._missing.outage = ""
            except BlockError as error:
                self._missing.outage = str(error)
                read_at = 0.0  # what was ordered may have been done or not
                logger.warning("pool %s cannot be scaled: %s", self._settings.label, error)
                self._ending.wait(_PERIOD)
            if now >= ask_at and self._scale.workers:
                ask_at = now + _PERIOD
                self._client.order(msg.IdleTimesQuery())

    def _take_events(self) -> None:
        """Wait for an event, or for the next decision, and handle all events."""
        deadline = time.monotonic() + _PERIOD
        timeout = _PERIOD
        while not self._ending.is_set():
            try:
                event = self._events.get(timeout=max(0.0, timeout))
            except queue.Empty:
                return
            with self._lock:
                actions = list(event(Seconds(time.monotonic())))
            try:
                self._perform(actions)
            except BlockError as error:
                logger.warning("pool %s cannot be scaled: %s", self._settings.label, error)
            timeout = min(0.05, deadline - time.monotonic())

    def _read_replicas(self) -> None:
        found = self._objects.cluster.request("GET", self._path())
        with self._lock:
            self._scale.on_replicas(int(found["spec"].get("replicas", 0)))
            self._missing.refusal = refusal_of(found)

    def _perform(self, actions: Iterable[Action]) -> None:
        """Carry out *actions*, orders to the interchange first: these do not depend on the API server.

        Raises:
            BlockError: the API server refuses, or does not answer.
        """
        label = self._settings.label
        for action in sorted(actions, key=lambda each: not isinstance(each, (OrderDrain, Forget))):
            match action:
                case SetReplicas(number):
                    logger.info("pool %s: Deployment %s is to have %d pods", label, self._deployment.name, number)
                    self._patch(self._path("scale"), {"spec": {"replicas": number}})
                case MarkFirst(pod):
                    self._patch_pod(pod, {"metadata": {"annotations": _COST}})
                case OrderDrain(pod):
                    logger.info("pool %s: pod %s drains", label, pod)
                    self._client.order(msg.Drain(BlockId(pod)))
                case DeletePod(pod):
                    logger.info("pool %s: pod %s was drained, and is deleted", label, pod)
                    self._request_pod("DELETE", pod, None)
                case Forget(pod):
                    self._client.order(msg.BlockGone(BlockId(pod), "its pod is gone"))

    def _patch(self, path: str, patch: object) -> None:
        self._objects.cluster.request("PATCH", path, body=patch, content_type=MERGE_PATCH)

    def _patch_pod(self, pod: str, patch: object) -> None:
        self._request_pod("PATCH", pod, patch)

    def _request_pod(self, method: str, pod: str, body: object) -> None:
        """Send a request for a pod that may be gone meanwhile."""
        kind = MERGE_PATCH if method == "PATCH" else "application/json"
        try:
            path = paths.pods(self._objects.namespace, pod)
            self._objects.cluster.request(method, path, body=body, content_type=kind)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def _path(self, subresource: str = "") -> str:
        return paths.deployments(self._objects.namespace, self._deployment.name, subresource)


def _nothing(now: Seconds) -> Iterable[Action]:
    """Event that only makes the thread decide."""
    del now
    return ()


def expected_slots(settings: WorkerPool, deployment: Deployment) -> int:
    """Return the workers that are expected of a pod."""
    gpus = settings.available_accelerators
    number = gpus if isinstance(gpus, int) else len(gpus)
    limits = [limit for limit in (settings.max_workers, number or None) if limit is not None]
    return slot_count(deployment.cores, _PLENTY, settings.cores_per_worker, None, min(limits, default=None))


def manager_settings(settings: WorkerPool, run: RunContext, keys: Keyring, pair: KeyPair, port: int) -> ManagerSettings:
    """Settings that all managers of a Deployment share; pure.

    Args:
        settings: of the pool.
        run: context of this start.
        keys: of the server.
        pair: keys of the managers.
        port: of the interchange.
    """
    endpoint = ManagerEndpoint([settings.address or ""], f"tcp://{{host}}:{port}", keys)
    context = BlockContext(settings, run.run, run.run_dir, endpoint, adoptable_for=run.adoptable_for)
    given = context.request(BlockId("")).manager
    return msgspec.structs.replace(given, public_key=pair.public, secret_key=pair.secret, argv=())


def _make_scale(settings: WorkerPool, deployment: Deployment, run: RunContext, slots: int) -> DeploymentScale:
    limits = Limits(
        deployment.init_replicas,
        deployment.min_replicas,
        deployment.max_replicas,
        1,
        deployment.parallelism,
        Seconds(run.max_idletime),
        deployment.warm_replicas,
    )
    return DeploymentScale(limits, strategy_of(run.strategy, settings.label), slots, scales=deployment.scales)
