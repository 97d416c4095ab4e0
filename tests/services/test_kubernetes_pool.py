"""A pool server whose blocks are the pods of a Deployment of a real cluster; the tests of the chart install one."""

import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.cli.engine import build_capsule
from cnflow.config.existing_pool import ExistingPool
from cnflow.errors import BlockError, ConfigurationError
from cnflow.executors import HighThroughputExecutor
from cnflow.worker_pool.deployments import client_secrets
from tests.conftest import OWN_MINOR
from tests.waiting import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

wait_for = functools.partial(wait_until, timeout=90.0, period=0.3)

LABELS = {"cnflow.org/release": "demo", "cnflow.org/pool": "main"}


@python_app
def work(number, seconds):
    import os
    import time

    time.sleep(seconds)
    return number, os.uname().nodename


def deployment(image, capsule):
    container = {
        "name": "cnflow",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "/capsule/cnflow/manager/__main__.py", "/etc/cnflow/settings"],
        "resources": {"requests": {"cpu": "10m"}},
        "volumeMounts": [
            {"name": "capsule", "mountPath": "/capsule", "readOnly": True},
            {"name": "settings", "mountPath": "/etc/cnflow", "readOnly": True},
        ],
    }
    volumes = [
        {"name": "capsule", "hostPath": {"path": str(capsule)}},
        {"name": "settings", "secret": {"secretName": "demo-main", "items": [{"key": "settings", "path": "settings"}]}},
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "demo-main"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"terminationGracePeriodSeconds": 20, "containers": [container], "volumes": volumes},
            },
        },
    }


def empty(kind, name):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


