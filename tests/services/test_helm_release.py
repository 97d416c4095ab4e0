"""A release of the Helm chart on the real cluster: drivers share its pools, which scale, are upgraded and removed."""

import collections
import json
import socketserver
import threading
import time

import pytest

import cnflow
from cnflow import python_app
from cnflow.config import Config, ExistingPool, HighThroughputExecutor
from cnflow.errors import CnflowError, InterchangeLostError
from tests.services.helm_chart import HelmError
from tests.services.helm_release import SMALL
from tests.services.kubernetes_cluster import wait_until
from tests.services.laptop import SCRIPT, IsolatedLaptop

pytestmark = [pytest.mark.kubernetes, pytest.mark.helm, pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
def laptops(cluster, tmp_path):
    """Two machines that reach the API server of the cluster and nothing else."""
    host, _, port = cluster.server.removeprefix("https://").rpartition(":")
    made = []
    for name in ("ann", "bob"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(IsolatedLaptop(folder, host, int(port)))
    yield made
    for laptop in made:
        laptop.close()


class Ledger(socketserver.ThreadingTCPServer):
    """Counts runs of tasks in pods, which connect to it: their disks end with them. A context manager.

    Attributes:
        runs: numbers of tasks, one for each time that one has run to its end.
    """

    daemon_threads = True

    def __init__(self, host):
        self.runs = []
        runs = self.runs

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                runs.append(int(self.rfile.readline()))
                self.wfile.write(b"noted\n")

        super().__init__((host, 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __exit__(self, *error):
        self.shutdown()
        self._thread.join()
        super().__exit__(*error)

    def submit(self, count, seconds):
        """Submit tasks that end after *seconds*; each returns its pod and the minor version of its Python."""
        return [noted(number, seconds, self.server_address) for number in range(count)]

    def check(self, count, workers):
        """All tasks ran, and none twice but those that ran on the *workers* while the server was replaced.

        A server knows no tasks of the one before it: drivers send theirs again. An upgrade of a pool's image is an
        upgrade of the server's settings, too.
        """
        counted = collections.Counter(self.runs)
        assert sorted(counted) == list(range(count))
        assert max(counted.values()) <= 2
        assert sum(counted.values()) - count <= workers


@python_app
def noted(number, seconds, ledger):
    import socket
    import sys
    import time

    time.sleep(seconds)
    with socket.create_connection(tuple(ledger), 10) as connection:
        connection.sendall(f"{number}\n".encode())
        connection.recv(10)  # it is noted
    return socket.gethostname(), ".".join(map(str, sys.version_info[:2]))


@pytest.fixture
def ledger(cluster):
    with Ledger(cluster.host) as made:
        yield made


@python_app
def where(seconds=0.0):
    import socket
    import time

    time.sleep(seconds)
    return socket.gethostname()


@python_app
def minor(seconds=0.0):
    import sys
    import time

    time.sleep(seconds)
    return ".".join(map(str, sys.version_info[:2]))


def test_pool_grows_from_nothing_with_its_tasks_and_goes_back_to_nothing(release, pod_image):
    release.install(main={"image": pod_image, "autoscaling": {"minReplicas": 0, "maxReplicas": 2}})
    wait_until(lambda: not release.pods("main"))
    with cnflow.load(release.config()):
        hosts = {future.result() for future in [where(1.0) for _ in range(12)]}
    assert len(hosts) == 2
    assert all(host.startswith("pools-main-") for host in hosts)
    wait_until(lambda: not release.pods("main"))


def test_uninstalled_release_leaves_nothing(release, pod_image):
    release.install(main={"image": pod_image, "autoscaling": {"minReplicas": 1}})
    with cnflow.load(release.config()):
        assert where().result().startswith("pools-main-")
    release.helm("uninstall", release.name, "--wait")
    wait_until(lambda: not release.cluster.objects(release.namespace))


def test_upgrade_with_a_new_image_drains_the_old_managers_and_loses_no_task(release, pod_image, cluster, ledger):
    new = cluster.load_image("cnflow-base:3.13")
    scaling = {"minReplicas": 2, "maxReplicas": 2}
    release.install(main={"image": pod_image, "autoscaling": scaling})
    old_pods = wait_until(lambda: len(release.pods("main")) == 2 and release.pods("main"))
    with cnflow.load(release.config()):
        futures = ledger.submit(60, 0.5)
        wait_until(lambda: sum(future.done() for future in futures) >= 4)
        release.install("upgrade", main={"image": new, "autoscaling": scaling})
        results = [future.result()[1] for future in futures]
        wait_until(lambda: set(release.pods("main").values()) == {new})
        assert minor().result() == "3.13"
    assert len(results) == 60
    assert set(results) == {"3.11", "3.13"}
    ledger.check(60, workers=2)
    assert not set(old_pods) & set(release.pods("main"))
    release.helm("rollback", release.name, "1", "--wait")
    wait_until(lambda: set(release.pods("main").values()) == {pod_image})
    with cnflow.load(release.config()):
        assert minor().result() == "3.11"


def test_server_that_is_replaced_loses_no_task(release, pod_image, ledger):
    release.install(main={"image": pod_image, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}})
    with cnflow.load(release.config()):
        futures = ledger.submit(20, 0.5)
        wait_until(lambda: sum(future.done() for future in futures) >= 3)
        pods = release.pods("main")
        release.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=server", "--wait=false")
        results = [future.result() for future in futures]
    assert len(results) == 20
    ledger.check(20, workers=1)
    assert set(release.pods("main")) == set(pods), "the pods of the pool stay"


@pytest.mark.root
def test_two_drivers_from_outside_share_a_pool_and_the_death_of_one_harms_no_other(release, pod_image, laptops):
    variables = [{"name": "RUNS", "value": "/work/runs"}]
    release.install(main={"image": pod_image, "env": variables, "autoscaling": {"minReplicas": 2, "maxReplicas": 2}})
    drivers = []
    for client, laptop in zip(("ann", "bob", "eve"), [*laptops, laptops[0]], strict=True):
        release.key(client)
        provider = {"kind": "existing_pool", "address": release.address, "client": client}
        provider["kubeconfig"] = release.cluster.kubeconfig
        drivers.append(laptop.start(SCRIPT, {"label": "pool", "provider": provider}, 0.5))
    for driver in drivers:
        assert json.loads(driver.stdout.readline())[0] == -1
        assert driver.stdout.readline() == "submitted\n"
    drivers[2].kill()
    for driver in drivers[:2]:
        results = json.loads(driver.stdout.readline())
        assert [number for number, _, _ in results] == list(range(40))
        assert {host for _, _, host in results} == set(release.pods("main"))
    runs = "".join(
        release.kubectl("exec", pod, "-c", "worker", "--", "cat", "/work/runs") for pod in release.pods("main")
    )
    counted = collections.Counter(int(line) for line in runs.split())
    assert all(2 <= counted[number] <= 3 for number in range(40)), "each task of the two ran once"
    for driver in drivers:
        driver.communicate(timeout=60)


def test_image_without_python_or_shell_runs_tasks(release):
    release.install(bare={"image": "localhost/busybox:1", "shell": False, "autoscaling": {"minReplicas": 1}})
    with cnflow.load(release.config()):
        assert minor().result() == "3.11"


HUB_SCRIPT = """\
import os, socket
import cnflow
from cnflow import Config, python_app
from cnflow.config import ExistingPool, HighThroughputExecutor, KubernetesProvider

@python_app(executors=["shared"])
def in_pool():
    return socket.gethostname()

@python_app(executors=["own"])
def in_own_pod():
    return socket.gethostname()

pool = ExistingPool(os.environ["CNFLOW_POOL"], key="/etc/cnflow/client/key.json")
own = KubernetesProvider(image=IMAGE, run_as_non_root=True, user_id=1000, init_cpu="50m", max_blocks=1)
executors = [HighThroughputExecutor(label="shared", provider=pool), HighThroughputExecutor(label="own", provider=own)]
with cnflow.load(Config(executors=executors)):
    print(in_pool().result(), in_own_pod().result())
"""


def test_driver_in_the_hub_uses_the_pool_and_pods_of_its_own(release, pod_image):
    main = {"image": pod_image, "autoscaling": {"minReplicas": 1}}
    release.install(main=main)
    release.key("hub")
    release.install("upgrade", hub={"enabled": True, "resources": SMALL}, main=main)
    script = HUB_SCRIPT.replace("IMAGE", repr(pod_image))
    printed = release.kubectl("exec", f"deploy/{release.name}-hub", "--", "python", "-c", script).split()
    assert printed[0].startswith("pools-main-")
    assert printed[1].startswith("cnflow-")
    wait_until(lambda: not release.cluster.get("jobs", namespace=release.namespace))


def test_image_of_an_app_chooses_the_pool(release, pod_image, cluster):
    other = cluster.load_image("cnflow-base:3.13")
    release.install(
        first={"image": pod_image, "autoscaling": {"minReplicas": 1}},
        second={"image": other, "autoscaling": {"minReplicas": 1}},
    )
    in_first, in_second = (python_app(where.__wrapped__, image=image) for image in (pod_image, other))
    with cnflow.load(release.config()):
        assert in_first().result().startswith("pools-first-")
        assert in_second().result().startswith("pools-second-")


def test_driver_without_a_valid_key_is_refused(release, pod_image):
    release.install(main={"image": pod_image})
    release.key("mallory", "--output", str(release.folder / "mallory.json"))
    release.key("mallory", "--revoke")
    key = str(release.folder / "mallory.json")
    pool = ExistingPool(release.address, key=key, kubeconfig=release.cluster.kubeconfig)
    config = Config(
        executors=[HighThroughputExecutor(label="pool", provider=pool)], run_dir=str(release.folder / "runs")
    )
    time.sleep(3)  # until the server has read the keys again
    with pytest.raises(CnflowError, match="key"), cnflow.load(config):
        where().result()


def test_metrics_of_the_server_count_the_tasks_that_wait(release, pod_image):
    release.install(main={"image": pod_image, "replicas": 0, "autoscaling": {"enabled": False}})
    with cnflow.load(release.config()):
        futures = [where() for _ in range(7)]
        path = f"/api/v1/namespaces/{release.namespace}/services/{release.name}-server:http/proxy/metrics"
        wait_until(lambda: 'tasks{pool="main",state="queued"} 7' in release.cluster.kubectl("get", "--raw", path))
        release.install("upgrade", main={"image": pod_image, "replicas": 1, "autoscaling": {"enabled": False}})
        assert len([future.result() for future in futures]) == 7


def test_another_controller_scales_a_pool_by_its_metrics_and_an_upgrade_keeps_the_number(release, pod_image):
    pool = {"image": pod_image, "replicas": None, "autoscaling": {"enabled": False}}
    release.install(main=pool)
    release.kubectl("scale", "deployment", "pools-main", "--replicas=0")
    path = f"/api/v1/namespaces/{release.namespace}/services/{release.name}-server:http/proxy/metrics"

    def wanted():
        (line,) = [each for each in release.cluster.kubectl("get", "--raw", path).splitlines() if "wanted{" in each]
        return int(line.split()[-1])

    with cnflow.load(release.config()):
        futures = [where(5) for _ in range(4)]
        wait_until(lambda: wanted() == 4)
        release.kubectl("scale", "deployment", "pools-main", "--replicas=2")
        assert futures[0].result().startswith("pools-main-")
        assert wanted() > 0, "tasks that run are counted"
        release.install("upgrade", main={**pool, "podLabels": {"upgraded": "yes"}})
        assert len([future.result() for future in futures]) == 4
        wait_until(lambda: wanted() == 0)
    (deployment,) = release.cluster.get("deployment", "pools-main", namespace=release.namespace)
    assert deployment["spec"]["replicas"] == 2


def test_typo_in_the_values_is_refused_before_anything_changes(release, pod_image):
    with pytest.raises(HelmError, match="Did you mean 'replicas'"):
        release.install(main={"image": pod_image, "replica": 2})
    assert not release.cluster.objects(release.namespace)


def test_key_that_is_revoked_in_the_midst_of_a_run_fails_the_executor_in_words(release, pod_image):
    release.install(main={"image": pod_image, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}})
    with cnflow.load(release.config()):
        assert where().result().startswith("pools-main-")
        future = where(200)
        release.key("alice", "--revoke")
        with pytest.raises(InterchangeLostError, match="the pool refuses the key of this client"):
            future.result(timeout=120)
