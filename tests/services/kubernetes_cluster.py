"""The cluster that tests/services/kubernetes/up starts, and clusters of a test's own.

::

    Cluster ── kubeconfig, context ──> what is under test
       │
       ├── namespace() ── made with its service account, removed with all in it
       ├── load_image(name) ── from the Docker engine into all nodes, once
       └── stop(daemon), start(daemon) ── of clusters of a test's own alone
"""

import contextlib
import fcntl
import json
import os
import subprocess
import uuid
from pathlib import Path

from tests.waiting import wait_until

SERVICES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnflow" / "services"
SCRIPTS = Path(__file__).parent / "kubernetes"
HELM = SERVICES / "helm" / "bin" / "helm"
"""The helm that tests/services/helm/up installs."""


class Cluster:
    """A real cluster of two nodes, by its folder.

    Attributes:
        folder: of its state and logs.
        kubeconfig: path of the administrator's.
        context: in that file.
        server: URL of its API server.
        host: address of this machine that its pods reach.
    """

    context = "cnflow"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.kubeconfig = str(self.folder / "kubeconfig")
        number = int((self.folder / "number").read_text())
        self.server = f"https://10.240.{number}.1:16443"
        self.host = f"10.240.{number}.254"

    def kubectl(self, *arguments, text="", check=True):
        """Run kubectl as the administrator, with *text* on its standard input; return its output."""
        return self._run([str(HELM.with_name("kubectl")), *arguments], text, check)

    def helm(self, *arguments, check=True):
        """Run helm as the administrator; return its output."""
        return self._run([str(HELM), *arguments], "", check)

    def _run(self, command, text, check):
        variables = {**os.environ, "KUBECONFIG": self.kubeconfig}
        done = subprocess.run(
            command, env=variables, input=text, capture_output=True, text=True, timeout=180, check=False
        )
        if check and done.returncode:
            msg = f"{' '.join(command)} failed ({done.returncode}): {done.stderr}{done.stdout}"
            raise AssertionError(msg)
        return done.stdout if check else done.stdout + done.stderr

    def get(self, kind, *names, namespace=None):
        """Objects of a *kind*, or those with *names*, as the API has them."""
        where = ["--namespace", namespace] if namespace else []
        found = json.loads(self.kubectl("get", kind, *names, *where, "--ignore-not-found", "-o", "json") or "{}")
        return found.get("items", [found] if found else [])

    def apply(self, *objects):
        """Make or change objects."""
        self.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    @contextlib.contextmanager
    def namespace(self, **labels):
        """A fresh namespace with its service account, which is removed afterwards with all that is in it."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        try:
            wait_until(lambda: self.get("serviceaccount", "default", namespace=name))
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def objects(self, namespace):
        """Kinds and names of all in *namespace* that somebody made: what a run must not leave."""
        kinds = "jobs,pods,secrets,configmaps,services,leases,deployments,networkpolicies,roles,rolebindings"
        kinds += ",serviceaccounts,persistentvolumeclaims,poddisruptionbudgets"
        given = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
        return {(each["kind"], each["metadata"]["name"]) for each in self.get(kinds, namespace=namespace)} - given

    def load_image(self, name):
        """Load an image of the Docker engine into all nodes, unless they have that version of it; return *name*."""
        digest = subprocess.run(
            ["docker", "image", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True, check=True
        ).stdout.strip()
        loaded = self.folder / "loaded" / name.replace("/", "_")
        loaded.parent.mkdir(exist_ok=True)
        with (self.folder / "loaded.lock").open("w") as lock:  # other processes of the tests load the same
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not loaded.is_file() or loaded.read_text() != digest:
                subprocess.run([str(SCRIPTS / "load"), str(self.folder), name], check=True, capture_output=True)
                loaded.write_text(digest)
        return name

    def stop(self, *daemons):
        """Stop daemons: apiserver, etcd, controller-manager, scheduler, node1-kubelet, ..."""
        self._daemon("stop", *daemons)

    def start(self, *daemons):
        """Start daemons again; the API server responds afterwards."""
        self._daemon("start", *daemons)
        wait_until(lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok")

    def pids(self, daemon):
        """Process of a daemon."""
        return int((self.folder / "pids" / daemon).read_text())

    def _daemon(self, order, *daemons):
        subprocess.run([str(SCRIPTS / "daemon"), str(self.folder), order, *daemons], check=True)


def shared_cluster():
    """The cluster that tests/services/kubernetes/up starts."""
    return Cluster(SERVICES / "kubernetes" / "run")


@contextlib.contextmanager
def own_cluster(folder, number, **variables):
    """A cluster of a test's own, for faults that others would notice. Takes about ten seconds, and root.

    One process of the tests at a time has it: the others wait.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([str(SCRIPTS / "up"), str(folder), str(number)], env={**os.environ, **variables}, check=True)
        try:
            yield Cluster(folder)
        finally:
            subprocess.run([str(SCRIPTS / "down"), str(folder)], check=True)
