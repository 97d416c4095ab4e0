"""Faults of pods that strike at one namespace: no task is lost, none is reported twice, no object is left."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.kubernetes_run import PodRun, expect_nothing_left, kill_containers, kubeconfig_of_account
from tests.services.kubernetes_cluster import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


@pytest.fixture
def run_in_pods(cluster, namespace, pod_image, tmp_path):
    """Makes a `PodRun` in a fresh namespace: ``run_in_pods(**options)``."""
    return lambda image=pod_image, **options: PodRun(cluster, namespace, image, tmp_path, **options)


def test_tasks_of_killed_containers_run_elsewhere(run_in_pods, cluster, namespace):
    with run_in_pods() as run:
        futures = run.submit(60)
        run.wait_for_tasks(4)
        name = run.pods()[0]
        kill_containers(cluster.get("pods", name, namespace=namespace)[0], signal.SIGKILL)
        run.check(futures)
        assert name not in run.pods()
    run.expect_nothing_left()


def test_tasks_of_deleted_pods_run_elsewhere_and_their_blocks_are_replaced(run_in_pods):
    with run_in_pods() as run:
        futures = run.submit(80)
        run.wait_for_tasks(4)
        before = run.pods()
        run.kubectl("delete", "pod", *before, "--wait=false")
        run.check(futures)
        assert not set(before) & set(run.pods())
    run.expect_nothing_left()


def test_tasks_end_within_the_grace_of_a_deleted_pod(run_in_pods):
    with run_in_pods(termination_grace=20, executor={"grace_period": 15}) as run:
        futures = run.submit(6, seconds=3)
        wait_until(lambda: any(event == "begin" for event, *_ in run.lines()))
        run.kubectl("delete", "pod", *run.pods(), "--wait=false")
        run.check(futures)
        assert set(run.ran().values()) == {1}  # SIGTERM lets tasks end: no second try
    run.expect_nothing_left()


def test_pods_deleted_at_once_lose_no_task(run_in_pods):
    with run_in_pods() as run:
        futures = run.submit(60)
        run.wait_for_tasks(4)
        run.kubectl("delete", "pod", *run.pods(), "--grace-period=0", "--force", "--wait=false")
        run.check(futures)
    run.expect_nothing_left()


def test_deleted_job_is_replaced(run_in_pods):
    with run_in_pods(init_blocks=1, max_blocks=1) as run:
        futures = run.submit(30)
        run.wait_for_tasks(2)
        run.kubectl("delete", "job", "-l", "cnflow.org/block", "--wait=false")
        run.check(futures)
    run.expect_nothing_left()


def test_full_quota_is_quoted_and_tasks_run_in_the_blocks_that_fit(run_in_pods, cluster, namespace):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": namespace}}
    cluster.apply({**quota, "spec": {"hard": {"pods": "1"}}})
    with run_in_pods(init_blocks=2, max_blocks=2) as run:
        futures = run.submit(20)
        run.check(futures)
        assert len(run.pods()) == 1
        wait_until(lambda: "exceeded quota" in str(run.dfk.executors["pods"].block_reports()))
        cluster.kubectl("delete", "resourcequota", "small", "--namespace", namespace)
        futures = run.submit(60)
        run.check(futures)
    run.expect_nothing_left()


def test_rights_that_are_revoked_meanwhile_stop_new_blocks_and_no_task(run_in_pods, cluster, namespace, tmp_path):
    kubeconfig, role = kubeconfig_of_account(cluster, namespace, tmp_path)
    with run_in_pods(kubeconfig=kubeconfig, init_blocks=1, max_blocks=1) as run:
        futures = run.submit(40)
        run.wait_for_tasks(2)
        cluster.kubectl("delete", "rolebinding", "cnflow", "--namespace", namespace)
        run.kubectl("delete", "pod", *run.pods(), "--wait=false")  # its block cannot be replaced
        time.sleep(5)
        cluster.kubectl("apply", "-f", "-", text=role)
        run.check(futures)
    expect_nothing_left_but_account(cluster, namespace)


def expect_nothing_left_but_account(cluster, namespace):
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    wait_until(lambda: not [kind for kind, _ in cluster.objects(namespace) if kind not in kinds])


def test_image_that_is_nowhere_fails_its_tasks_within_seconds(run_in_pods):
    began = time.monotonic()
    with run_in_pods(image="cnflow-no-such-image:1") as run:
        error = run.submit(1)[0].exception(60)
        assert "cnflow-no-such-image" in str(error)
        assert time.monotonic() - began < 40
    run.expect_nothing_left()


DRIVER = """\
import sys
from tests.faults.kubernetes_run import PodRun
from tests.services.kubernetes_cluster import Cluster

