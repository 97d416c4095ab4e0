"""Drivers with the rights of a service account: the Role of ``cnflow doctor --kubernetes`` is enough, less is told."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cnflow
from cnflow import Config, python_app
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.executors import HighThroughputExecutor
from cnflow.model.image import Image
from cnflow.providers.kubernetes import access
from cnflow.providers.kubernetes.checks import check_cluster
from cnflow.providers.kubernetes.provider import KubernetesBackend
from tests.services.kubernetes_cluster import wait_until

pytestmark = pytest.mark.kubernetes


@python_app
def double(number):
    return 2 * number


@pytest.fixture
def account(cluster, namespace, tmp_path):
    """A kubeconfig of the service account "cnflow", which has no right yet."""
    cluster.kubectl("create", "serviceaccount", "cnflow", "-n", namespace)
    content = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    token = cluster.kubectl("create", "token", "cnflow", "-n", namespace).strip()
    content["users"] = [{"name": one["name"], "user": {"token": token}} for one in content["users"]]
    path = tmp_path / "account"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def give(cluster, namespace, rights):
    cluster.kubectl("apply", "-f", "-", text=access.role_manifest(namespace, rights))


def all_rights(**options):
    return access.needed_rights(KubernetesProvider(**options), hosts_interchange=True)


def test_the_printed_role_is_enough_for_a_run(cluster, namespace, account, pod_image, tmp_path):
    give(cluster, namespace, all_rights())
    provider = KubernetesProvider(kubeconfig=account, namespace=namespace, init_cpu="10m")
    executor = HighThroughputExecutor(label="k8s", image=pod_image, provider=provider, interchange="driver")
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
        assert [double(number).result() for number in range(3)] == [0, 2, 4]
    given = {("ServiceAccount", "cnflow"), ("Role", "cnflow"), ("RoleBinding", "cnflow")}
    wait_until(lambda: cluster.objects(namespace) <= given)
    backend = KubernetesBackend(provider)
    assert list(backend.remove_orphans()) == []
    backend.close()


def test_bare_pods_and_an_interchange_beside_the_script_need_fewer_rights(
    cluster, namespace, account, pod_image, tmp_path
):
    provider = KubernetesProvider(kubeconfig=account, namespace=namespace, init_cpu="10m", workload="pod")
    give(cluster, namespace, access.needed_rights(provider, hosts_interchange=False))
    executor = HighThroughputExecutor(label="k8s", image=pod_image, provider=provider, interchange="driver")
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
        assert double(1).result() == 2
    given = {("ServiceAccount", "cnflow"), ("Role", "cnflow"), ("RoleBinding", "cnflow")}
    wait_until(lambda: cluster.objects(namespace) <= given)


def test_right_that_the_interchange_in_a_pod_lacks_is_told(cluster, namespace, account, pod_image, tmp_path):
    provider = KubernetesProvider(kubeconfig=account, namespace=namespace, init_cpu="10m")
    give(cluster, namespace, access.needed_rights(provider, hosts_interchange=False))
    executor = HighThroughputExecutor(label="k8s", image=pod_image, provider=provider, interchange="site")
    config = Config(executors=[executor], run_dir=str(tmp_path / "runs"))
    with cnflow.load(config), pytest.raises(BlockRejectedError) as refused:
        double(1).result()
    assert 'resources: ["pods/exec"]\n  verbs: ["create", "get"]\n' in str(refused.value)
    assert "jobs" not in str(refused.value)


def test_missing_right_is_told_as_the_one_rule_to_add_before_anything_is_made(cluster, namespace, account, pod_image):
    jobs = access.Right("batch", "jobs", ("delete", "deletecollection", "get", "list", "patch", "watch"), "")
    give(cluster, namespace, [jobs, *(right for right in all_rights() if right.resource != "jobs")])
    backend = KubernetesBackend(KubernetesProvider(kubeconfig=account, namespace=namespace))
    with pytest.raises(BlockRejectedError) as refused:
        backend.prepare(Image.of(pod_image))
    backend.close()
    words = str(refused.value)
    assert '- apiGroups: ["batch"]\n  resources: ["jobs"]\n  verbs: ["create"]\n' in words
    assert words.count("apiGroups") == 1
    assert not cluster.get("jobs", namespace=namespace)


def test_doctor_finds_what_is_missing(cluster, namespace, account):
    findings = check_cluster(KubernetesProvider(kubeconfig=account, namespace=namespace))
    assert "lacks rights" in findings[-1].found
    give(cluster, namespace, [right for right in all_rights() if right.resource != "events"])
    findings = check_cluster(KubernetesProvider(kubeconfig=account, namespace=namespace))
    assert findings[-1].found == "this user may run blocks there; not reasons for which a block waits (events)"


def test_doctor_prints_a_role_that_the_server_takes(cluster, namespace, account):
    variables = {"KUBECONFIG": account, "PATH": "/usr/bin"}
    argv = [str(Path(sys.executable).with_name("cnflow")), "doctor", "--kubernetes", "--namespace", namespace]
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True)
    assert f'"name": "cnflow", "namespace": "{namespace}"' in done.stdout
    cluster.kubectl("apply", "-f", "-", text=done.stdout)
    findings = check_cluster(KubernetesProvider(kubeconfig=account, namespace=namespace))
    assert findings[-1].found == "this user may run blocks there"


def test_expired_token_is_told(cluster, namespace, account, tmp_path, pod_image):
    content = Path(account).read_text().replace("token: ", "token: x")
    (tmp_path / "expired").write_text(content)
    backend = KubernetesBackend(KubernetesProvider(kubeconfig=str(tmp_path / "expired"), namespace=namespace))
    with pytest.raises(BlockError, match="expired or revoked: sign in again"):
        backend.prepare(Image.of(pod_image))
    backend.close()
