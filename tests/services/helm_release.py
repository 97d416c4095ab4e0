"""A release of the Helm chart in a namespace of the real cluster, for tests."""

import os
import subprocess
import sys

import cnflow
from cnflow.config import Config, ExistingPool, HighThroughputExecutor
from tests.services.helm_chart import CHART, helm

SERVER_IMAGE = f"cnflow:{cnflow.__version__}"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": 1, "memory": "512Mi"}}


class Release:
    """The release `pools` in a namespace of its own, and the keys of its drivers."""

    name = "pools"

    def __init__(self, cluster, namespace, folder):
        self.cluster = cluster
        self.namespace = namespace
        self.folder = folder
        self.address = f"kubernetes://{namespace}/{self.name}"

    def helm(self, *arguments, values=None):
        given = ["--namespace", self.namespace]
        return helm(*arguments, *given, values=values, kubeconfig=self.cluster.kubeconfig, timeout=240)

    def install(self, order="install", hub=None, serve=None, *, wait=True, **pools):
        values = {
            "hub": hub or {},
            "serve": serve or {},
            "server": {"idleTime": 3, "heartbeatPeriod": 2, "heartbeatThreshold": 20},
            "poolDefaults": {"resources": SMALL, "drainPeriod": 60},
            "pools": pools,
        }
        waiting = ["--wait", "--timeout", "120s"] if wait else []
        return self.helm(order, self.name, CHART, *waiting, values=values)

    def key(self, client, *options):
        """Issue a key for *client*, as a user does: it is a Secret of the release."""
        command = [sys.executable, "-m", "cnflow.cli", "pool", "key", client, self.address, *options]
        environment = {**os.environ, "KUBECONFIG": self.cluster.kubeconfig}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def config(self, client="alice"):
        if not self.cluster.get("secret", f"{self.name}-client-{client}", namespace=self.namespace):
            self.key(client)
        pool = ExistingPool(self.address, client=client, kubeconfig=self.cluster.kubeconfig)
        return Config(
            executors=[HighThroughputExecutor(label="pool", provider=pool)], run_dir=str(self.folder / "runs")
        )

    def pods(self, pool):
        """Names of the pods of *pool* that are not being deleted, with their images."""
        found = self.cluster.get("pods", "-l", f"cnflow.org/pool={pool}", namespace=self.namespace)
        return {
            pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def kubectl(self, *arguments, check=True):
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, check=check)
