"""Faults of nodes and of the API server, on a cluster of their own: no task is lost, no object is left."""

import contextlib
import signal
import time

import pytest

from cnflow.kubernetes_api import reflector
from cnflow.kubernetes_api.errors import GONE
from cnflow.kubernetes_api.object_store import ObjectStore
from tests.faults.kubernetes_run import PodRun, kill_containers
from tests.services.kubernetes_cluster import SERVICES, own_cluster, wait_until

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.root,
    pytest.mark.timeout(900),  # others may have the cluster before
    pytest.mark.xdist_group("a cluster of its own"),
]

QUICK = {
    "API_ARGUMENTS": "--default-not-ready-toleration-seconds=5 --default-unreachable-toleration-seconds=5 "
    "--etcd-compaction-interval=5s",
    "CONTROLLER_ARGUMENTS": "--node-monitor-grace-period=10s --node-monitor-period=2s",
    "KUBELET_SETTINGS": "nodeLeaseDurationSeconds: 8",
}
"""A lost node is noticed within ten seconds, and the history of objects is as short as it gets."""

BLOCKS = {"labelSelector": {"matchExpressions": [{"key": "cnflow.org/block", "operator": "Exists"}]}}
TERM = {**BLOCKS, "topologyKey": "kubernetes.io/hostname"}
APART = {
    "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": TERM}]}
}
"""Spreads blocks over the nodes. Without it the scheduler places small pods that are alike on one node, where a request
is below a percent of the node, as on a machine of many cores."""


@pytest.fixture(scope="module")
def cluster():
    with own_cluster(SERVICES / "kubernetes" / "own", 9, **QUICK) as made:
        yield made


@pytest.fixture(scope="module")
def image(cluster, base_name):
    return cluster.load_image(base_name)


@pytest.fixture
def namespace(cluster):
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def run_in_pods(cluster, namespace, image, tmp_path):
    return lambda **options: PodRun(cluster, namespace, image, tmp_path, **options)


def node_of(run, pod):
    return run.cluster.get("pods", pod, namespace=run.namespace)[0]["spec"]["nodeName"]


def is_unknown(cluster, node):
    conditions = cluster.get("nodes", node)[0]["status"]["conditions"]
    return any(condition["type"] == "Ready" and condition["status"] == "Unknown" for condition in conditions)


def test_drained_node_loses_no_task_and_uses_no_retry(run_in_pods, cluster):
    with run_in_pods(init_blocks=4, max_blocks=4, termination_grace=20, executor={"grace_period": 15}) as run:
        futures = run.submit(150)
        run.wait_for_tasks(8)
        drained = node_of(run, run.pods()[0])
        try:
            cluster.kubectl("drain", drained, "--ignore-daemonsets", "--delete-emptydir-data", "--force")
            run.check(futures)
            assert drained not in {node_of(run, pod) for pod in run.pods()}
            assert set(run.ran().values()) == {1}
        finally:
            cluster.kubectl("uncordon", drained)
    run.expect_nothing_left()


def test_tasks_of_a_lost_node_run_on_the_other(run_in_pods, cluster):
    with run_in_pods(init_blocks=4, max_blocks=4, affinity=APART) as run:
        futures = run.submit(120)
        run.wait_for_tasks(4)
        node = node_of(run, run.pods()[0])
        lost = [pod for pod in cluster.get("pods", namespace=run.namespace) if pod["spec"].get("nodeName") == node]
        cluster.stop(f"{node}-kubelet")
        try:
            for pod in lost:
                kill_containers(pod, signal.SIGKILL)
            run.check(futures)
            wait_until(lambda: is_unknown(cluster, node), timeout=120)
            run.check(run.submit(20))
        finally:
            cluster.start(f"{node}-kubelet")
    run.expect_nothing_left(120)


@contextlib.contextmanager
def no_api_server(cluster):
    cluster.stop("apiserver")
    try:
        yield
    finally:
        cluster.start("apiserver")


@pytest.fixture
def expired(monkeypatch):
    """Grows with each watch that the server refuses, or ends, with 410."""
    answers = []

    class Counted(ObjectStore):
        def on_too_old(self):
            answers.append("refused")
            super().on_too_old()

        def on_event(self, event):
            if event.get("type") == "ERROR" and event["object"].get("code") == GONE:
                answers.append("ended")
            return super().on_event(event)

    monkeypatch.setattr(reflector, "ObjectStore", Counted)
    return answers


def test_restarted_api_server_loses_no_task(run_in_pods, cluster, expired):
    with run_in_pods() as run:
        futures = run.submit(150)
        run.wait_for_tasks(4)
        with no_api_server(cluster):
            before = len(run.ran())
            time.sleep(8)  # past a compaction
            assert len(run.ran()) > before  # pods and interchange need no API server
        wait_until(lambda: expired)  # the version of the watch is gone, and the answer is 410
        pods = run.pods()
        run.kubectl("delete", "pod", *pods, "--wait=false")  # seen by the watch that was made anew
        run.check(futures)
        run.check(run.submit(20))
        assert not set(pods) & set(run.pods())
    run.expect_nothing_left()


def test_pods_that_die_without_an_api_server_are_replaced_afterwards(run_in_pods, cluster):
    with run_in_pods() as run:
        futures = run.submit(200)
        run.wait_for_tasks(4)
        pods = cluster.get("pods", "-l", "cnflow.org/block", namespace=run.namespace)
        with no_api_server(cluster):
            for pod in pods:
                kill_containers(pod, signal.SIGKILL)
            time.sleep(5)
            assert not all(future.done() for future in futures)
        run.check(futures)
    run.expect_nothing_left()


def test_watches_outlive_the_history_of_the_cluster(run_in_pods, cluster):
    with run_in_pods() as run:
        run.check(run.submit(4))
        for number in range(3):  # versions move on, and their history is thrown away every five seconds
            cluster.kubectl("annotate", "namespace", run.namespace, f"cnflow.test/{number}=x")
            time.sleep(4)
        pods = run.pods()
        run.kubectl("delete", "pod", *pods, "--wait=false")
        run.check(run.submit(30))
        wait_until(lambda: run.pods() and not set(pods) & set(run.pods()))
    run.expect_nothing_left()


def test_restarted_controllers_and_scheduler_leave_blocks_alone(run_in_pods, cluster):
    with run_in_pods() as run:
        futures = run.submit(60)
        run.wait_for_tasks(4)
        pods = run.pods()
        cluster.stop("controller-manager", "scheduler")
        cluster.start("controller-manager", "scheduler")
        run.check(futures)
        assert set(pods) == set(run.pods())
        assert set(run.ran().values()) == {1}
    run.expect_nothing_left()
