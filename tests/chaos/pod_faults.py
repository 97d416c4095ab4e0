"""Faults of pods, nodes and the API server of a cluster; see `faults`."""

import os
import random
import signal
from collections.abc import Callable

from faults import Fault, Strike
from pods import Pods
from world import World

from tests.faults.kubernetes_run import kill_containers

QUOTA = '{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}'


def _at_random_pod(strike: Callable[[World, Pods, dict], None]) -> Strike:
    """Return a strike at the pod of a block chosen at random."""

    def draw(world: World, chance: random.Random) -> "list[int] | None":
        running = world.pods.running() if world.pods else []
        if not running:
            return None
        pod = chance.choice(running)
        tasks = world.tasks_at(host=pod["metadata"]["name"])
        strike(world, world.pods, pod)
        return tasks

    return draw


def _delete(*how: str) -> Callable[[World, Pods, dict], None]:
    def strike(_: World, pods: Pods, pod: dict) -> None:
        pods.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false", *how)

    return strike


def _delete_job(_: World, pods: Pods, pod: dict) -> None:
    job = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", "")
    pods.kubectl("delete", "job", job, "--wait=false")


def _drain(world: World, pods: Pods, pod: dict) -> None:
    node = pod["spec"]["nodeName"]
    pods.kubectl("drain", node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=10s")
    world.schedule(world.threshold, lambda: pods.kubectl("uncordon", node))


def _suspend_kubelet(world: World, pods: Pods, pod: dict) -> None:
    kubelet = pods.cluster.pids(f"{pod['spec']['nodeName']}-kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    world.schedule(2 * world.threshold, lambda: os.kill(kubelet, signal.SIGCONT))


def _at_the_cluster(strike: Callable[[World, Pods], None]) -> Strike:
    """Return a strike at what all pods have in common."""

    def draw(world: World, _: random.Random) -> "list[int] | None":
        if not world.pods:
            return None
        names = [pod["metadata"]["name"] for pod in world.pods.running()]
        tasks = [task for name in names for task in world.tasks_at(host=name)]
        strike(world, world.pods)
        return tasks

    return draw


def _fill_quota(world: World, pods: Pods) -> None:
    pods.kubectl("apply", "-f", "-", text=QUOTA)
    world.schedule(world.threshold, lambda: pods.kubectl("delete", "resourcequota", "full", "--ignore-not-found"))


def _revoke_rights(world: World, pods: Pods) -> None:
    pods.kubectl("delete", "rolebinding", "cnflow", "--ignore-not-found")
    world.schedule(world.threshold, lambda: pods.kubectl("apply", "-f", "-", text=pods.role))


def _restart_api_server(_: World, pods: Pods) -> None:
    pods.cluster.stop("apiserver")
    pods.cluster.start("apiserver")


POD_FAULTS = [
    Fault("a pod is deleted by hand", _at_random_pod(_delete()), 4),
    Fault("a pod is deleted without grace", _at_random_pod(_delete("--grace-period=0", "--force")), 3),
    Fault(
        "a pod's containers are killed (signal 9)",
        _at_random_pod(lambda _, __, pod: kill_containers(pod, signal.SIGKILL)),
        4,
    ),
    Fault("the Job of a block is deleted", _at_random_pod(_delete_job), 2),
    Fault("a node is drained", _at_random_pod(_drain), 1),
    Fault("a kubelet is suspended for twice the threshold", _at_random_pod(_suspend_kubelet), 1),
    Fault("a quota leaves no room for pods", _at_the_cluster(_fill_quota), 1),
    Fault("the driver's rights in the cluster are revoked for a while", _at_the_cluster(_revoke_rights), 1),
    Fault("the API server restarts, and watches expire", _at_the_cluster(_restart_api_server), 1),
]
