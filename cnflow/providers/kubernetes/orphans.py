"""Objects that killed drivers have left in a namespace: found by their labels, and deleted.

::

    remove_run(run): its driver is known to be gone ──> the object of the run is deleted, and all that it owns
    remove_orphans():  objects of runs ──┬── Job: ends by its deadline ─────────────────────> left alone
                                         └── ConfigMap: renewed long ago ──is_orphan──> deleted, and all that it owns
                       probes of images that are older than any may get ────────────────────> deleted
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import FORBIDDEN, NOT_FOUND, ApiError
from cnflow.providers.kubernetes.names import MANAGED_BY, MANAGER, USER, selector, user_label
from cnflow.providers.kubernetes.probe import PATIENCE
from cnflow.providers.kubernetes.probe_pod import PROBE
from cnflow.providers.kubernetes.run_object import ROLE, RUN_ROLE, changed_at, run_object_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.ids import RunId
    from cnflow.kubernetes_api.cluster import Cluster

logger = logging.getLogger(__name__)

_UNRENEWED = 2.0
"""Leases after which an object counts as abandoned: clocks of driver and cluster may differ."""

_LONG = 600.0


def is_orphan(made: Mapping[str, Any], now: float, patience: float) -> bool:
    """Return whether an object was last changed more than *patience* seconds ago; pure.

    Args:
        made: as the API has it.
        now: seconds since 1970.
        patience: seconds in which a driver that lives would have changed or deleted it.
    """
    return not made["metadata"].get("deletionTimestamp") and now - changed_at(made) > patience


class Orphans:
    """Deletes what was left in one namespace.

    Args:
        cluster: connected.
        lease: seconds after which an object of a run that is not renewed counts as abandoned.
        is_bare: the user may have no right to Jobs, and none of the blocks is one.
    """

    def __init__(self, cluster: Cluster, lease: float, *, is_bare: bool = False) -> None:
        self._cluster = cluster
        self._is_bare = is_bare
        self._lease = lease

    def remove_run(self, run: RunId) -> None:
        """Delete all of *run*.

        Raises:
            ClusterError: the cluster does not answer.
        """
        for path in (*(() if self._is_bare else (paths.jobs,)), paths.config_maps):
            self._delete(path(self._cluster.namespace, run_object_name(run)))

    def remove_orphans(self) -> list[str]:
        """Delete what this user's runs have left; return the kinds and names of it.

        Raises:
            ClusterError: the cluster does not answer.
        """
        own, now, space = {MANAGED_BY: MANAGER, USER: user_label()}, time.time(), self._cluster.namespace
        runs = (selector({**own, ROLE: RUN_ROLE}), max(_LONG, _UNRENEWED * self._lease))
        probes = (f"{selector(own)},{PROBE}", math.ceil(PATIENCE) + _LONG)
        searches = [("ConfigMap", paths.config_maps(space), *runs)]
        jobs = () if self._is_bare else (("Job", paths.jobs),)
        kinds = (*jobs, ("Pod", paths.pods), ("Secret", paths.secrets))
        searches += [(kind, path(space), *probes) for kind, path in kinds]
        removed = []
        for kind, path, chosen, patience in searches:
            for made in self._found(path, chosen):
                if is_orphan(made, now, patience):
                    self._delete(f"{path}/{made['metadata']['name']}")
                    removed.append(f"{kind} {made['metadata']['name']}")
        return removed

    def _found(self, path: str, chosen: str) -> Sequence[Mapping[str, Any]]:
        """Return the objects that *chosen* selects; none of those that this user may not list, such as Secrets."""
        try:
            return self._cluster.list_all(path, chosen).items
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            logger.info("not looked for: %s", error)
            return ()

    def _delete(self, path: str) -> None:
        """Delete an object with what it owns; one that is gone is no error."""
        try:
            self._cluster.request("DELETE", path, query={"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