class PoolOfPods:
    """A server on this machine, and its Deployment in a namespace."""

    def __init__(self, cluster, namespace, folder, ports, idle):
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.port = ports[1]
        settings = {
            "listen": "0.0.0.0",
            "max_idletime": idle,
            "release": {
                "name": "demo",
                "namespace": namespace,
                "keys_secret": "demo-keys",
                "clients_config_map": "demo-clients",
                "pools_config_map": "demo-pools",
            },
            "pools": [
                {
                    "name": "main",
                    "address": cluster.host,
                    "managers_port": ports[0],
                    "clients_port": ports[1],
                    "max_workers": 2,
                    "heartbeat_period": 2,
                    "heartbeat_threshold": 20,
                    "deployment": {"name": "demo-main", "secret": "demo-main", "max_replicas": 3, "cores": 2},
                }
            ],
        }
        (folder / "pool.json").write_text(json.dumps(settings))

    def start(self):
        variables = {**os.environ, "KUBECONFIG": self.cluster.kubeconfig}
        command = [sys.executable, "-m", "cnflow.cli", "pool", "start", "pool", "--config", "pool.json"]
        done = subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr

    def status(self):
        command = [sys.executable, "-m", "cnflow.cli", "pool", "status", "pool", "--json"]
        return json.loads(subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout)

    def blocks(self):
        return self.status()["pools"][0]["blocks"]

    def stop(self):
        command = [sys.executable, "-m", "cnflow.cli", "pool", "stop", "pool"]
        subprocess.run(command, cwd=self.folder, capture_output=True, check=True)

    def pods(self):
        return [
            pod
            for pod in self.cluster.get("pods", namespace=self.namespace)
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def key(self, client):
        file = self.folder / f"{client}.json"
        if not file.exists():
            file.write_bytes(client_secrets.issue(f"kubernetes://{self.namespace}/demo", client).to_json())
        return file

    @contextlib.contextmanager
    def driver(self, client):
        provider = ExistingPool(f"tcp://{self.cluster.host}:{self.port}", key=str(self.key(client)))
        executor = HighThroughputExecutor(provider=provider, heartbeat_period=2, heartbeat_threshold=20)
        with cnflow.load(Config(executors=[executor], run_dir=str(self.folder / "runs"))):
            yield


@pytest.fixture
def unused_ports():
    """Two TCP ports that nothing listens at."""
    with socket.socket() as first, socket.socket() as second:
        for end in (first, second):
            end.bind(("", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture
def make_pool(cluster, namespace, pod_image, tmp_path, monkeypatch, unused_ports):
    """Make a pool whose pods stay *idle* seconds without a task."""
    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig)
    pools = []

    def make(idle):
        capsule = tmp_path / "capsule"
        build_capsule(OWN_MINOR, "", "glibc", capsule)
        names = [("Secret", "demo-keys"), ("Secret", "demo-main"), ("ConfigMap", "demo-clients")]
        objects = [empty(*each) for each in (*names, ("ConfigMap", "demo-pools"))]
        for each in (*objects, deployment(pod_image, capsule)):
            each["metadata"]["namespace"] = namespace
            cluster.apply(each)
        pool = PoolOfPods(cluster, namespace, tmp_path, unused_ports, idle)
        pool.start()
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.stop()


def test_pods_come_with_the_tasks_and_go_without_them(make_pool):
    pool = make_pool(idle=3)
    wait_for(lambda: not pool.pods())  # the chart's first one
    with pool.driver("ada"):
        results = [future.result() for future in [work(number, 0.2) for number in range(60)]]
        hosts = {host for _, host in results}
        assert sum(number for number, _ in results) == sum(range(60))
        assert len(hosts) > 1
    assert "is to have 3 pods" in (pool.folder / "pool" / "server.log").read_text()
    wait_for(lambda: not pool.pods())
    assert pool.cluster.get("deployment", "demo-main", namespace=pool.namespace)[0]["spec"]["replicas"] == 0


def test_tasks_outlive_a_killed_server_a_deleted_pod_and_a_new_template(make_pool):
    pool = make_pool(idle=60)
    with pool.driver("ada"):
        futures = [work(number, 0.5) for number in range(150)]
        wait_for(lambda: sum(future.done() for future in futures) > 10)
        before = {pod["metadata"]["name"] for pod in pool.pods()}
        os.kill(pool.status()["pid"], signal.SIGKILL)
        pool.start()
        assert {pod["metadata"]["name"] for pod in pool.pods()} >= before
        assert not any(status["restartCount"] for pod in pool.pods() for status in pod["status"]["containerStatuses"])
        done = sum(future.done() for future in futures)
        wait_for(lambda: sum(future.done() for future in futures) > done)
        pool.cluster.kubectl("-n", pool.namespace, "delete", "pod", pool.pods()[0]["metadata"]["name"], "--wait=false")
        pool.cluster.kubectl("-n", pool.namespace, "set", "env", "deployment/demo-main", "NEW=1")
        assert [future.result(timeout=120)[0] for future in futures] == list(range(150))


def test_pod_that_fits_no_node_is_reported_in_the_words_of_the_scheduler(make_pool):
    pool = make_pool(idle=60)
    patch = [{"op": "add", "path": "/spec/template/spec/nodeSelector", "value": {"no": "node"}}]
    pool.cluster.kubectl("-n", pool.namespace, "patch", "deployment/demo-main", "--type=json", "-p", json.dumps(patch))
    blocks = wait_for(
        lambda: [block for block in pool.status()["pools"][0]["blocks"] if "Unschedulable" in block["message"]]
    )
    assert "didn't match" in blocks[0]["message"]


def test_key_of_a_release_is_a_secret_that_the_release_owns_and_ends_with_its_revocation(make_pool):
    pool = make_pool(idle=60)
    address = f"kubernetes://{pool.namespace}/demo"
    client_secrets.issue(address, "ada")
    [secret] = pool.cluster.get("secret", "demo-client-ada", namespace=pool.namespace)
    assert [owner["name"] for owner in secret["metadata"]["ownerReferences"]] == ["demo-clients"]
    file = pool.folder / "pool" / "clients" / "ada.key"
    wait_for(file.exists)
    with pytest.raises(ConfigurationError, match="has a key already, in the Secret 'demo-client-ada'"):
        client_secrets.issue(address, "ada")
    client_secrets.revoke(address, "ada")
    wait_for(lambda: not file.exists())
    assert pool.cluster.get("secret", "demo-client-ada", namespace=pool.namespace) == []
    with pytest.raises(ConfigurationError, match="No client is called 'ada'"):
        client_secrets.revoke(address, "ada")


def test_release_that_is_not_there_is_named_with_the_command_that_lists_releases(cluster, namespace, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig)
    with pytest.raises(ConfigurationError, match=rf"no ConfigMap 'demo-clients'.*helm list -n {namespace}"):
        client_secrets.issue(f"kubernetes://{namespace}/demo", "ada")
    with pytest.raises(ConfigurationError, match="names no release"):
        client_secrets.issue("kubernetes://demo", "ada")


def patch_pods(pool, *changes):
    patch = [{"op": "add", "path": f"/spec/template/spec/{path}", "value": value} for path, value in changes]
    pool.cluster.kubectl("-n", pool.namespace, "patch", "deployment/demo-main", "--type=json", "-p", json.dumps(patch))


def test_image_that_cannot_be_pulled_fails_its_drivers_in_words_until_it_is_mended(make_pool, pod_image):
    pool = make_pool(idle=1)
    wait_for(lambda: not pool.pods())
    nowhere = "127.0.0.1:1/app:1"  # refused at once; a name would wait for a DNS, which may be slow or out of order
    patch_pods(pool, ("containers/0/image", nowhere), ("containers/0/imagePullPolicy", "Always"))
    with pool.driver("ada"), pytest.raises(BlockError) as refused:
        work(1, 0.0).result(timeout=120)
    assert "has no worker, and gets none until that is mended: pod demo-main-" in str(refused.value)
    assert re.search(r"Err|Back-?Off", str(refused.value))
    patch_pods(pool, ("containers/0/image", pod_image), ("containers/0/imagePullPolicy", "Never"))
    wait_for(lambda: not any("Err" in block["message"] or "Back" in block["message"] for block in pool.blocks()))
    time.sleep(2)  # its server looks every half a second
    with pool.driver("ada"):
        assert work(2, 0.0).result(timeout=120)[0] == 2


def test_pod_that_fits_no_node_is_a_warning_of_its_drivers_and_a_sentence_of_explain(make_pool, caplog):
    pool = make_pool(idle=1)
    wait_for(lambda: not pool.pods())
    patch_pods(pool, ("nodeSelector", {"no": "node"}))
    with pool.driver("ada"):
        future = work(1, 0.0)
        wait_for(lambda: "has no worker; tasks wait: pod demo-main-" in caplog.text)
        assert "Unschedulable" in caplog.text
        assert "Its pool has no worker: pod demo-main-" in cnflow.dfk().explain(future.tid)
        patch_pods(pool, ("nodeSelector", {}))
        assert future.result(timeout=90)[0] == 1
