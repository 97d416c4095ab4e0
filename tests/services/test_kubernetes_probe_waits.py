"""Probes of images on the real cluster that wait in vain, have unknown fields, or lose their driver."""

import threading
import time

import pytest

from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockError, BlockRejectedError, ImageNotFoundError
from cnflow.model.image import Image
from cnflow.providers.kubernetes.provider import KubernetesBackend
from tests.services.kubernetes_cluster import wait_until

pytestmark = pytest.mark.kubernetes

NOWHERE = {"node_selector": {"disk": "absent"}}


@pytest.fixture
def backend_with(cluster, namespace):
    """Makes a provider with options; closes it after the test."""
    made = []

    def make(**options):
        backend = KubernetesBackend(KubernetesProvider(kubeconfig=cluster.kubeconfig, namespace=namespace, **options))
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.close()


def probes(cluster, namespace):
    return [one["metadata"]["name"] for one in cluster.get("jobs", namespace=namespace)]


def test_gpus_that_no_node_has_are_refused_within_seconds(backend_with, cluster, namespace, pod_image):
    started = time.monotonic()
    with pytest.raises(BlockRejectedError, match=r"No node of the cluster has nvidia\.com/gpu"):
        backend_with(gpus=1).prepare(Image(pod_image))
    assert time.monotonic() - started < 30
    assert not probes(cluster, namespace)


def test_image_of_the_nodes_own_registry_is_refused_within_seconds(backend_with):
    started = time.monotonic()
    with pytest.raises(ImageNotFoundError, match="localhost is looked for on the node itself"):
        backend_with().prepare(Image("localhost/absent:1"))
    assert time.monotonic() - started < 40


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"patch": {"spec": {"dnsPolici": "Default"}}}, r"template\.spec\.dnsPolici"),
        ({"affinity": {"nodeAffinitie": {}}}, r"affinity\.nodeAffinitie"),
    ],
)
def test_field_that_the_server_does_not_know_is_refused(backend_with, pod_image, options, field):
    with pytest.raises(BlockRejectedError, match=f"unknown field .*{field}.*\n.*patch="):
        backend_with(**options).prepare(Image(pod_image))


def test_probe_without_its_driver_ends_with_the_lease(backend_with, cluster, namespace, pod_image):
    backend = backend_with(lease_duration=30, **NOWHERE)
    ends = []

    def prepare():
        try:
            backend.prepare(Image(pod_image))
        except BlockError as error:
            ends.append(str(error))

    waiting = threading.Thread(target=prepare)
    waiting.start()
    wait_until(lambda: cluster.get("jobs", namespace=namespace))
    (job,) = cluster.get("jobs", namespace=namespace)
    assert job["spec"]["activeDeadlineSeconds"] == 30
    wait_until(lambda: cluster.get("jobs", namespace=namespace)[0]["spec"]["activeDeadlineSeconds"] > 30)
    backend.interrupt()
    waiting.join(timeout=30)
    assert ends == [f"The run ends before image {pod_image!r} was looked at."]
    wait_until(lambda: not probes(cluster, namespace))
