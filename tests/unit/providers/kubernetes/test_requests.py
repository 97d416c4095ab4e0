"""Objects of blocks, made from settings and requests alone."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from cnflow.config import KubernetesProvider
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.providers.kubernetes import names
from cnflow.providers.kubernetes.parts import PodParts
from cnflow.providers.kubernetes.requests import (
    credentials_content,
    job_for,
    patched,
    pod_for,
    preview_of,
    refuse_unfit,
    secret_content,
    workload_for,
)

MANAGER = ManagerSettings(
    hosts=("10.0.0.1",), endpoint="tcp://{host}:5", executor="htex", block="0", secret_key="S3CRET"
)
REQUEST = BlockRequest(RunId("4f2a"), "htex", BlockId("0"), Image("app1:0.1"), MANAGER, Path("block.log"))
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-4f2a", "uid": "u-1"}
PARTS = PodParts(
    OWNER,
    "cnflow-4f2a-htex-0",
    volumes=[{"name": "capsule", "emptyDir": {}}],
    mounts=[{"name": "capsule", "mountPath": "/.cnflow/capsule"}],
    init_containers=[{"name": "unpack", "image": "app1:0.1", "command": ["python3", "-c", "..."]}],
    command=("python3", "main.py", "/.cnflow/run/settings"),
)


@pytest.fixture(autouse=True)
def user(monkeypatch):
    monkeypatch.setattr(names, "user_label", lambda: "ann")
    monkeypatch.setattr("cnflow.providers.kubernetes.requests.user_label", lambda: "ann")


def image(**options):
    return replace(REQUEST, image=Image("app1:0.1", **options))


def pod(settings=None, request=REQUEST, parts=PARTS):
    return job_for(request, settings or KubernetesProvider(), parts)["spec"]["template"]["spec"]


def main(settings=None, request=REQUEST, parts=PARTS):
    return pod(settings, request, parts)["containers"][0]


def test_job_without_options():
    assert job_for(REQUEST, KubernetesProvider(), PARTS) == snapshot(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "cnflow-4f2a-htex-0",
                "labels": {
                    "app.kubernetes.io/managed-by": "cnflow",
                    "cnflow.org/run": "4f2a",
                    "cnflow.org/executor": "htex",
                    "cnflow.org/user": "ann",
                    "cnflow.org/block": "0",
                },
                "annotations": {"cnflow.org/name": "cnflow-4f2a-htex-0"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-4f2a", "uid": "u-1"}],
            },
            "spec": {
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 0,
                "podReplacementPolicy": "Failed",
                "ttlSecondsAfterFinished": 300,
                "template": {
                    "metadata": {
                        "labels": {
                            "app.kubernetes.io/managed-by": "cnflow",
                            "cnflow.org/run": "4f2a",
                            "cnflow.org/executor": "htex",
                            "cnflow.org/user": "ann",
                            "cnflow.org/block": "0",
                        },
                        "annotations": {"cnflow.org/name": "cnflow-4f2a-htex-0"},
                    },
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 28,
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "initContainers": [
                            {
                                "resources": {"requests": {"cpu": "1", "memory": "250Mi"}},
                                "name": "unpack",
                                "image": "app1:0.1",
                                "command": ["python3", "-c", "..."],
                            }
                        ],
                        "containers": [
                            {
                                "name": "cnflow",
                                "image": "app1:0.1",
                                "command": ["python3", "main.py", "/.cnflow/run/settings"],
                                "env": [{"name": "CNFLOW_CORES", "value": "1"}],
                                "resources": {"requests": {"cpu": "1", "memory": "250Mi"}},
                                "volumeMounts": [
                                    {"name": "capsule", "mountPath": "/.cnflow/capsule"},
                                    {"name": "settings", "mountPath": "/.cnflow/run", "readOnly": True},
                                ],
                            }
                        ],
                        "volumes": [
                            {"name": "capsule", "emptyDir": {}},
                            {"name": "settings", "secret": {"secretName": "cnflow-4f2a-htex-0", "defaultMode": 292}},
                        ],
                    },
                },
            },
        }
    )


def test_job_with_every_option():
    settings = KubernetesProvider(
        namespace="science",
        pull="always",
        image_pull_secrets=["registry"],
        init_cpu="500m",
        max_cpu=2,
        init_mem="1Gi",
        max_mem="4GB",
        gpus=2,
        extra_requests={"ephemeral-storage": "10Gi"},
        extra_limits={"example.com/fpga": 1},
        node_selector={"disk": "ssd"},
        affinity={"nodeAffinity": {}},
        tolerations=["gpu=true:NoSchedule", "spot", {"operator": "Exists"}],
        priority_class="low",
        runtime_class="gvisor",
        service_account="worker",
        labels={"team": "ai"},
        annotations={"note": "x"},
        user_id=1000,
        group_id=100,
        read_only_root=True,
        volumes=[
            "pvc:data:/data:ro",
            "config_map:app:/etc/app",
            "secret:keys:/etc/keys",
            {"kind": "empty_dir", "target": "/scratch", "size": "1Gi"},
            "host_path:/srv:/srv",
        ],
        environment={"A": "$(B) $$"},
        environment_from=["secret:tokens", {"kind": "config_map", "name": "conf", "prefix": "APP_"}],
        secret_environment={"HF_TOKEN": "hf/token"},
        worker_init="module load x\n",
        init_containers=[{"name": "fetch", "image": "curl"}],
        sidecars=[{"name": "log", "image": "fluent", "securityContext": {"readOnlyRootFilesystem": False}}],
        host_network=True,
        active_deadline=3600,
        ttl=60,
        termination_grace=45,
    )
    request = replace(REQUEST, walltime=600)
    assert job_for(request, settings, PARTS) == snapshot(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "cnflow-4f2a-htex-0",
                "labels": {
                    "team": "ai",
                    "app.kubernetes.io/managed-by": "cnflow",
                    "cnflow.org/run": "4f2a",
                    "cnflow.org/executor": "htex",
                    "cnflow.org/user": "ann",
                    "cnflow.org/block": "0",
                },
                "annotations": {"note": "x", "cnflow.org/name": "cnflow-4f2a-htex-0"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "cnflow-4f2a", "uid": "u-1"}],
            },
            "spec": {
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 0,
                "podReplacementPolicy": "Failed",
                "ttlSecondsAfterFinished": 60,
                "activeDeadlineSeconds": 3600,
                "template": {
                    "metadata": {
                        "labels": {
                            "team": "ai",
                            "app.kubernetes.io/managed-by": "cnflow",
                            "cnflow.org/run": "4f2a",
                            "cnflow.org/executor": "htex",
                            "cnflow.org/user": "ann",
                            "cnflow.org/block": "0",
                        },
                        "annotations": {"note": "x", "cnflow.org/name": "cnflow-4f2a-htex-0"},
                    },
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 45,
                        "activeDeadlineSeconds": 900,
                        "serviceAccountName": "worker",
                        "automountServiceAccountToken": True,
                        "enableServiceLinks": False,
                        "imagePullSecrets": [{"name": "registry"}],
                        "nodeSelector": {"disk": "ssd"},
                        "affinity": {"nodeAffinity": {}},
                        "tolerations": [
                            {"key": "gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
                            {"key": "spot", "operator": "Exists"},
                            {"operator": "Exists"},
                        ],
                        "priorityClassName": "low",
                        "runtimeClassName": "gvisor",
                        "hostNetwork": True,
                        "dnsPolicy": "ClusterFirstWithHostNet",
                        "securityContext": {
                            "runAsUser": 1000,
                            "runAsGroup": 100,
                            "fsGroup": 100,
                            "fsGroupChangePolicy": "OnRootMismatch",
                            "runAsNonRoot": True,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "initContainers": [
                            {
                                "resources": {
                                    "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "10Gi"},
                                    "limits": {
                                        "nvidia.com/gpu": "2",
                                        "cpu": "2",
                                        "memory": "3906250Ki",
                                        "example.com/fpga": "1",
                                    },
                                },
                                "name": "unpack",
                                "image": "app1:0.1",
                                "command": ["python3", "-c", "..."],
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                    "readOnlyRootFilesystem": True,
                                },
                            },
                            {
                                "name": "fetch",
                                "image": "curl",
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                    "readOnlyRootFilesystem": True,
                                },
                            },
                            {
                                "name": "log",
                                "image": "fluent",
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                    "readOnlyRootFilesystem": False,
                                },
                                "restartPolicy": "Always",
                            },
                        ],
                        "containers": [
                            {
                                "name": "cnflow",
                                "image": "app1:0.1",
                                "imagePullPolicy": "Always",
                                "command": [
                                    "/bin/sh",
                                    "-c",
                                    """\
