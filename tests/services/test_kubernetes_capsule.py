"""cnflow's code, keys and the object of a run on the real cluster: what starts a manager, and what is left of a run."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import unittest.mock
import uuid
from pathlib import Path

import pytest

from cnflow.capsule import MARKED_ROOT, archive, capsule_folder
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockRejectedError, ImageNotFoundError, ImageUnusableError
from cnflow.ids import BlockId, RunId
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.cluster import Cluster, ClusterAddress
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.kubernetes.probe import ImageProber
from cnflow.providers.kubernetes.provider import KubernetesBackend
from cnflow.providers.kubernetes.requests import workload_for
from cnflow.providers.kubernetes.run_object import RunObject
from cnflow.providers.kubernetes.run_resources import RunResources
from tests.services.kubernetes_cluster import wait_until

pytestmark = pytest.mark.kubernetes

BUSYBOX = "localhost/busybox:1"
STARTED = "the interchange answers at none of"
"""Words of a manager that runs, and finds no interchange."""


class Site:
    """A namespace with what a provider has there."""

    def __init__(self, cluster, namespace, **options):
        self.testbed = cluster
        self.namespace = namespace
        self.settings = KubernetesProvider(kubeconfig=cluster.kubeconfig, namespace=namespace, **options)
        self.api = Cluster.connect(ClusterAddress(cluster.kubeconfig, None, namespace))
        self.prober = ImageProber(self.api, self.settings)
        self.resources = RunResources(self.api, self.settings)
        self.run = RunId(uuid.uuid4().hex[:8])

    def start(self, image, block="0"):
        """Start a block; return its parts and Job."""
        image = Image.of(image)
        request = self.request(image, block)
        parts = self.resources.prepare_block(request, self.prober.prepare(image))
        workload = workload_for(request, self.settings, parts)
        path = paths.pods if workload["kind"] == "Pod" else paths.jobs
        made = self.api.request("POST", path(self.namespace), body=workload)
        self.resources.hand_over(parts, made)
        return parts, made

    def request(self, image, block):
        manager = ManagerSettings(
            hosts=(self.testbed.host,), endpoint="tcp://{host}:9", executor="e", block=block, address_probe_timeout=1.0
        )
        return BlockRequest(self.run, "e", BlockId(block), image, manager, Path("/nowhere"))

    def log_of(self, made):
        """What the block printed, once it has ended."""
        selector = f"cnflow.org/block={made['metadata']['labels']['cnflow.org/block']}"

        def pod():
            listed = self.api.list_all(paths.pods(self.namespace), f"{selector},cnflow.org/run={self.run}").items
            return next((one for one in listed if one["status"]["phase"] in {"Succeeded", "Failed"}), None)

        name = wait_until(pod, 90)["metadata"]["name"]
        return self.api.text(paths.pods(self.namespace, name, "log")).decode()

    def close(self):
        self.resources.close()
        self.api.close()


@pytest.fixture
def site(cluster, namespace):
    made = Site(cluster, namespace)
    yield made
    made.close()


def image_of(cluster, name, files):
    """An image with *files* alone: path -> content of a program; loaded into the nodes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    subprocess.run(["docker", "import", "-", name], input=buffer.getvalue(), check=True, capture_output=True)
    return cluster.load_image(name)


def test_manager_starts_in_an_image_with_nothing_of_cnflow(site, pod_image):
    parts, made = site.start(pod_image)
    assert STARTED in site.log_of(made)
    assert len(parts.volumes[0]["projected"]["sources"]) <= 4
    assert parts.command[0] == "/usr/bin/python3"


def test_manager_starts_in_an_image_without_python(site):
    parts, made = site.start(BUSYBOX)
    assert STARTED in site.log_of(made)
    assert parts.command[0] == "/.cnflow/parts/unpack"


def test_manager_starts_in_an_image_that_is_empty(site, cluster):
    image = image_of(cluster, "cnflow-empty:1", {"nothing": b"#"})
    _, made = site.start(image)
    assert STARTED in site.log_of(made)


