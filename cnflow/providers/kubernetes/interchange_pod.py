"""Objects that an interchange in a cluster needs: its pod, a Service before it, a NetworkPolicy on request. No I/O.

::

    managers of the run ──> Service cnflow-RUN-EXECUTOR-interchange: address that stays ──> pod ...-1, later ...-2
                                                                                            image: the executor's own
    driver ── pods/exec ──> relay, in the pod's only container ──> interchange

Both are owned by the run's object, and labelled like blocks, but for the block: providers list no block there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.addresses import is_ip
from cnflow.config.kubernetes import OWN_FOLDER
from cnflow.config.kubernetes_quantities import cpus_of
from cnflow.ids import BlockId
from cnflow.model.block import BlockRequest
from cnflow.model.manager_settings import ManagerSettings
from cnflow.providers.kubernetes.block_policy import policy_name, policy_of_blocks
from cnflow.providers.kubernetes.block_secret import secret_for
from cnflow.providers.kubernetes.names import BLOCK, NAME, object_name, run_labels, user_label
from cnflow.providers.kubernetes.pod import literal, pull_policy
from cnflow.providers.kubernetes.pod_start import code_parts
from cnflow.providers.kubernetes.requests import credentials_content, patched, pod_for
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnflow.capsule import Probe
    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.interfaces import InterchangeRequest
    from cnflow.providers.kubernetes.pod_start import PodCode

ROLE, INTERCHANGE_ROLE = "cnflow.org/role", "interchange"
"""Label that tells the interchange's pod from those of blocks."""

FOLDER = f"{OWN_FOLDER}/interchange"
DEFAULT_PORT = 5700
"""TCP port for managers; the pod has all ports for itself."""

_CPU, _MEMORY = 0.25, "256Mi"
"""Requests, where those of a block are not less."""

_TERMINATION_GRACE = 5
_LOST_AFTER = 30
"""Seconds for which the pod stays on a node that does not answer; a cluster's default is 300."""

_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def interchange_name(request: InterchangeRequest) -> str:
    """Return the name of the Service, which begins that of the pods."""
    return object_name(f"cnflow-{request.run}-{request.executor}-interchange")


def port_of(request: InterchangeRequest) -> int:
    """Return the TCP port for managers."""
    return request.ports[0] if request.ports else DEFAULT_PORT


def labels_of(request: InterchangeRequest) -> dict[str, str]:
    """Return the labels of pod and Service."""
    return {**run_labels(request.run, request.executor, user_label()), ROLE: INTERCHANGE_ROLE}


def relay_argv(probe: Probe, code: PodCode) -> list[str]:
    """Return the command that connects with the interchange, or starts it."""
    main = f"{code.root}/cnflow/interchange/__main__.py"
    return [code.python(probe), "-I", main, "--attach", f"{FOLDER}/run"]


def pod_of(
    request: InterchangeRequest,
    settings: KubernetesProvider,
    probe: Probe,
    code: PodCode,
    owner: Mapping[str, Any],
    number: int,
) -> dict[str, Any]:
    """Return pod *number* of an interchange: the pod of a block, with its security, volumes and node selection.

    Raises:
        ConfigurationError: a patch of the settings does not fit.
    """
    keeper = f"{code.root}/cnflow/interchange/keeper.py"
    parts = code_parts(code, probe, ("interchange/keeper.py",), owner=owner, secret="")
    parts = parts._replace(
        init_containers=_unpacking(request, settings, probe, code),
        command=(code.python(probe), "-I", keeper, f"{request.grace:.0f}"),
        volumes=[*parts.volumes, {"name": "cnflow-interchange", "emptyDir": {}}],
        mounts=[*parts.mounts, {"name": "cnflow-interchange", "mountPath": FOLDER}],
        pull_secrets=[login_name(request)] if request.image.credentials is not None else [],
    )
    block = BlockId("interchange")
    manager = ManagerSettings(hosts=(), endpoint="", executor=request.executor, block=block)
    plain = request.image.replace(cpus=None, memory=None, gpus=None, mounts=(), secrets={}, shared_memory=None)
    asked = BlockRequest(request.run, request.executor, block, plain, manager, Path(os.devnull))
    pod = pod_for(asked, _for_interchange(settings), parts)
    name = f"{interchange_name(request)}-{number}"
    labels = {key: value for key, value in pod["metadata"]["labels"].items() if key != BLOCK}
    pod["metadata"] |= {"name": name, "labels": {**labels, **labels_of(request)}}
    pod["metadata"]["annotations"][NAME] = name
    spec = pod["spec"]
    spec["terminationGracePeriodSeconds"] = _TERMINATION_GRACE
    spec["tolerations"] = _leaves_lost_nodes(spec.get("tolerations", ()))
    spec["containers"][0]["ports"] = [{"name": "managers", "containerPort": port_of(request)}]
    return pod


