"""The digits demo in pods of two images: from a driver in a pod, and from a laptop that reaches only the API server."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config
from cnflow.config import KubernetesProvider
from cnflow.config.dump import to_toml
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider
from cnflow.providers.kubernetes.access import needed_rights
from tests.conftest import skip_or_fail
from tests.services.kubernetes_cluster import wait_until
from tests.services.laptop import IsolatedLaptop

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(900)]

DEMO = Path(__file__).parents[2] / "examples" / "digits.py"
SOURCE = Path(cnflow.__file__).parents[1]
IMAGES = ["digits-train:0.1", "digits-predict:0.1"]
DRIVER_IMAGE = "cnflow:0.1.0"


@pytest.fixture(autouse=True)
def _images(engine, cluster):
    """The demo's images, and that of a driver, in the nodes."""
    for name in [*IMAGES, DRIVER_IMAGE]:
        if not engine.images.list(name):
            skip_or_fail("docker", f"No image {name}. Run: make images")
        cluster.load_image(name)


def write(folder, **options):
    """Write the demo's configuration; return its path."""
    pods = KubernetesProvider(pull="never", init_cpu=0.3, max_mem="1Gi", **options)
    executors = [
        HighThroughputExecutor(label="bare", provider=LocalProvider(), max_workers=1),
        HighThroughputExecutor(label="pods", provider=pods, max_workers=1, heartbeat_period=1, heartbeat_threshold=20),
    ]
    file = folder / "pods.toml"
    file.write_text(to_toml(Config(executors=executors)))
    return file


def accuracy_in(output):
    return float(re.search(r"Mean accuracy (\d\.\d+)", output)[1])


def make_account(cluster, namespace):
    """Make a service account with the rights that a driver needs, and no others."""
    metadata = {"name": "driver", "namespace": namespace}
    rights = needed_rights(KubernetesProvider(), hosts_interchange=False)
    rules = [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)} for right in rights
    ]
    role = {"kind": "Role", "name": "driver", "apiGroup": "rbac.authorization.k8s.io"}
    rbac = "rbac.authorization.k8s.io/v1"
    subjects = [{"kind": "ServiceAccount", "name": "driver", "namespace": namespace}]
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": rules},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": subjects},
    )


def driver_pod(namespace, folder):
    """Pod that runs the demo with this checkout's code; the nodes are this machine."""
    mounts = {"source": str(SOURCE), "demo": str(DEMO.parent), "work": str(folder)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "driver", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "driver",
            "securityContext": {"runAsUser": 0},
            "containers": [
                {
                    "name": "driver",
                    "image": DRIVER_IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["python", f"/demo/{DEMO.name}", "/work/pods.toml"],
                    "workingDir": "/work",
                    "env": [{"name": "PYTHONPATH", "value": "/source"}, {"name": "HOME", "value": "/work"}],
                    "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in mounts],
                }
            ],
            "volumes": [{"name": name, "hostPath": {"path": path}} for name, path in mounts.items()],
        },
    }


def test_digits_from_a_driver_in_a_pod(cluster, namespace, tmp_path):
    write(tmp_path)
    make_account(cluster, namespace)
    cluster.apply(driver_pod(namespace, tmp_path))

    def phase():
        (pod,) = cluster.get("pod", "driver", namespace=namespace)
        return pod["status"]["phase"] if pod["status"]["phase"] in {"Succeeded", "Failed"} else None

    ended = wait_until(phase, 600)
    output = cluster.kubectl("logs", "driver", "-n", namespace)
    assert ended == "Succeeded", output
    assert accuracy_in(output) > 0.95
    left = {(kind, name) for kind, name in cluster.objects(namespace) if name != "driver"}
    assert not left
    assert "interchange" not in output


@pytest.mark.root
def test_digits_from_a_laptop_whose_connection_is_killed(cluster, namespace, tmp_path, until):
    host = cluster.server.rpartition(":")[0].removeprefix("https://")
    laptop = IsolatedLaptop(tmp_path, host, int(cluster.server.rpartition(":")[2]))
    try:
        config = write(tmp_path, kubeconfig=cluster.kubeconfig, namespace=namespace)
        with laptop.run([sys.executable, str(DEMO), str(config)], stderr=subprocess.STDOUT) as driver:
            until(lambda: len(laptop.commands_in_pods()) == 2 or driver.poll() is not None, 400)
            for _ in range(4):
                for process in laptop.commands_in_pods():
                    os.kill(process, signal.SIGKILL)
                time.sleep(1)
            output, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, output
        assert accuracy_in(output) > 0.95
        assert not cluster.objects(namespace)
    finally:
        laptop.close()