@pytest.mark.long  # runs in such a namespace are in test_kubernetes_options
def test_manager_starts_with_the_least_rights_and_a_read_only_root(cluster, pod_image):
    with cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        site = Site(cluster, namespace, user_id=1234, read_only_root=True)
        try:
            for block, image in enumerate((pod_image, BUSYBOX)):
                _, made = site.start(image, str(block))
                assert STARTED in site.log_of(made)
        finally:
            site.close()


def test_pods_share_the_code_that_the_first_has_unpacked_in_a_claim(cluster, namespace, tmp_path):
    claim, folder = f"code-{namespace}", f"/tmp/cnflow-claim-{namespace}"
    volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": claim}
    source = {"hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
    wanted = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": claim,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": claim}, "spec": {**volume, **source}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "code", "namespace": namespace},
            "spec": wanted,
        },
    )
    site = Site(cluster, namespace, capsule_claim="code")
    try:
        for block in ("0", "1"):
            _, made = site.start(BUSYBOX, block)
            assert STARTED in site.log_of(made)
        assert len(list(Path(folder).iterdir())) == 1
    finally:
        site.close()
        cluster.kubectl("delete", "pv", claim, "--wait=false")
        subprocess.run(["rm", "-rf", folder], check=True)


def test_image_that_has_the_code_gets_no_config_map(site, cluster, pod_image):
    kind = site.prober.prepare(Image(pod_image)).kind
    build = ["docker", "build", "--quiet", "--tag", "cnflow-with-code:1", "--file", "-", str(capsule_folder(kind))]
    recipe = f"FROM {pod_image}\nCOPY . {MARKED_ROOT}\n"
    subprocess.run(build, input=recipe, text=True, check=True, capture_output=True)
    parts, made = site.start(cluster.load_image("cnflow-with-code:1"))
    assert STARTED in site.log_of(made)
    assert not parts.volumes
    assert not [name for kind, name in cluster.objects(site.namespace) if kind == "ConfigMap"]


def owners_of(found):
    return [owner["name"] for each in found for owner in each["metadata"].get("ownerReferences", ())]


def test_keys_are_in_a_secret_that_ends_with_the_block(site, cluster, pod_image):
    parts, made = site.start(pod_image)
    block = made["metadata"]["name"]
    wait_until(lambda: owners_of(cluster.get("secret", parts.secret, namespace=site.namespace)) == [block])
    cluster.kubectl("delete", "job", made["metadata"]["name"], "--namespace", site.namespace)
    wait_until(lambda: not cluster.get("secret", parts.secret, namespace=site.namespace))
    assert site.run in {
        job["metadata"]["labels"]["cnflow.org/run"] for job in cluster.get("jobs", namespace=site.namespace)
    }


def test_secret_of_an_earlier_submission_without_an_answer_is_replaced(site, pod_image):
    request = site.request(Image(pod_image), "0")
    prepared = site.prober.prepare(request.image)
    assert (
        site.resources.prepare_block(request, prepared).secret == site.resources.prepare_block(request, prepared).secret
    )


def test_config_maps_live_as_long_as_any_run_that_uses_them(cluster, namespace, pod_image):
    first, second = Site(cluster, namespace), Site(cluster, namespace)

    def config_maps():
        return {name for kind, name in cluster.objects(namespace) if kind == "ConfigMap"}

    try:
        first.start(pod_image)
        made = config_maps()
        second.start(pod_image)
        assert config_maps() == made, "they are shared"
        for site in (first, second):
            cluster.kubectl(
                "delete", "jobs", "--namespace", namespace, "-l", f"cnflow.org/run={site.run},cnflow.org/block"
            )
        first.close()
        wait_until(lambda: not cluster.get("job", f"cnflow-{first.run}-run", namespace=namespace))
        time.sleep(1.0)
        assert config_maps() == made, "the second run uses them"
    finally:
        second.close()
    wait_until(lambda: not cluster.objects(namespace))


