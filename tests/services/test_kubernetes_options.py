"""Options of `KubernetesProvider` and of an `Image`, as a task sees them in its pod; Parsl's provider."""

import pytest

import cnflow
from cnflow import Config, Image, python_app
from cnflow.config import HighThroughputExecutor, KubernetesProvider
from cnflow.errors import ConfigurationError
from tests.services.kubernetes_cluster import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


@python_app
def look():
    """Surroundings of a task."""
    import os
    from pathlib import Path

    def text(path):
        return Path(path).read_text().strip() if Path(path).is_file() else None

    def is_writable(folder):
        try:
            Path(folder, "cnflow-test").write_text("x")
        except OSError:
            return False
        return True

    status = dict(line.split(":\t", 1) for line in text("/proc/self/status").splitlines() if ":\t" in line)
    return {
        "user": (os.getuid(), os.getgid()),
        "capabilities": int(status["CapEff"], 16),
        "may_gain_rights": status["NoNewPrivs"] == "0",
        "folder": str(Path.cwd()),
        "variables": dict(os.environ),
        "settings": text("/etc/app/level"),
        "licence": text("/etc/keys/licence"),
        "secret": text("/run/secrets/TOKEN"),
        "shared": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
        "writable": [folder for folder in ("/", "/tmp", "/scratch", "/etc/app") if is_writable(folder)],
        "token": Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists(),
        "mask": os.umask(0o22),
    }


@pytest.fixture
def load(cluster, tmp_path):
    def load(provider, **options):
        executor = HighThroughputExecutor(
            provider=provider, interchange="driver", address=cluster.host, heartbeat_period=2, **options
        )
        return cnflow.load(Config(run_dir=str(tmp_path), executors=[executor]))

    return load


def test_options_of_a_pod_in_a_namespace_that_grants_the_least_rights(cluster, pod_image, load, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_TEST", "s3cret")
    with cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        common = {"apiVersion": "v1", "metadata": {"namespace": namespace}}
        for kind, name, data in (
            ("ConfigMap", "app", {"level": "high"}),
            ("Secret", "keys", {"licence": "abc", "USER_NAME": "ann"}),
        ):
            content = {"stringData" if kind == "Secret" else "data": data}
            cluster.apply({**common, "kind": kind, **content, "metadata": {"name": name, "namespace": namespace}})
        provider = KubernetesProvider(
            kubeconfig=cluster.kubeconfig,
            namespace=namespace,
            pull="never",
            init_cpu="100m",
            max_mem="512Mi",
            user_id=1234,
            group_id=567,
            read_only_root=True,
            volumes=["config_map:app:/etc/app", "secret:keys:/etc/keys", "empty_dir:/scratch"],
            environment={"PLAIN": "$(HOME) $$ $X"},
            environment_from=[{"kind": "secret", "name": "keys", "prefix": "K_"}],
            secret_environment={"LICENCE": "keys/licence"},
            worker_init="export INIT=yes; umask 7",
            sidecars=[{"name": "beside", "image": pod_image, "command": ["sleep", "1000"], "imagePullPolicy": "Never"}],
            patch={"spec": {"containers": [{"name": "cnflow", "env": [{"name": "PATCHED", "value": "1"}]}]}},
        )
        image = Image(pod_image, shared_memory="32Mi", secrets={"TOKEN": "env:TOKEN_OF_TEST"})
        with load(provider, image=image):
            seen = look().result()
        assert seen["user"] == (1234, 567)
        assert (seen["capabilities"], seen["may_gain_rights"], seen["token"]) == (0, False, False)
        assert seen["folder"] == "/tmp"
        wanted = {"PLAIN": "$(HOME) $$ $X", "K_USER_NAME": "ann", "LICENCE": "abc", "INIT": "yes", "PATCHED": "1"}
        assert wanted.items() <= seen["variables"].items()
        assert (seen["settings"], seen["licence"], seen["secret"]) == ("high", "abc", "s3cret")
        assert seen["shared"] == 32 * 2**20
        assert seen["writable"] == ["/tmp", "/scratch"]
        assert seen["mask"] == 7


def test_block_of_two_pods_has_a_manager_on_each(cluster, namespace, pod_image, load):
    provider = KubernetesProvider(
        kubeconfig=cluster.kubeconfig, namespace=namespace, pull="never", init_cpu="100m", nodes_per_block=2
    )

    @python_app
    def place(seconds):
        import os
        import platform
        import time

        time.sleep(seconds)
        return platform.node(), os.environ["CNFLOW_NODE_RANK"]

    with load(provider, image=pod_image):
        places = {each.result() for each in [place(1) for _ in range(10)]}
    assert {rank for _, rank in places} == {"0", "1"}
    assert len({host for host, _ in places}) == 2


def test_option_of_an_image_that_pods_do_not_have_fails_in_words(cluster, namespace, pod_image, load):
    provider = KubernetesProvider(kubeconfig=cluster.kubeconfig, namespace=namespace, pull="never")
    with pytest.raises(ConfigurationError, match=r"on KubernetesProvider: user='ann': Kubernetes takes numbers"):
        load(provider, image=Image(pod_image, user="ann"))


def test_script_of_parsl_runs_in_pods(cluster, namespace, pod_image, tmp_path, monkeypatch):
    import cnflow.compat.parsl  # noqa: F401 - makes parsl importable

    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig)
    import parsl
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import KubernetesProvider

    executor = HighThroughputExecutor(
        label="kube-htex",
        cores_per_worker=1,
        max_workers=1,
        address=cluster.host,
        provider=KubernetesProvider(
            pod_image, namespace, init_blocks=1, max_blocks=1, init_cpu=0.1, worker_init="export A=1", pod_name="mine"
        ),
    )

    @parsl.python_app
    def variable():
        import os

        return os.environ["A"]

    parsl.load(Config(executors=[executor], run_dir=str(tmp_path)))
    try:
        assert variable().result() == "1"
        assert cluster.get("pods", "-l", "app=mine", namespace=namespace)
    finally:
        parsl.dfk().cleanup()
        parsl.clear()


