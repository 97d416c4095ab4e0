"""Makes the pods of a block from values alone: their metadata and their ``spec``. No I/O.

::

    pod
    ├── init containers   that of the capsule, those of the user, sidecars (which stay)
    ├── container cnflow  the manager, which starts the workers
    │     /.cnflow/run    Secret of the block: the manager's settings, with its keys
    │     /.cnflow/...    capsule
    │     /run/secrets    secrets of the image, which the manager writes into memory
    │     TARGET          volumes of the user
    └── volumes
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.config.kubernetes_quantities import cpu_quantity, memory_quantity
from cnflow.model.image_options import KEPT
from cnflow.model.image_parts import SECRETS_FOLDER
from cnflow.providers.kubernetes.parts import SETTINGS_FOLDER, file_key
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.config.kubernetes_volumes import PodVolume
    from cnflow.model.block import BlockRequest
    from cnflow.providers.kubernetes.parts import PodParts

CONTAINER = "cnflow"
"""Name of the container of the workers."""

_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_PULL = {"missing": "IfNotPresent", "always": "Always", "never": "Never"}
_GRACE = 20.0
"""Seconds beyond the grace period of tasks for the manager's own end, and for the last results."""


class _Volumes(NamedTuple):
    """Volumes of a pod, and where its main container has them."""

    volumes: list[Mapping[str, Any]]
    mounts: list[Mapping[str, Any]]

    def add(self, name: str, source: Mapping[str, Any], target: str, **options: object) -> None:
        """Add a volume that is mounted once."""
        self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": target, **options})


