"""Ends blocks and sees that they are gone.

::

    pods deleted, grace 5 s ──> SIGTERM ──5 s──> SIGKILL ──10 s──> pods deleted by force ──> no pod is left: confirmed
    Jobs deleted: no pod is made any more

The first grace period counts: kubelets do not hasten an end that has begun. The last step does not wait for them, since
pods of a lost node stay until it is back.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import NOT_FOUND, ApiError
from cnflow.providers.kubernetes.block_watch import JOB_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.providers.kubernetes.block_watch import BlockWatch

logger = logging.getLogger(__name__)

_GRACE = 5
"""Seconds from SIGTERM to SIGKILL; managers were ordered to end before."""

_PATIENCE = 10.0
"""Seconds beyond that for the kubelet, and again for the deletion by force."""

_PAUSE, _LONGEST_PAUSE = 0.1, 0.5


class Removal:
    """Deletes blocks. Starts no thread, since it may run while the interpreter shuts down.

    Args:
        cluster: connected.
        namespace: of the blocks.
        is_bare: blocks are pods without Jobs.
        watch: of the blocks.
    """

    def __init__(self, cluster: Cluster, namespace: str, *, is_bare: bool, watch: BlockWatch) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._is_bare = is_bare
        self._watch = watch

    def end(self, names: Collection[str]) -> dict[str, str]:
        """End *names*, and return those whose end is not confirmed, each with the reason."""
        pods: set[str] = set()
        unconfirmed: dict[str, str] = {}
        try:
            found = self._watch.objects(names)
            pods |= {str(pod["metadata"]["name"]) for block in found.values() for pod in block.pods}
            selectors, others = self._watch.selectors(found)
            self._delete_pods(selectors, others, _GRACE)
            for chosen in () if self._is_bare else selectors:
                self._delete(paths.jobs(self._namespace), chosen, propagationPolicy="Background")
            unconfirmed = self._await_end(selectors, others, pods)
        except BlockError as error:
            unconfirmed = dict.fromkeys(names, str(error))
        self._watch.forget([name for name in names if name not in unconfirmed], pods)
        return unconfirmed

    def _await_end(self, selectors: Collection[str], others: Collection[str], seen: set[str]) -> dict[str, str]:
        """Wait until no pod is left; return the blocks that have one in spite of all.

        Args:
            selectors: choose blocks that were deleted.
            others: names of further ones.
            seen: gets the names of their pods.
        """
        left = self._wait_for_pods(selectors, others, seen, _GRACE + _PATIENCE)
        if left:
            self._delete_pods(selectors, others, 0)
            left = self._wait_for_pods(selectors, others, seen, _PATIENCE)
        names = {str(pod["metadata"]["labels"].get(JOB_NAME, pod["metadata"]["name"])) for pod in left}
        return dict.fromkeys(names, "its pod is still being deleted")

    def _wait_for_pods(
        self, selectors: Collection[str], others: Collection[str], seen: set[str], seconds: float
    ) -> list[Mapping[str, Any]]:
        deadline, pause = time.monotonic() + seconds, _PAUSE
        while left := self._pods_of(selectors, others):
            seen |= {str(pod["metadata"]["name"]) for pod in left}
            if time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return left

    def _pods_of(self, selectors: Collection[str], others: Collection[str]) -> list[Mapping[str, Any]]:
        listed = (self._cluster.list_all(paths.pods(self._namespace), chosen).items for chosen in selectors)
        return [*(pod for items in listed for pod in items), *self._watch.pods_of(others)]

    def _delete_pods(self, selectors: Collection[str], others: Collection[str], grace: int) -> None:
        for chosen in selectors:
            self._delete(paths.pods(self._namespace), chosen, gracePeriodSeconds=grace)
        for pod in self._watch.pods_of(others):
            self._delete(paths.pods(self._namespace, pod["metadata"]["name"]), gracePeriodSeconds=grace)

    def _delete(self, path: str, chosen: str = "", **options: object) -> None:
        """Delete an object, or those of a list that the selector *chosen* chooses; one that is gone is no error."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        try:
            self._cluster.request("DELETE", path, body=body, query={"labelSelector": chosen} if chosen else {})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