def login_name(request: InterchangeRequest) -> str:
    """Return the name of the Secret with the credentials of the image's registry."""
    return f"{interchange_name(request)}-login"


def login_of(request: InterchangeRequest, settings: KubernetesProvider, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return that Secret, for an image with credentials."""
    content, labels = credentials_content(request.image), labels_of(request)
    secret = secret_for(login_name(request), content, owner=owner, labels=labels, kind="kubernetes.io/dockerconfigjson")
    return patched(secret, settings)


def service_of(request: InterchangeRequest, settings: KubernetesProvider, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Service before the pod that is ready."""
    port = port_of(request)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(request, owner),
        "spec": {
            "selector": labels_of(request),
            "ports": [{"name": "managers", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }
    return patched(service, settings)


def at_address(service: Mapping[str, Any], addresses: Collection[str]) -> dict[str, Any]:
    """Return *service* with the cluster's address that it had before, the first of *addresses*; none leaves it open."""
    fixed = next((address for address in addresses if is_ip(address)), None)
    return dict(service) if fixed is None else {**service, "spec": {**service["spec"], "clusterIP": fixed}}


def policies_of(
    request: InterchangeRequest, settings: KubernetesProvider, owner: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the NetworkPolicies of one executor: its blocks alone reach its interchange, and nobody reaches them."""
    managers = {
        "from": [{"podSelector": {"matchLabels": run_labels(request.run, request.executor)}}],
        "ports": [{"port": port_of(request), "protocol": "TCP"}],
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(request, owner),
        "spec": {
            "podSelector": {"matchLabels": labels_of(request)},
            "policyTypes": ["Ingress"],
            "ingress": [managers],
        },
    }
    return [patched(policy, settings), policy_of_blocks(request.run, request.executor, settings, owner)]


def policy_names(request: InterchangeRequest) -> list[str]:
    """Return the names of the policies: that of the interchange, that of the blocks."""
    return [interchange_name(request), policy_name(request.run, request.executor)]


def is_over(pod: Mapping[str, Any] | None) -> bool:
    """Return whether no interchange will be reached any more in *pod*; None is a pod that is not there."""
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return True
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def _unpacking(
    request: InterchangeRequest, settings: KubernetesProvider, probe: Probe, code: PodCode
) -> list[dict[str, Any]]:
    """Return the init container that unpacks the code, so that it is there once a relay can be started."""
    command = [literal(word) for word in code.unpack(probe)]
    container = {"name": "cnflow-code", "image": request.image.reference, "command": command}
    policy = pull_policy(settings.for_image(request.image))
    return [{**container, **policy, "volumeMounts": code.mounts()}] if command else []


def _for_interchange(settings: KubernetesProvider) -> KubernetesProvider:
    """Return the settings of blocks without what only workers need."""
    cpu = None if settings.init_cpu is None else min(_CPU, cpus_of(settings.init_cpu))
    memory = None if settings.init_mem is None else min(bytes_in(_MEMORY), bytes_in(settings.init_mem))
    only_for_workers: dict[str, Any] = {
        "init_cpu": cpu,
        "init_mem": memory,
        "gpus": None,
        "extra_requests": {},
        "extra_limits": {},
        "worker_init": "",
        "volumes": [],
        "environment_from": [],
        "secret_environment": {},
        "init_containers": [],
        "sidecars": [],
        "host_network": False,
        "active_deadline": None,
        "nodes_per_block": 1,
        "workload": "pod",
    }
    return settings.model_copy(update=only_for_workers)


def _leaves_lost_nodes(tolerations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    named = {each.get("key") for each in tolerations}
    own = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _LOST_AFTER}
        for key in _LOST
        if key not in named
    ]
    return [*tolerations, *own]


def _metadata(request: InterchangeRequest, owner: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": interchange_name(request),
        "labels": labels_of(request),
        "ownerReferences": [dict(owner)],
    }