def pod_spec(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> dict[str, Any]:
    """Return the ``spec`` of the pods of a block.

    Args:
        request: for the block.
        settings: those for the image of the request; see `KubernetesProvider.for_image`.
        parts: capsule and keys.
    """
    folders = _volumes(request, settings, parts)
    main = _main_container(request, settings, parts, folders.mounts)
    own = [{"resources": main["resources"], **each} for each in parts.init_containers]
    sidecars = [{**each, "restartPolicy": "Always"} for each in settings.sidecars]
    inits = [_secured(each, settings) for each in (*own, *settings.init_containers, *sidecars)]
    return _present(
        {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _termination_grace(request, settings),
            "activeDeadlineSeconds": _deadline(request, settings),
            "serviceAccountName": settings.service_account,
            "automountServiceAccountToken": settings.service_account is not None,
            "enableServiceLinks": False,  # variables for each Service of the namespace, which may be hundreds
            "imagePullSecrets": [{"name": name} for name in (*settings.image_pull_secrets, *parts.pull_secrets)],
            "nodeSelector": settings.node_selector,
            "affinity": settings.affinity,
            "tolerations": settings.tolerations,
            "priorityClassName": settings.priority_class,
            "runtimeClassName": settings.runtime_class,
            **_network(request, settings),
            "securityContext": _pod_security(settings),
            "initContainers": inits,
            "containers": [_secured(main, settings)],
            "volumes": folders.volumes,
        }
    )


def pull_policy(settings: KubernetesProvider) -> dict[str, str]:
    """Return the option of a container by which its image is pulled."""
    return {} if settings.pull is None else {"imagePullPolicy": _PULL[settings.pull]}


def literal(text: str) -> str:
    """Return *text* so that Kubernetes passes it on as it is: it replaces ``$(NAME)``, and makes one ``$`` of two."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def _main_container(
    request: BlockRequest, settings: KubernetesProvider, parts: PodParts, mounts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    image = request.image
    argv = request.command.argv if request.command is not None else parts.command
    return _present(
        {
            "name": CONTAINER,
            "image": image.reference,
            **pull_policy(settings),
            **_entrypoint(image.entrypoint, [literal(word) for word in _with_init(settings.worker_init, argv)]),
            "workingDir": _working_dir(request, settings),
            "env": _environment(request, settings, parts),
            "envFrom": [_source(each.kind, each.name, each.prefix) for each in settings.environment_from],
            "resources": _resources(settings),
            "volumeMounts": mounts,
        }
    )


def _with_init(worker_init: str, argv: Sequence[str]) -> list[str]:
    """Return *argv*, after the shell commands of the user in the same shell."""
    if not worker_init.strip() or not argv:
        return list(argv)
    return ["/bin/sh", "-c", f'{worker_init.rstrip()}\nexec "$@"', "sh", *argv]


def _entrypoint(entrypoint: str | tuple[str, ...], argv: list[str]) -> dict[str, list[str]]:
    """Return the options that run *argv*, directly or by an entrypoint: ``command`` is Docker's ENTRYPOINT."""
    if entrypoint == KEPT:
        return {"args": argv}
    if isinstance(entrypoint, tuple):
        return {"command": list(entrypoint), "args": argv}
    return {"command": argv}


def _working_dir(request: BlockRequest, settings: KubernetesProvider) -> str:
    if request.image.working_dir:
        return request.image.working_dir
    return "/tmp" if settings.read_only_root and not request.manager.working_dir else ""  # noqa: S108 - of the pod


def _environment(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> list[dict[str, Any]]:
    """Return the variables; inside, Python sees the whole node, and so the pod's limits are told to the manager."""
    cores = settings.traits().cores
    shares = {} if cores is None else {"CNFLOW_CORES": f"{cores:g}"}
    if settings.max_mem is not None:
        shares["CNFLOW_MEMORY"] = str(bytes_in(settings.max_mem))
    own = request.command.environment if request.command is not None else {}
    texts = {**shares, **settings.environment, **parts.environment, **own}
    variables: list[dict[str, Any]] = [{"name": name, "value": literal(text)} for name, text in texts.items()]
    for name, source in settings.secret_environment.items():
        secret, _, key = source.partition("/")
        variables.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    if request.nodes > 1:
        variables.append({"name": "CNFLOW_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}})
    return variables


def _source(kind: str, name: str, prefix: str) -> dict[str, Any]:
    reference = {"secretRef" if kind == "secret" else "configMapRef": {"name": name}}
    return {"prefix": prefix, **reference} if prefix else reference


def _resources(settings: KubernetesProvider) -> dict[str, Any]:
    """Return requests and limits; of an extended resource such as a GPU, a limit is its request."""
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {name: str(number) for name, number in settings.gpu_resources.items() if number}
    if settings.init_cpu is not None:
        requests["cpu"] = cpu_quantity(settings.init_cpu)
    if settings.init_mem is not None:
        requests["memory"] = memory_quantity(settings.init_mem)
    if settings.max_cpu is not None:
        limits["cpu"] = cpu_quantity(settings.max_cpu)
    if settings.max_mem is not None:
        limits["memory"] = memory_quantity(settings.max_mem)
    requests.update({name: str(amount) for name, amount in settings.extra_requests.items()})
    limits.update({name: str(amount) for name, amount in settings.extra_limits.items()})
    return _present({"requests": requests, "limits": limits})


def _volumes(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> _Volumes:
    made = _Volumes(list(parts.volumes), list(parts.mounts))
    image = request.image
    targets = {volume.target for volume in settings.volumes}
    if parts.secret:
        made.volumes.append(
            {"name": "settings", "secret": {"secretName": parts.secret, "defaultMode": _mode(settings, parts)}}
        )
        if request.command is None:
            made.mounts.append({"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True})
        else:
            for number, path in enumerate(request.command.files):
                mount = {"name": "settings", "mountPath": path, "subPath": file_key(number), "readOnly": True}
                made.mounts.append(mount)
    if any(secret.delivery == "file" for secret in image.secrets.values()):
        made.add("secrets", {"emptyDir": {"medium": "Memory"}}, SECRETS_FOLDER)
    if image.shared_memory is not None:
        limit = memory_quantity(image.shared_memory)
        made.add("shared-memory", {"emptyDir": {"medium": "Memory", "sizeLimit": limit}}, "/dev/shm")  # noqa: S108 - of the pod
    if settings.read_only_root and "/tmp" not in targets:  # noqa: S108 - of the pod
        made.add("tmp", {"emptyDir": {}}, "/tmp")  # noqa: S108 - of the pod
    for number, volume in enumerate(settings.volumes):
        options = _present({"readOnly": volume.read_only or None, "subPath": volume.sub_path})
        made.add(f"volume-{number}", _volume_source(volume), volume.target, **options)
    return made


def _mode(settings: KubernetesProvider, parts: PodParts) -> int:
    """Return the mode of the files of the Secret, which belong to root, and to the group of the pod if it has one."""
    user = parts.uid if settings.user_id is None else settings.user_id
    if user == 0:
        return 0o400
    return 0o444 if settings.group_id is None else 0o440


def _volume_source(volume: PodVolume) -> dict[str, Any]:
    if volume.kind == "pvc":
        return {"persistentVolumeClaim": {"claimName": volume.source}}
    if volume.kind == "config_map":
        return {"configMap": {"name": volume.source}}
    if volume.kind == "secret":
        return {"secret": {"secretName": volume.source}}
    if volume.kind == "host_path":
        return {"hostPath": {"path": volume.source}}
    limit = None if volume.size is None else memory_quantity(volume.size)
    return {"emptyDir": _present({"medium": "Memory" if volume.in_memory else "", "sizeLimit": limit})}


def _network(request: BlockRequest, settings: KubernetesProvider) -> dict[str, Any]:
    if settings.host_network or request.image.network == "host":
        return {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return {}


def _pod_security(settings: KubernetesProvider) -> dict[str, Any]:
    group = settings.group_id
    owned = {} if group is None else {"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}
    restricted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} if settings.is_restricted else {}
    users = {name: each for name, each in (("runAsUser", settings.user_id), ("runAsGroup", group)) if each is not None}
    return {**users, **owned, **restricted}


def _secured(container: Mapping[str, Any], settings: KubernetesProvider) -> dict[str, Any]:
    """Return *container* with the security of the settings, unless it has its own."""
    context: dict[str, Any] = {}
    if settings.is_restricted:
        context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if settings.read_only_root:
        context["readOnlyRootFilesystem"] = True
    return (
        {**container, "securityContext": {**context, **container.get("securityContext", {})}}
        if context
        else {**container}
    )


def _termination_grace(request: BlockRequest, settings: KubernetesProvider) -> int:
    grace = settings.termination_grace
    return math.ceil(request.manager.grace_period + _GRACE if grace is None else grace)


def _deadline(request: BlockRequest, settings: KubernetesProvider) -> int | None:
    """Return the seconds after which the kubelet ends a pod whose manager has not ended itself at its walltime.

    The kubelet counts from before it pulls the image, the manager from its own start.
    """
    return None if request.walltime is None else math.ceil(request.walltime + settings.startup_timeout)


def _present(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* without those that are left to the cluster."""
    empty: Iterable[object] = (None, "", [], {}, ())
    return {name: value for name, value in options.items() if value not in empty}