folder, namespace, image, path, lease, place = sys.argv[1:]
options = {"interchange": place}
if place == "site":
    options.update(address=None, detached_timeout=float(lease))
with PodRun(Cluster(folder), namespace, image, path, lease_duration=float(lease), executor=options) as run:
    futures = run.submit(500, seconds=1)
    run.wait_for_tasks(2)
    print("runs", flush=True)
    run.check(futures, 600)
"""


@pytest.mark.parametrize("place", ["driver", "site"])
def test_killed_driver_leaves_no_object(cluster, namespace, pod_image, tmp_path, place):
    argv = [sys.executable, "-c", DRIVER, str(cluster.folder), namespace, pod_image, str(tmp_path), "30", place]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "runs\n"
        assert cluster.objects(namespace)
        driver.kill()
    expect_nothing_left(cluster, namespace, 120)


class _SlowRegistry(http.server.BaseHTTPRequestHandler):
    """A registry of one image, from an OCI layout, that sends each layer after a delay."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        content = self._content()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        if content is not None and "/manifests/" in self.path:
            self.send_header("Content-Type", json.loads(content)["mediaType"])
        self.end_headers()
        if content and self.command == "GET":
            self.wfile.write(content)

    def _content(self):
        if self.path == "/v2/":
            return b"{}"
        files, name = self.server.files, self.path.rpartition("/")[2]
        if "/blobs/" in self.path and len(files[name]) > 100_000 and self.command == "GET":
            time.sleep(self.server.delay)
        return files.get(name)

    def log_message(self, *_):
        pass


@pytest.fixture
def slow_image(cluster, pod_image, tmp_path):
    """Name of an image whose layer the registry sends after 15 s."""
    import hashlib
    import tarfile

    archive = tmp_path / "image.tar"
    with archive.open("wb") as file:
        subprocess.run(["docker", "save", pod_image], stdout=file, check=True)
    files = {}
    with tarfile.open(archive) as saved:
        (image,) = json.load(saved.extractfile("manifest.json"))
        entries = []
        for name in (image["Config"], *image["Layers"]):
            content = saved.extractfile(name).read()
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            files[digest] = content
            kind = "container.image.v1+json" if name == image["Config"] else "image.rootfs.diff.tar"
            kind = f"application/vnd.docker.{kind}"
            entries.append({"mediaType": kind, "size": len(content), "digest": digest})
    media = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": media, "config": entries[0], "layers": entries[1:]}
    content = json.dumps(manifest).encode()
    files["1"] = files[f"sha256:{hashlib.sha256(content).hexdigest()}"] = content
    server = http.server.ThreadingHTTPServer((cluster.host, 0), _SlowRegistry)
    server.files, server.delay = files, 15
    host = f"{cluster.host}:{server.server_port}"
    place = cluster.folder / "certs.d" / host / "hosts.toml"
    place.parent.mkdir()
    place.write_text(f'server = "http://{host}"\n[host."http://{host}"]\ncapabilities = ["pull", "resolve"]\n')
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"{host}/slow-{os.getpid()}:1"
    server.shutdown()
    server.server_close()
    thread.join()
    place.unlink()
    place.parent.rmdir()


def test_image_that_takes_long_to_pull_is_waited_for(run_in_pods, slow_image):
    with run_in_pods(image=slow_image, init_blocks=1, max_blocks=1) as run:
        run.check(run.submit(3))
    run.expect_nothing_left()
