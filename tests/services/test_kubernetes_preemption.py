"""Pods that are taken away from a run: their tasks run elsewhere, without using up a retry."""

import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.executors import HighThroughputExecutor
from tests.services.kubernetes_cluster import wait_until

pytestmark = pytest.mark.kubernetes


@python_app
def nap(seconds):
    import socket
    import time

    time.sleep(seconds)
    return socket.gethostname()


def evict(cluster, namespace, pod):
    eviction = f'{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}"}}}}'
    cluster.kubectl("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", "-f", "-", text=eviction)


def run(cluster, namespace, pod_image, tmp_path, **options):
    provider = KubernetesProvider(
        kubeconfig=cluster.kubeconfig, namespace=namespace, init_cpu="10m", init_blocks=1, max_blocks=1
    )
    executor = HighThroughputExecutor(label="k8s", image=pod_image, provider=provider, interchange="driver", **options)
    return cnflow.load(Config(executors=[executor], retries=0, run_dir=str(tmp_path / "runs")))


def test_evicted_pod_lets_its_task_end_within_the_grace_period(cluster, namespace, pod_image, tmp_path):
    with run(cluster, namespace, pod_image, tmp_path, grace_period=15):
        host = nap(0).result()
        task = nap(4)
        time.sleep(1)
        evict(cluster, namespace, host)
        assert task.result() == host
        assert nap(0).result() != host
    wait_until(lambda: cluster.objects(namespace) == set())


def test_longer_task_of_an_evicted_pod_runs_elsewhere_without_a_retry(cluster, namespace, pod_image, tmp_path):
    with run(cluster, namespace, pod_image, tmp_path, grace_period=1):
        host = nap(0).result()
        task = nap(6)
        time.sleep(1)
        evict(cluster, namespace, host)
        assert task.result() != host
    wait_until(lambda: cluster.objects(namespace) == set())
