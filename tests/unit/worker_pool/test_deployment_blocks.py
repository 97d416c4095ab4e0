"""Orders of a pool whose pods are a Deployment's, while the API server does not answer."""

from types import SimpleNamespace

import pytest

from cnflow.config.worker_pool import WorkerPool
from cnflow.kubernetes_api.errors import ClusterError
from cnflow.wire import messages as msg
from cnflow.worker_pool.deployments.blocks import DeploymentBlocks
from cnflow.worker_pool.deployments.scaling import Forget, MarkFirst, OrderDrain, SetReplicas


class SilentCluster:
    def request(self, method, path, **options):
        raise ClusterError("no answer")


def test_interchange_gets_its_orders_though_the_cluster_does_not_answer():
    orders = []
    settings = WorkerPool(
        image="app:1",
        address="pool",
        clients_port=5001,
        managers_port=5002,
        deployment={"name": "d", "secret": "s", "cores": 1},
    )
    run = SimpleNamespace(strategy="simple", max_idletime=60.0)
    objects = SimpleNamespace(cluster=SilentCluster(), namespace="n")
    blocks = DeploymentBlocks(settings, run, objects, SimpleNamespace(order=orders.append), None)
    with pytest.raises(ClusterError):
        blocks._perform([MarkFirst("a"), SetReplicas(1), OrderDrain("a"), Forget("b")])
    assert orders == [msg.Drain("a"), msg.BlockGone("b", "its pod is gone")]
