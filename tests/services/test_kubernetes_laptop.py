"""A script on a laptop that reaches the API server of a cluster and nothing else, whose tasks run in pods there."""

import json
import os
import signal
import time

import pytest

from tests.services.laptop import SCRIPT, IsolatedLaptop

pytestmark = [pytest.mark.kubernetes, pytest.mark.root, pytest.mark.timeout(300)]

API_PORT = 16443
RUNS = "/runs"


@pytest.fixture
def laptop(tmp_path, cluster):
    host = cluster.server.rpartition(":")[0].removeprefix("https://")
    made = IsolatedLaptop(tmp_path, host, API_PORT)
    yield made
    made.close()


@pytest.fixture
def settings(cluster, namespace, pod_image, tmp_path):
    """Options of an executor whose blocks are pods."""
    folder = tmp_path / "runs"
    folder.mkdir()
    provider = {
        "kind": "kubernetes",
        "kubeconfig": cluster.kubeconfig,
        "namespace": namespace,
        "pull": "never",
        "init_cpu": 0.2,
        "volumes": [f"host_path:{folder}:{RUNS}"],
        "environment": {"RUNS": f"{RUNS}/numbers"},
    }
    return {
        "label": "pods",
        "provider": provider,
        "image": pod_image,
        "max_workers": 1,
        "heartbeat_period": 1,
        "heartbeat_threshold": 15,
    }


@pytest.fixture
def numbers(tmp_path):
    """Numbers of the tasks that have run, sorted."""
    return lambda: sorted(map(int, (tmp_path / "runs" / "numbers").read_text().split()))


def interchange_pods(cluster, namespace):
    found = cluster.get("pods", "-l", "cnflow.org/role=interchange", namespace=namespace)
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def cut_by(fault, laptop, cluster, namespace):
    """Cut the laptop off from its interchange."""
    if fault == "killed":
        for process in laptop.commands_in_pods():
            os.kill(process, signal.SIGKILL)
    elif fault == "reset":
        laptop.node.reset()
    elif fault == "asleep":
        laptop.sleep()
        time.sleep(8)
        laptop.wake()
    else:
        (pod,) = interchange_pods(cluster, namespace)
        cluster.kubectl("delete", "pod", pod, "-n", namespace, "--wait=false", "--grace-period=0", "--force")


def test_laptop_reaches_the_api_server_and_nothing_else(laptop, cluster):
    host = cluster.server.rpartition(":")[0].removeprefix("https://")
    assert laptop.can_reach(API_PORT, host)
    assert not laptop.can_reach(10250, host)
    assert not laptop.can_reach(443, "10.96.0.1")


@pytest.mark.parametrize("fault", ["killed", "asleep", "pod deleted"])
def test_tasks_survive_the_loss_of_the_connection(laptop, settings, cluster, namespace, numbers, fault):
    with laptop.start(SCRIPT, settings) as driver:
        _, _, pod = json.loads(driver.stdout.readline())
        assert driver.stdout.readline() == "submitted\n"
        time.sleep(0.7)
        cut_by(fault, laptop, cluster, namespace)
        results = json.loads(driver.stdout.readline())
        assert [number for number, *_ in results] == list(range(40))
        assert {each for *_, each in results} == {pod}, "the block was not replaced"
    assert driver.returncode == 0
    assert numbers() == list(range(-1, 40)), "each task ran once"
    assert not cluster.objects(namespace)


def test_killed_laptop_leaves_nothing_in_the_cluster_after_the_timeout(laptop, settings, cluster, namespace, until):
    settings["provider"]["lease_duration"] = 30
    with laptop.start(SCRIPT, {**settings, "detached_timeout": 5}) as driver:
        driver.stdout.readline()
        assert interchange_pods(cluster, namespace)
        for process in laptop.node.pids():
            os.kill(process, signal.SIGKILL)
    until(lambda: not cluster.objects(namespace), 120)


def test_laptop_that_sleeps_for_longer_than_the_timeout_starts_anew_when_it_wakes(
    laptop, settings, cluster, namespace, until
):
    settings["provider"]["lease_duration"] = 30
    with laptop.start(SCRIPT, {**settings, "detached_timeout": 5}, seconds=1) as driver:
        _, _, pod = json.loads(driver.stdout.readline())
        assert driver.stdout.readline() == "submitted\n"
        for process in laptop.node.pids():
            os.kill(process, signal.SIGSTOP)
        until(lambda: not cluster.objects(namespace), 120)
        for process in laptop.node.pids():
            os.kill(process, signal.SIGCONT)
        results = json.loads(driver.stdout.readline())
        assert [number for number, *_ in results] == list(range(40))
        assert {each for *_, each in results} != {pod}, "some ran in another pod"
    assert driver.returncode == 0
