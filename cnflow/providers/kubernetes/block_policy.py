"""NetworkPolicy of the blocks of one executor, on request: managers connect to the interchange, nobody to them. No I/O.

::

    network_policy=True ──> policy of the blocks: no connection comes in ── owned by the run's object
                        └─> policy of the interchange, where that is a pod: see `interchange_pod.policies_of`

https://kubernetes.io/docs/concepts/services-networking/network-policies/: only some networks enforce it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.providers.kubernetes.names import BLOCK, object_name, run_labels, user_label
from cnflow.providers.kubernetes.requests import patched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.ids import RunId


def policy_name(run: RunId, executor: str) -> str:
    """Return the name of the policy."""
    return object_name(f"cnflow-{run}-{executor}-blocks")


def policy_of_blocks(
    run: RunId, executor: str, settings: KubernetesProvider, owner: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the policy by which nobody connects to the blocks of *executor*."""
    blocks = {
        "matchLabels": run_labels(run, executor),
        "matchExpressions": [{"key": BLOCK, "operator": "Exists"}],
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": policy_name(run, executor),
            "labels": run_labels(run, executor, user_label()),
            "ownerReferences": [dict(owner)],
        },
        "spec": {"podSelector": blocks, "policyTypes": ["Ingress"]},
    }
    return patched(policy, settings)
