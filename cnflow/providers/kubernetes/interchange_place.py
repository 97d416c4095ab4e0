"""Machine of an interchange in a cluster: made, found by managers, reached by its driver, replaced when it is lost.

::

    place ──> run's object, code ──> Service: address ──> pod 1 ──> runs      within seconds; else the cluster's words
    command(is_start=True) ──> exec_process, waits for its pipe
         thread: pod is there? ── no ──> pod 2, 3, ... ──> runs ──> pipe: address, credentials, path of the relay
    command(is_start=False)
         thread: pod is over ──> pipe: print that the interchange is gone          the executor starts another one
    close ──> pod, Service, policies deleted

Credentials come with each command, so that a token that expires meanwhile does no harm. Objects that are left when the
driver is killed end with the run's object.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, BlockRejectedError, CnflowError
from cnflow.interfaces import InheritedCommand
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import CONFLICT, NOT_FOUND, UNPROCESSABLE, ApiError, ClusterError
from cnflow.kubernetes_api.exec import ExecTarget, exec_argv, request_for
from cnflow.kubernetes_api.exec_process import ExecRequest
from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.model.interchange_settings import GONE, GREETING
from cnflow.providers.kubernetes import interchange_pod as pure
from cnflow.providers.kubernetes.pod import CONTAINER
from cnflow.providers.kubernetes.requests import field_validation
from cnflow.providers.kubernetes.status import BlockObjects, Waits, judge_block
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.interfaces import InterchangeRequest
    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.providers.kubernetes.probe import PreparedImage
    from cnflow.providers.kubernetes.run_resources import RunResources

logger = logging.getLogger(__name__)

_LOOK_PERIOD = 0.2
_CLOSED = "The executor ends before its interchange has begun."


class ClusterInterchange:
    """See `cnflow.interfaces.PlacedInterchange`. Safe from any thread; `place` comes first.

    Args:
        request: of the executor.
        settings: of the provider.
        image: that the provider has prepared.
        cluster: in which it is, in its namespace.
        resources: of the run.
        is_ending: set when the run ends, and nobody waits for the pod any more.
    """

    def __init__(
        self,
        request: InterchangeRequest,
        settings: KubernetesProvider,
        image: PreparedImage,
        *,
        cluster: Cluster,
        resources: RunResources,
        is_ending: threading.Event,
    ) -> None:
        self._request = request
        self._settings = settings
        self._image = image
        self._cluster = cluster
        self._namespace = cluster.namespace
        self._resources = resources
        self._lock = threading.Lock()
        """Held while a pod is made, and waited for."""

        self._number = 0
        self._argv: list[str] = []
        """Of the relay."""

        self._is_ending = is_ending
        self._is_closed = threading.Event()
        self.name = f"pod {self._pod_name} of the cluster"
        self.addresses: Collection[str] = ()
        self.port = pure.port_of(request)

    @property
    def _pod_name(self) -> str:
        return f"{pure.interchange_name(self._request)}-{max(1, self._number)}"

    def place(self) -> None:
        """Have Service and pod; nothing is left where that fails.

        Raises:
            BlockRejectedError: the cluster refuses them, or the pod will never run.
            BlockError: the cluster does not answer, or the pod does not run within `startup_timeout`.
        """
        try:
            self._ensure_pod()
        except BaseException:
            self.close()
            raise

    def command(self, *, is_start: bool) -> InheritedCommand:
        """See `PlacedInterchange`."""
        near, far = os.pipe()
        threading.Thread(
            target=self._send_request, args=(far, is_start), name="cnflow-interchange-pod", daemon=True
        ).start()
        return InheritedCommand(exec_argv(near), near)

    def close(self) -> None:
        """Delete all; what the cluster does not delete now ends with the run."""
        self._is_closed.set()
        with self._lock:  # a pod that a thread is making would outlive the executor
            self._delete(paths.pods(self._namespace, self._pod_name))
            self._delete(paths.services(self._namespace, pure.interchange_name(self._request)))
            if self._settings.network_policy:
                for name in pure.policy_names(self._request):
                    self._delete(paths.network_policies(self._namespace, name))

    def _send_request(self, far: int, is_start: bool) -> None:  # noqa: FBT001 - of a thread
        """Find out what the command is to do, and send it that."""
        try:
            found = self._start_request() if is_start else self._attach_request()
        except CnflowError as error:
            found = ExecRequest(error=str(error))
        except BaseException as error:  # the process waits for an answer
            logger.exception("the interchange's pod cannot be reached")
            found = ExecRequest(error=f"{type(error).__name__}: {error}")
        try:
            with os.fdopen(far, "wb") as pipe:
                pipe.write(found.to_json())  # leaves the buffer when the pipe is closed
        except BrokenPipeError:
            logger.debug("the command of the interchange was killed before it got its request")

    def _start_request(self) -> ExecRequest:
        self._ensure_pod()
        return self._relay_request()

    def _attach_request(self) -> ExecRequest:
        with self._lock:
            pod = self._cluster.get(paths.pods(self._namespace, self._pod_name))
        if not pure.is_over(pod):
            return self._relay_request()
        is_deleted = pod is None or "deletionTimestamp" in pod["metadata"]
        how = "was deleted" if is_deleted else self._status_of(pod, Waits()).message or "has ended"
        logger.warning("pod %s, in which the interchange ran, %s; another one takes its place", self._pod_name, how)
        return ExecRequest(output=f"{GREETING.decode()}{GONE}\n")

    def _relay_request(self) -> ExecRequest:
        return request_for(self._cluster, ExecTarget(self._namespace, self._pod_name, CONTAINER), self._argv)

    def _ensure_pod(self) -> None:
        """Have a pod that runs; one that is over is replaced."""
        with self._lock:
            if self._is_closed.is_set():
                raise BlockError(_CLOSED)
            found = self._cluster.get(paths.pods(self._namespace, self._pod_name)) if self._number else None
            if pure.is_over(found):
                if found is not None:
                    self._delete(paths.pods(self._namespace, self._pod_name))
                owner = self._resources.owner(self._request.run, self._request.grace)
                self._ensure_address(owner)
                code = self._resources.code(self._image, owner)
                self._argv = pure.relay_argv(self._image.probe, code)
                self._number += 1
                arguments = (self._request, self._settings, self._image.probe, code, owner, self._number)
                self._make(paths.pods, pure.pod_of(*arguments))
                self.name = f"pod {self._pod_name} of the cluster"
            self._wait_until_running()

    def _ensure_address(self, owner: Mapping[str, str]) -> None:
        """Have all but the pod: again, if the run's object has ended meanwhile, and all with it."""
        request, settings = self._request, self._settings
        if request.image.credentials is not None:
            self._make(paths.secrets, pure.login_of(request, settings, owner))
        if settings.network_policy:
            for policy in pure.policies_of(request, settings, owner):
                self._make(paths.network_policies, policy)
        service = pure.service_of(request, settings, owner)
        try:
            made = self._make(paths.services, pure.at_address(service, self.addresses))
        except ApiError as error:
            if error.status != UNPROCESSABLE or not self.addresses:
                raise
            made = self._make(paths.services, service)  # the address of the one before is taken; its name is not
        name = f"{made['metadata']['name']}.{self._namespace}.svc"
        self.addresses = [*(each for each in made["spec"].get("clusterIPs", ()) if each != "None"), name]

    def _wait_until_running(self) -> None:
        waits, deadline = Waits(), time.monotonic() + self._settings.startup_timeout
        while not (self._is_ending.is_set() or self._is_closed.wait(_LOOK_PERIOD)):
            pod = self._cluster.get(paths.pods(self._namespace, self._pod_name))
            status = self._status_of(pod, waits)
            if status.state is BlockState.RUNNING and not pure.is_over(pod):
                return
            if status.state.is_final or pure.is_over(pod):
                error = BlockRejectedError if status.cause is EndCause.IMAGE else BlockError
                raise error(f"The interchange cannot run in pod {self._pod_name}: {status.message}")
            if time.monotonic() > deadline:
                raise BlockError(
                    f"The interchange's pod {self._pod_name} does not run after startup_timeout="
                    f"{self._settings.startup_timeout:g} s: {status.message}"
                )
        raise BlockError(_CLOSED)

    def _status_of(self, pod: Mapping[str, Any] | None, waits: Waits) -> BlockStatus:
        """Return the state of a pod in the cluster's words, by the same rules as that of a block."""
        if pod is None:
            return BlockStatus(BlockState.GONE, "it was deleted.")
        events = self._cluster.list_all(
            paths.events(self._namespace), fields=f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        )
        now = Seconds(time.monotonic())
        objects = BlockObjects(None, [pod], events.items, is_bare=True)
        return judge_block(self._pod_name, objects, waits, now=now, wall=time.time()).status

    def _make(self, path_of: paths.Namespaced, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create an object; return it as the server has it. One that is there is of an earlier try."""
        try:
            query = field_validation(self._settings)
            made = self._cluster.request("POST", path_of(self._namespace), body=wanted, query=query)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            made = self._cluster.request("GET", path_of(self._namespace, wanted["metadata"]["name"]))
        found: Mapping[str, Any] = made
        return found

    def _delete(self, path: str) -> None:
        try:
            self._cluster.request("DELETE", path)
        except ClusterError as error:
            if not isinstance(error, ApiError) or error.status != NOT_FOUND:
                logger.warning("%s ends with the run: %s", path.rpartition("/")[2], error)