def test_interchange_runs_in_a_namespace_that_grants_the_least_rights(cluster, pod_image, tmp_path):
    with cluster.namespace(**{"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        provider = KubernetesProvider(
            kubeconfig=cluster.kubeconfig, namespace=namespace, init_cpu="50m", user_id=1000, read_only_root=True
        )
        executor = HighThroughputExecutor(provider=provider, image=pod_image, interchange="site", heartbeat_period=2)
        with cnflow.load(Config(run_dir=str(tmp_path), executors=[executor])):
            assert look().result()["user"][0] == 1000
            (pod,) = cluster.get("pods", "-l", "cnflow.org/role=interchange", namespace=namespace)
            (container,) = pod["spec"]["containers"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("place", ["site", "driver"])
def test_run_with_network_policies_runs_and_removes_them(cluster, namespace, pod_image, tmp_path, place):
    provider = KubernetesProvider(
        kubeconfig=cluster.kubeconfig, namespace=namespace, init_cpu="50m", network_policy=True, host_network=True
    )
    where = {"interchange": place, **({"address": cluster.host} if place == "driver" else {})}
    executor = HighThroughputExecutor(provider=provider, image=pod_image, heartbeat_period=2, **where)
    with cnflow.load(Config(run_dir=str(tmp_path), executors=[executor])):
        look().result()
        policies = cluster.get("networkpolicies", namespace=namespace)
        pods = cluster.get("pods", "-l", "cnflow.org/block", namespace=namespace)
    roles = {policy["metadata"]["labels"].get("cnflow.org/role", "block"): policy for policy in policies}
    assert set(roles) == ({"block", "interchange"} if place == "site" else {"block"})
    assert all(pod["spec"]["hostNetwork"] for pod in pods)
    for policy in policies:
        chosen = policy["spec"]["podSelector"]["matchLabels"].items()
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        assert policy["metadata"]["ownerReferences"]
        assert policy is not roles["block"] or all(chosen <= pod["metadata"]["labels"].items() for pod in pods)
    wait_until(lambda: cluster.objects(namespace) == set())
