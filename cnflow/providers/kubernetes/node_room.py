"""Room on the nodes of a cluster: a pod that asks for more than the largest of them has waits in vain.

::

    pod without a node ──> what it asks for ──┐
    nodes ──> allocatable, each resource ─────┴─> `lack_of`: "cpu: it asks for 500, and no node has more than 2"
       └── nodes of a cloud, or none at all: an autoscaler may bring larger ones, nothing follows
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import ApiError
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.kubernetes_api.cluster import Cluster

logger = logging.getLogger(__name__)

_PERIOD = Seconds(30.0)

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"([0-9.]+(?:[eE][-+]?[0-9]+)?)([A-Za-z]*)")
_UNITS = {
    "": 1.0,
    **{unit: 1000.0**power for power, unit in enumerate("numk", -3) if unit != "k"},
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)},
}

_OWN_MACHINES = ("kind://", "k3s://")
"""Schemes of ``providerID`` that stand for no cloud."""


def quantity(text: object) -> float:
    """Return the number that a quantity of the API stands for: ``"500m"`` is 0.5.

    Raises:
        ValueError: *text* is none.
    """
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _UNITS[found[2]]


def requests_of(pod: Mapping[str, Any]) -> dict[str, float]:
    """Return what the scheduler finds room for: the sum of the containers, or more for an init container."""
    spec = pod["spec"]
    together: dict[str, float] = dict(_numbers(spec.get("overhead") or {}))
    beside = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *beside]:
        for name, amount in _requests(container).items():
            together[name] = together.get(name, 0.0) + amount
    for container in spec.get("initContainers") or ():
        for name, amount in _requests(container).items():
            together[name] = max(together.get(name, 0.0), amount)
    return together


def lack_of(pod: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return why none of *nodes* could hold *pod*, were it empty; nothing if one could, or larger ones may come."""
    if not nodes or any(_may_grow(node) for node in nodes):
        return ""
    rooms = [_numbers((node.get("status") or {}).get("allocatable") or {}) for node in nodes]
    wanted = requests_of(pod)
    if any(all(room.get(name, 0.0) >= amount for name, amount in wanted.items()) for room in rooms):
        return ""
    largest = {name: max(room.get(name, 0.0) for room in rooms) for name in wanted}
    lacking = [name for name, amount in wanted.items() if largest[name] < amount]
    if not lacking:
        return "no node of the cluster has as much of all that the pod asks for together"
    return "; ".join(
        f"no node of the cluster has {name}"
        if not largest[name]
        else f"the pod asks for {wanted[name]:g} of {name}, and no node of the cluster has more than {largest[name]:g}"
        for name in lacking
    )


def _may_grow(node: Mapping[str, Any]) -> bool:
    cloud = str((node.get("spec") or {}).get("providerID") or "")
    return bool(cloud) and not cloud.startswith(_OWN_MACHINES)


def _requests(container: Mapping[str, Any]) -> dict[str, float]:
    resources = container.get("resources") or {}
    return _numbers({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _numbers(amounts: Mapping[str, Any]) -> dict[str, float]:
    return {name: quantity(amount) for name, amount in amounts.items()}


class NodeRoom:
    """Nodes of a cluster, listed when a pod has none.

    Args:
        cluster: connected.
        clock: source of time.
    """

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._listed_at: Seconds | None = None
        self._nodes: Sequence[Mapping[str, Any]] = ()

    def lack_of(self, pod: Mapping[str, Any]) -> str:
        """Return why no node can ever hold *pod*; nothing for users who may not list nodes."""
        now = self._clock.now()
        if self._listed_at is None or now - self._listed_at >= _PERIOD:
            self._listed_at = now
            try:
                self._nodes = self._cluster.list_all(paths.nodes()).items
            except ApiError as error:
                logger.debug("nodes may not be listed: %s", error)
        return lack_of(pod, self._nodes)