def test_config_map_that_somebody_else_has_made_is_not_run(site, cluster, pod_image):
    owner = site.resources.owner(site.run)
    prepared = site.prober.prepare(Image(pod_image))
    names = site.resources.code(prepared, owner).config_maps
    part, name = next(iter(names.items()))
    cluster.kubectl("delete", "configmap", name, "--namespace", site.namespace)
    metadata = {"name": name, "namespace": site.namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {part: "ZXZpbA=="}})
    site.resources.on_code_missing()
    with pytest.raises(BlockRejectedError, match="has another content than cnflow gave it"):
        site.resources.code(prepared, owner)


def test_config_map_that_was_deleted_by_hand_is_made_again(site, cluster, pod_image):
    owner = site.resources.owner(site.run)
    prepared = site.prober.prepare(Image(pod_image))
    name = next(iter(site.resources.code(prepared, owner).config_maps.values()))
    cluster.kubectl("delete", "configmap", name, "--namespace", site.namespace)
    site.resources.on_code_missing()
    site.resources.code(prepared, owner)
    assert cluster.get("configmap", name, namespace=site.namespace)


DRIVER = """
    import sys, time
    sys.path.insert(0, sys.argv[1])
    from tests.services.test_kubernetes_capsule import Site
    from tests.services.kubernetes_cluster import Cluster
    from cnflow.providers.kubernetes import run_resources
    from cnflow.providers.kubernetes.run_object import RunObject
    site = Site(Cluster(sys.argv[2]), sys.argv[3], lease_duration=30)
    object = RunObject(site.api, site.run, 6.0)
    run_resources._SHARED[site.api.server, site.namespace, str(site.run)] = (object, 1)
    for block, image in enumerate(sys.argv[4:]):
        site.start(image, str(block))
    site.settings = site.settings.model_copy(update={"node_selector": {"no": "such"}})
    site.start(sys.argv[4], "pending")
    print(site.run, flush=True)
    time.sleep(600)
"""


@pytest.mark.long  # tests/faults kills drivers, too
def test_nothing_is_left_of_a_run_whose_driver_was_killed(cluster, namespace, pod_image):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), root, str(cluster.folder), namespace, pod_image, BUSYBOX]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        run = driver.stdout.readline().strip()
        time.sleep(8.0)  # longer than the lease: it is renewed
        kinds = {kind for kind, _ in cluster.objects(namespace)}
        driver.send_signal(signal.SIGKILL)
    assert run
    assert {"Job", "Pod", "Secret", "ConfigMap"} <= kinds
    wait_until(lambda: not cluster.objects(namespace), 60)


def test_object_of_a_run_is_taken_over_by_another_driver(cluster, namespace):
    site = Site(cluster, namespace)
    first = RunObject(site.api, site.run, 5.0)
    second = RunObject(site.api, site.run, 5.0)
    owner = first.ensure()
    first.stop()
    time.sleep(2.0)
    assert second.ensure() == owner
    time.sleep(6.0)
    (job,) = cluster.get("jobs", namespace=namespace)
    assert not job["metadata"].get("deletionTimestamp")
    second.stop()
    wait_until(lambda: not cluster.get("jobs", namespace=namespace), 20)
    third = RunObject(site.api, site.run, 60.0)
    assert third.ensure()["uid"] != owner["uid"]
    third.delete()
    wait_until(lambda: not cluster.get("jobs", namespace=namespace))
    site.close()


def test_user_without_the_right_to_make_jobs_gets_bare_pods_that_end_with_the_run(cluster, namespace, pod_image):
    site = Site(cluster, namespace, workload="pod")
    _, made = site.start(pod_image)
    assert made["kind"] == "Pod"
    assert STARTED in site.log_of(made)
    cluster.kubectl("delete", "pod", made["metadata"]["name"], "--namespace", namespace)
    site.close()
    wait_until(lambda: not cluster.objects(namespace))


def test_image_is_identified_by_what_its_name_stands_for(site, pod_image, cluster):
    prepared = site.prober.prepare(Image(pod_image))
    assert prepared.identity.startswith("sha256:")
    assert prepared.identity.facts.platform == "linux/amd64"
    assert prepared.probe.executable == "/usr/bin/python3"
    assert not [each for each in cluster.get("jobs", namespace=site.namespace) if "probe" in each["metadata"]["name"]]


