"""A run in pods under faults: its tasks append to a ledger on the nodes' disk, which all nodes of the testbed share.

::

    PodRun.submit(count) ──> tasks in pods ──> ledger: "begin N POD", "end N POD"
       │                                          └── ran(number): tries that ended
       ├── block_pods(), jobs() ── what a fault strikes at
       └── check(results) ── every result is right, nothing is left
"""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import cnflow
from cnflow import Config, python_app
from cnflow.config import KubernetesProvider
from cnflow.executors import HighThroughputExecutor
from cnflow.providers.kubernetes.access import needed_rights, role_manifest
from tests.services.kubernetes_cluster import wait_until

LEDGER = "/ledger"
"""Folder of the ledger in pods."""


@python_app
def recorded(number, seconds):
    """Sleep for *seconds* between two lines of the ledger; return the square of *number*."""
    import os
    import socket
    import time

    def line(event):
        file = os.open("/ledger/lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(file, f"{event} {number} {socket.gethostname()}\n".encode())
        os.close(file)

    line("begin")
    time.sleep(seconds)
    line("end")
    return number * number


class PodRun:
    """A run whose blocks are pods of a namespace. A context manager.

    Args:
        cluster: of the tests.
        namespace: of the pods.
        image: image with Python that the nodes have.
        folder: for the run.
        kubeconfig: path; None is the administrator's.
        executor: options of the executor.
        provider: options of the provider.
    """

    def __init__(self, cluster, namespace, image, folder, *, kubeconfig=None, executor=None, **provider):
        self.cluster = cluster
        self.namespace = namespace
        self.ledger = Path(tempfile.mkdtemp(prefix="cnflow-ledger-"))  # hostPath: the nodes' disk is this machine's
        self.ledger.chmod(0o777)
        wanted = {"init_cpu": 0.05, "init_mem": "64Mi", "init_blocks": 2, "max_blocks": 2, "termination_grace": 5}
        volumes = [f"host_path:{self.ledger}:{LEDGER}", *provider.pop("volumes", [])]
        self.provider = KubernetesProvider(
            kubeconfig=kubeconfig or cluster.kubeconfig,
            namespace=namespace,
            image=image,
            volumes=volumes,
            **{**wanted, **provider},
        )
        timing = {"heartbeat_period": 1, "heartbeat_threshold": 6, "interchange": "driver", "address": cluster.host}
        own = {"max_workers": 1, "cores_per_worker": 0.05, **timing, **(executor or {})}
        self.config = Config(
            executors=[HighThroughputExecutor(label="pods", provider=self.provider, **own)],
            run_dir=str(Path(folder) / "runinfo"),
            initialize_logging=True,
        )

    def __enter__(self):
        self.dfk = cnflow.load(self.config).__enter__()
        return self

    def __exit__(self, *error):
        try:
            self.dfk.__exit__(*error)
        finally:
            shutil.rmtree(self.ledger, ignore_errors=True)

    def submit(self, count, seconds=0.3):
        return [recorded(number, seconds) for number in range(count)]

    def lines(self):
        """Lines of the ledger, as lists of words."""
        file = self.ledger / "lines"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def ran(self):
        """Count of finished tries of each task."""
        ended = [int(number) for event, number, _ in self.lines() if event == "end"]
        return {number: ended.count(number) for number in ended}

    def wait_for_tasks(self, count=1, timeout=90.0):
        """Wait until *count* tasks have ended in pods."""
        wait_until(lambda: len(self.ran()) >= count, timeout)

    def pods(self, phase="Running"):
        """Names of the blocks' pods in *phase* that are not being deleted."""
        selector = ["-l", "cnflow.org/block"]
        return [
            pod["metadata"]["name"]
            for pod in self.cluster.get("pods", *selector, namespace=self.namespace)
            if pod["status"]["phase"] == phase and "deletionTimestamp" not in pod["metadata"]
        ]

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, **options)

    def check(self, futures, timeout=180.0):
        """Every task has its result, and each was reported once."""
        deadline = time.monotonic() + timeout
        values = [future.result(max(1.0, deadline - time.monotonic())) for future in futures]
        assert values == [number * number for number in range(len(futures))]

    def expect_nothing_left(self, timeout=60.0):
        """The namespace has what a fresh one has, once the cluster has removed what was deleted."""
        expect_nothing_left(self.cluster, self.namespace, timeout)


def expect_nothing_left(cluster, namespace, timeout=60.0):
    """Fail unless *namespace* is as a fresh one within *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while (left := cluster.objects(namespace)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left


def containers_of(pod):
    """Processes of a pod of this machine's nodes, by its uid in their control groups."""
    uid = pod["metadata"]["uid"]
    folders = Path("/sys/fs/cgroup/pids").glob(f"cnkube*/**/*{uid}*")
    return {int(pid) for folder in folders for file in folder.rglob("cgroup.procs") for pid in file.read_text().split()}


def kill_containers(pod, number):
    """Send a signal to all processes of a pod, as a kernel without memory would."""
    for pid in containers_of(pod):
        if Path(f"/proc/{pid}/comm").read_text().strip() != "pause":
            os.kill(pid, number)


def kubeconfig_of_account(cluster, namespace, folder):
    """A kubeconfig with the token of a service account that has the rights of `role_manifest` alone, and that Role."""
    settings = KubernetesProvider(namespace=namespace)
    role = role_manifest(namespace, needed_rights(settings, hosts_interchange=True))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cnflow", "namespace": namespace}}
    cluster.apply(account)
    cluster.kubectl("apply", "-f", "-", text=role)
    token = cluster.kubectl("create", "token", "cnflow", "--namespace", namespace).strip()
    known = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    known["users"] = [{"name": "driver", "user": {"token": token}}]
    known["contexts"][0]["context"]["user"] = "driver"
    file = folder / "kubeconfig"
    file.write_text(json.dumps(known))
    return str(file), role
