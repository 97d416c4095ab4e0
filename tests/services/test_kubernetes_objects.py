"""Objects of blocks on a real API server: every field is one that it knows, and patches are merged as kubectl does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cnflow.config import KubernetesProvider
from cnflow.ids import BlockId, RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import Image
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.kubernetes.parts import PodParts
from cnflow.providers.kubernetes.patch import merge
from cnflow.providers.kubernetes.requests import job_for, pod_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

MANAGER = ManagerSettings(hosts=(), endpoint="", executor="htex", block="0")
REQUEST = BlockRequest(RunId("4f2a"), "htex", BlockId("0"), Image("app1:0.1"), MANAGER, Path("block.log"))
PARTS = PodParts(
    {},
    "cnflow-4f2a-htex-0",
    volumes=[{"name": "capsule", "emptyDir": {}}],
    mounts=[{"name": "capsule", "mountPath": "/.cnflow/capsule"}],
    init_containers=[{"name": "unpack", "image": "app1:0.1", "command": ["true"]}],
    command=("sleep", "1"),
    pull_secrets=("pull",),
)
EVERYTHING = KubernetesProvider(
    pull="never",
    image_pull_secrets=["registry"],
    init_cpu="500m",
    max_cpu=2,
    init_mem="1Gi",
    max_mem="4GB",
    gpus=2,
    extra_requests={"ephemeral-storage": "10Gi"},
    extra_limits={"example.com/fpga": 1},
    node_selector={"disk": "ssd"},
    affinity={"podAntiAffinity": {}},
    tolerations=["gpu=true:NoSchedule", "spot", {"operator": "Exists"}],
    labels={"team": "ai"},
    annotations={"note": "x"},
    user_id=1000,
    group_id=100,
    read_only_root=True,
    volumes=[
        "pvc:data:/data:ro",
        "config_map:app:/etc/app",
        "secret:keys:/etc/keys",
        {"kind": "empty_dir", "target": "/scratch", "size": "1Gi", "in_memory": True},
        {"kind": "host_path", "source": "/srv", "target": "/srv", "sub_path": "a"},
    ],
    environment={"A": "$(B) $$"},
    environment_from=["secret:tokens", {"kind": "config_map", "name": "conf", "prefix": "APP_"}],
    secret_environment={"HF_TOKEN": "hf/token"},
    worker_init="umask 7",
    init_containers=[{"name": "fetch", "image": "curl"}],
    sidecars=[{"name": "log", "image": "fluent"}],
    active_deadline=3600,
    ttl=60,
    termination_grace=45,
)
OPTIONS = {
    "shared_memory": "1g",
    "secrets": {"T": "env:HOME"},
    "user": "1:2",
    "network": "host",
    "platform": "linux/amd64",
    "entrypoint": ["tini", "--"],
    "working_dir": "/app",
    "mounts": ["/a:/b", "claim:/c", {"kind": "tmpfs", "target": "/f", "size": "1g"}],
    "cpus": 0.5,
    "memory": "1g",
    "gpus": 1,
}
IMAGE = replace(REQUEST, image=Image("app1:0.1", **OPTIONS))
DOCUMENTS = {
    "job": job_for(REQUEST, KubernetesProvider(), PARTS),
    "job of three nodes": job_for(replace(REQUEST, nodes=3, walltime=600), EVERYTHING, PARTS),
    "pod": pod_for(REQUEST, EVERYTHING, PARTS),
    "options of an image": job_for(IMAGE, KubernetesProvider(), PARTS),
}

PATCHES = [
    {"spec": {"dnsPolicy": "Default", "tolerations": [{"key": "x", "operator": "Exists"}]}},
    {"spec": {"containers": [{"name": "cnflow", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}},
    {"spec": {"containers": [{"name": "proxy", "image": "envoy", "ports": [{"containerPort": 80}]}]}},
    {"spec": {"containers": [{"name": "cnflow", "volumeMounts": [{"mountPath": "/data", "$patch": "delete"}]}]}},
    {"spec": {"volumes": [{"name": "volume-0", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}]}},
    {"spec": {"securityContext": None, "nodeSelector": {"$patch": "replace", "zone": "a"}}},
    {"metadata": {"labels": {"team": None, "new": "1"}}, "spec": {"imagePullSecrets": [{"name": "other"}]}},
    {"spec": {"initContainers": [{"name": "fetch", "$patch": "delete"}], "hostAliases": [{"ip": "1.2.3.4"}]}},
]


def by_name(value):
    """*value* without the order of lists whose elements have names: kubectl puts new ones first."""
    if isinstance(value, dict):
        return {name: by_name(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted((by_name(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


@pytest.mark.parametrize("name", DOCUMENTS)
def test_api_server_knows_every_field_of_an_object(cluster, name):
    text = json.dumps(DOCUMENTS[name])
    created = cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", text=text)
    assert created.strip() in {"job.batch/cnflow-4f2a-htex-0", "pod/cnflow-4f2a-htex-0"}


@pytest.mark.parametrize("number", range(len(PATCHES)))
def test_patch_is_merged_as_kubectl_merges_it(cluster, tmp_path, number):
    patch, pod = PATCHES[number], DOCUMENTS["pod"]
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(pod))
    words = ("patch", "--local", "--type=strategic", "-o", "json", "-f", str(file), "-p", json.dumps(patch))
    theirs = json.loads(cluster.kubectl(*words))
    assert by_name(merge(pod, patch)) == by_name(theirs)
