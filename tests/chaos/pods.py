"""Pods of a soak in a namespace of a cluster of its own: the driver has the documented Role there, and no more."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from cnflow.config import KubernetesProvider
from tests.faults.kubernetes_run import kubeconfig_of_account
from tests.services.kubernetes_cluster import SERVICES, Cluster, own_cluster

BLOCKS = 3
OWN = {"ServiceAccount", "Role", "RoleBinding", "ResourceQuota"}
"""Kinds of what the soak itself makes in the namespace."""

ARGUMENTS = {"API_ARGUMENTS": "--etcd-compaction-interval=5s"}
"""The API server forgets the history of objects soon, so that watches expire."""


class Pods:
    """Namespace in which blocks of the soak run.

    Attributes:
        cluster: the cluster.
        namespace: in which the driver has a Role.
        role: manifest of that.
    """

    def __init__(self, cluster: Cluster, namespace: str, image: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._image = image
        folder.mkdir(parents=True, exist_ok=True)
        self._kubeconfig, self.role = kubeconfig_of_account(cluster, namespace, folder)

    def provider(self, shared: Path) -> KubernetesProvider:
        """Provider of small pods that see the folder *shared* as ``/shared``."""
        return KubernetesProvider(
            kubeconfig=self._kubeconfig,
            namespace=self.namespace,
            image=self._image,
            init_cpu=0.05,
            init_mem="64Mi",
            init_blocks=BLOCKS,
            max_blocks=BLOCKS,
            termination_grace=5,
            volumes=[f"host_path:{shared}:/shared"],
        )

    def running(self) -> list[dict]:
        """Pods of blocks that run and are not being deleted; none while the API server does not respond."""
        arguments = ("get", "pods", "--namespace", self.namespace, "-l", "cnflow.org/block", "-o", "json")
        try:
            found = json.loads(self.cluster.kubectl(*arguments, check=False))["items"]
        except ValueError:
            return []
        return [
            pod
            for pod in found
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def kubectl(self, *arguments: str, text: str = "") -> None:
        """Run kubectl in the namespace; nothing happens where the API server does not respond."""
        self.cluster.kubectl("--namespace", self.namespace, *arguments, text=text, check=False)

    def left(self) -> set[tuple[str, str]]:
        """Kinds and names of objects that the run has left."""
        return {each for each in self.cluster.objects(self.namespace) if each[0] not in OWN}


@contextlib.contextmanager
def pods_of_an_own_cluster(folder: Path, image: str) -> Iterator[Pods]:
    """Start a cluster with *image* for a soak; its faults would disturb others."""
    with own_cluster(SERVICES / "kubernetes" / "chaos", 8, **ARGUMENTS) as cluster:
        cluster.load_image(image)
        with cluster.namespace() as namespace:
            yield Pods(cluster, namespace, image, folder)