def test_image_that_no_registry_has_is_refused_in_the_words_of_the_registry(site):
    with pytest.raises(ImageNotFoundError, match=r"(?s)'nowhere\.invalid/app:1'.*no such host"):
        site.prober.prepare(Image("nowhere.invalid/app:1"))


def test_image_for_another_architecture_is_refused_in_words(site, cluster):
    foreign = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    image = image_of(cluster, "cnflow-foreign:1", {"bin/python3": archive.unpacker(foreign)})
    with pytest.raises(ImageUnusableError, match="is for another architecture"):
        site.prober.prepare(Image(image))


def test_missing_secret_of_the_settings_is_named(cluster, namespace, pod_image):
    site = Site(cluster, namespace, secret_environment={"TOKEN": "absent/key"})
    with pytest.raises(BlockRejectedError, match=r'(?s)secret "absent" not found'):
        site.prober.prepare(Image(pod_image))
    site.close()


def test_credentials_of_an_image_are_in_a_secret_that_ends_with_the_block(site, cluster, pod_image):
    image = Image(pod_image, credentials={"user": "u", "password": {"value": "hunter2"}})
    parts, _ = site.start(image)
    (secret,) = cluster.get("secret", *parts.pull_secrets, namespace=site.namespace)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    jobs = json.dumps(cluster.get("jobs", namespace=site.namespace))
    assert "hunter2" not in jobs
    secrets = {name for kind, name in cluster.objects(site.namespace) if kind == "Secret"}
    assert secrets == {parts.secret, *parts.pull_secrets}, "that of the probe is gone"


def test_orphans_are_found_by_their_labels_and_removed_with_all_that_they_own(cluster, namespace, pod_image):
    site = Site(cluster, namespace, workload="pod")
    _, made = site.start(pod_image)
    site.log_of(made)
    backend = KubernetesBackend(site.settings)
    assert backend.remove_orphans() == [], "its driver lives"
    with unittest.mock.patch("time.time", return_value=time.time() + 3600.0):
        assert backend.remove_orphans() == [f"ConfigMap cnflow-{site.run}-run"]
    wait_until(lambda: not cluster.objects(namespace))
    backend.close()
    site.close()


def test_run_whose_driver_is_known_to_be_gone_is_removed_at_once(site, cluster, pod_image):
    site.start(pod_image)
    backend = KubernetesBackend(site.settings)
    backend.remove_run(site.run)
    backend.remove_run(site.run)
    wait_until(lambda: not cluster.objects(site.namespace))
    backend.close()


RUN = """
    import sys, time
    import cnflow
    from cnflow.config import Config, HighThroughputExecutor, KubernetesProvider
    provider = KubernetesProvider(kubeconfig=sys.argv[1], namespace=sys.argv[2], init_cpu="100m")
    executor = HighThroughputExecutor(provider=provider, image=sys.argv[3], interchange="driver")
    cnflow.load(Config(executors=[executor], run_dir=sys.argv[4]))
    print(cnflow.python_app(lambda: 6 * 7)().result(), flush=True)
    time.sleep(600)
"""


@pytest.mark.long  # the removal is that of the test above
def test_clean_removes_all_of_a_run_whose_driver_was_killed(cluster, namespace, tmp_path):
    arguments = [cluster.kubeconfig, namespace, BUSYBOX, str(tmp_path)]
    command = [sys.executable, "-c", textwrap.dedent(RUN), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline().strip() == "42"
        driver.send_signal(signal.SIGKILL)
    (run,) = tmp_path.glob("[0-9]*")
    program = Path(sys.executable).with_name("cnflow")
    cleaned = subprocess.run([program, "clean", str(run)], capture_output=True, text=True, check=True)
    assert "nothing is left" in cleaned.stdout
    wait_until(lambda: not cluster.objects(namespace), 10)