module load x
exec "$@"\
""",
                                    "sh",
                                    "python3",
                                    "main.py",
                                    "/.cnflow/run/settings",
                                ],
                                "workingDir": "/tmp",
                                "env": [
                                    {"name": "CNFLOW_CORES", "value": "2"},
                                    {"name": "CNFLOW_MEMORY", "value": "4000000000"},
                                    {"name": "A", "value": "$$(B) $$$$"},
                                    {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}},
                                ],
                                "envFrom": [
                                    {"secretRef": {"name": "tokens"}},
                                    {"prefix": "APP_", "configMapRef": {"name": "conf"}},
                                ],
                                "resources": {
                                    "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "10Gi"},
                                    "limits": {
                                        "nvidia.com/gpu": "2",
                                        "cpu": "2",
                                        "memory": "3906250Ki",
                                        "example.com/fpga": "1",
                                    },
                                },
                                "volumeMounts": [
                                    {"name": "capsule", "mountPath": "/.cnflow/capsule"},
                                    {"name": "settings", "mountPath": "/.cnflow/run", "readOnly": True},
                                    {"name": "tmp", "mountPath": "/tmp"},
                                    {"name": "volume-0", "mountPath": "/data", "readOnly": True},
                                    {"name": "volume-1", "mountPath": "/etc/app"},
                                    {"name": "volume-2", "mountPath": "/etc/keys"},
                                    {"name": "volume-3", "mountPath": "/scratch"},
                                    {"name": "volume-4", "mountPath": "/srv"},
                                ],
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                    "readOnlyRootFilesystem": True,
                                },
                            }
                        ],
                        "volumes": [
                            {"name": "capsule", "emptyDir": {}},
                            {"name": "settings", "secret": {"secretName": "cnflow-4f2a-htex-0", "defaultMode": 288}},
                            {"name": "tmp", "emptyDir": {}},
                            {"name": "volume-0", "persistentVolumeClaim": {"claimName": "data"}},
                            {"name": "volume-1", "configMap": {"name": "app"}},
                            {"name": "volume-2", "secret": {"secretName": "keys"}},
                            {"name": "volume-3", "emptyDir": {"sizeLimit": "1Gi"}},
                            {"name": "volume-4", "hostPath": {"path": "/srv"}},
                        ],
                    },
                },
            },
        }
    )


def test_job_of_several_nodes_has_an_indexed_pod_for_each():
    job = job_for(replace(REQUEST, nodes=3), KubernetesProvider(nodes_per_block=3), PARTS)
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 3, "Indexed")
    assert spec["backoffLimitPerIndex"] == 0
    assert "backoffLimit" not in spec
    rank = spec["template"]["spec"]["containers"][0]["env"][-1]
    assert rank["name"] == "CNFLOW_NODE_RANK"
    path = rank["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def test_job_holds_no_key_of_the_manager():
    assert "S3CRET" not in repr(job_for(REQUEST, KubernetesProvider(), PARTS))
    assert b"S3CRET" in secret_content(REQUEST)["settings"]


def test_bare_pod_has_name_and_owner_of_the_block():
    made = workload_for(REQUEST, KubernetesProvider(workload="pod"), PARTS)
    assert made["kind"] == "Pod"
    assert made["metadata"]["name"] == "cnflow-4f2a-htex-0"
    assert made["metadata"]["ownerReferences"] == [OWNER]
    assert made["spec"] == pod()


def test_command_of_a_request_runs_in_place_of_the_manager():
    command = NodeCommand(("sh", "-c", "cat /keys/a"), {"B": "2"}, {"/keys/a": b"x", "/keys/b": b"y"})
    request = replace(REQUEST, command=command)
    made = main(request=request)
    assert made["command"] == ["sh", "-c", "cat /keys/a"]
    assert {"name": "B", "value": "2"} in made["env"]
    assert {"name": "settings", "mountPath": "/keys/b", "subPath": "file-1", "readOnly": True} in made["volumeMounts"]
    assert secret_content(request) == {"file-0": b"x", "file-1": b"y"}


@pytest.mark.parametrize(
    ("settings", "uid", "mode"),
    [({}, None, 0o444), ({}, 0, 0o400), ({"user_id": 5}, 0, 0o444), ({"user_id": 5, "group_id": 6}, None, 0o440)],
)
def test_secret_is_readable_by_the_user_of_the_container(settings, uid, mode):
    volumes = pod(KubernetesProvider(**settings), parts=PARTS._replace(uid=uid))["volumes"]
    assert next(each["secret"]["defaultMode"] for each in volumes if each["name"] == "settings") == mode


def test_restricted_pod_has_all_that_pod_security_demands_of_each_container():
    settings = KubernetesProvider(run_as_non_root=True, sidecars=[{"name": "log", "image": "fluent"}])
    made = pod(settings)
    assert made["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in (*made["initContainers"], *made["containers"]):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_pod_gets_the_token_of_a_service_account_only_if_one_is_named():
    assert pod()["automountServiceAccountToken"] is False
    assert pod(KubernetesProvider(service_account="w"))["automountServiceAccountToken"] is True


# Options of an image


def test_limits_of_an_image_win_and_are_its_requests():
    made = main(KubernetesProvider(init_cpu=1, max_mem="1Gi"), image(cpus=0.5, memory="2Gi", gpus=1))
    assert made["resources"] == {
        "requests": {"cpu": "500m", "memory": "2Gi"},
        "limits": {"nvidia.com/gpu": "1", "cpu": "500m", "memory": "2Gi"},
    }
    assert {"name": "CNFLOW_CORES", "value": "0.5"} in made["env"]


def test_gpus_of_an_image_are_the_resource_of_the_provider():
    made = main(KubernetesProvider(gpus={"amd.com/gpu": 1}), image(gpus=4))
    assert made["resources"]["limits"] == {"amd.com/gpu": "4"}


def test_mounts_of_an_image_are_volumes():
    mounts = ["/srv/data:/data", "claim:/out:rw", {"kind": "tmpfs", "target": "/fast", "size": "1g"}]
    made = pod(KubernetesProvider(volumes=["pvc:old:/out", "empty_dir:/x"]), image(mounts=mounts))
    sources = {mount["mountPath"]: mount for mount in made["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in made["volumes"]}
    found = {target: volumes[mount["name"]] for target, mount in sources.items() if mount["name"].startswith("volume-")}
    assert {
        target: {name: each for name, each in volume.items() if name != "name"} for target, volume in found.items()
    } == {
        "/x": {"emptyDir": {}},
        "/data": {"hostPath": {"path": "/srv/data"}},
        "/out": {"persistentVolumeClaim": {"claimName": "claim"}},
        "/fast": {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    }
    assert sources["/data"]["readOnly"] is True
    assert "readOnly" not in sources["/out"]


def test_surroundings_of_an_image():
    made = pod(
        request=image(
            user="1000:100",
            platform="linux/arm64",
            working_dir="/app",
            shared_memory="1g",
            network="host",
            pull="never",
            environment={"A": "1"},
            secrets={"T": "env:HOME"},
        )
    )
    assert made["securityContext"]["runAsUser"] == 1000
    assert made["securityContext"]["fsGroup"] == 100
    assert made["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
    assert made["hostNetwork"] is True
    container = made["containers"][0]
    assert container["workingDir"] == "/app"
    assert container["imagePullPolicy"] == "Never"
    targets = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/dev/shm", "/run/secrets"} <= targets


@pytest.mark.parametrize(
    ("entrypoint", "expected"),
    [
        ("replace", {"command": ["run", "x"]}),
        ("keep", {"args": ["run", "x"]}),
        (["tini", "--"], {"command": ["tini", "--"], "args": ["run", "x"]}),
    ],
)
def test_entrypoint_of_an_image(entrypoint, expected):
    made = main(request=image(entrypoint=entrypoint), parts=PARTS._replace(command=("run", "x")))
    assert {name: made[name] for name in ("command", "args") if name in made} == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": -1}, "gpus: a pod gets a number of GPUs, not all that there are; write the number"),
        ({"gpus": ["0", "3"]}, "gpus: a pod gets a number of GPUs, not those called 0, 3"),
        ({"pids": 10}, "pids: a pod has no such limit; the kubelet has one for all of its pods"),
        ({"ulimits": {"nofile": 1}}, "ulimits: a pod has none; they are those of the node's container runtime"),
        ({"network": "lab"}, "network='lab': pods have the cluster's network; only 'host' is another one"),
        ({"user": "ann"}, "user='ann': Kubernetes takes numbers, not names; write them as 'UID' or 'UID:GID'"),
        ({"mounts": ["~/x:/x"]}, "mounts: '~/x' is a path of the driver's machine; write one of the node"),
        ({"platform": "arm64"}, "platform='arm64' is written 'linux/amd64' or 'linux/arm64'"),
    ],
)
def test_option_that_pods_do_not_have_is_refused_in_words(options, words):
    with pytest.raises(ConfigurationError) as caught:
        refuse_unfit(Image("app1:0.1", **options), 1, KubernetesProvider())
    assert f"Image 'app1:0.1' on KubernetesProvider: {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("app1:0.1", "https://index.docker.io/v1/"),
        ("ann/app1", "https://index.docker.io/v1/"),
        ("ghcr.io/ann/app1:0.1", "ghcr.io"),
        ("localhost:5000/app1", "localhost:5000"),
    ],
)
def test_credentials_of_an_image_are_those_of_its_registry(reference, registry, monkeypatch):
    monkeypatch.setenv("PASSWORD", "p:w")
    content = credentials_content(Image(reference, credentials={"user": "ann", "password": "env:PASSWORD"}))
    entry = json.loads(content[".dockerconfigjson"])["auths"][registry]
    assert base64.b64decode(entry["auth"]) == b"ann:p:w"


def test_bare_node_and_several_nodes_of_a_bare_pod_are_refused():
    with pytest.raises(BlockRejectedError, match="was asked for the bare node"):
        refuse_unfit(Image(), 1, KubernetesProvider())
    with pytest.raises(BlockRejectedError, match="nodes_per_block=2: a bare pod is one node"):
        refuse_unfit(Image("a"), 2, KubernetesProvider(workload="pod"))


# Patches


def test_patch_without_kind_changes_the_pods():
    settings = KubernetesProvider(patch={"spec": {"dnsPolicy": "Default"}, "metadata": {"annotations": {"a": "b"}}})
    made = job_for(REQUEST, settings, PARTS)
    assert made["spec"]["template"]["spec"]["dnsPolicy"] == "Default"
    assert made["spec"]["template"]["metadata"]["annotations"]["a"] == "b"
    assert "a" not in made["metadata"]["annotations"]
    assert pod_for(REQUEST, settings, PARTS)["spec"]["dnsPolicy"] == "Default"


def test_patches_by_kind_change_objects_of_that_kind():
    settings = KubernetesProvider(
        patch=[{"kind": "Job", "spec": {"suspend": True}}, {"kind": "Secret", "metadata": {"labels": {"a": "b"}}}]
    )
    assert job_for(REQUEST, settings, PARTS)["spec"]["suspend"] is True
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    assert patched(secret, settings)["metadata"] == {"name": "s", "labels": {"a": "b"}}


def test_extras_of_an_image_are_a_patch_of_its_pods():
    made = pod(request=image(extras={"kubernetes": {"spec": {"shareProcessNamespace": True}}}))
    assert made["shareProcessNamespace"] is True


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"metadata": {"name": "x"}}, r"metadata\.name may not be changed"),
        ({"kind": "Job", "metadata": {"name": "x"}}, r"metadata\.name may not be changed"),
        ({"metadata": {"labels": {"cnflow.org/run": "x"}}}, r"metadata\.labels\.cnflow\.org/run may not be changed"),
        ({"kind": "Job", "metadata": {"ownerReferences": None}}, r"metadata\.ownerReferences may not be changed"),
        ({"spec": {"restartPolicy": "OnFailure"}}, r"spec\.restartPolicy may not be changed"),
        ({"spec": {"containers": [{"name": "cnflow", "command": ["x"]}]}}, "the container 'cnflow' and what it runs"),
        ({"spec": {"containers": [{"name": "cnflow", "$patch": "delete"}]}}, "the container 'cnflow' and what it runs"),
    ],
)
def test_patch_of_what_cnflow_depends_on_is_refused(patch, words):
    with pytest.raises(ConfigurationError, match=words):
        job_for(REQUEST, KubernetesProvider(patch=patch), PARTS)


# Preview


def test_preview_hides_the_values_of_secret_variables():
    settings = KubernetesProvider(environment={"API_TOKEN": "t0p", "PLAIN": "x"})
    made = preview_of(REQUEST, settings)
    env = {each["name"]: each.get("value") for each in made["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["API_TOKEN"] == "***"
    assert env["PLAIN"] == "x"
    assert "S3CRET" not in repr(made)
