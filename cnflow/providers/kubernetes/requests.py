"""Makes what is sent to a cluster for a block, from values alone: asks no cluster and needs no client.

::

    BlockRequest ─┐
    settings ─────┼─ `workload_for` ──> Job of indexed pods, or a bare Pod ── `patched` ──> with the user's changes
    PodParts ─────┘
    BlockRequest ── `secret_content` ──> content of the block's Secret: the manager's settings, with its keys
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.providers._shared.registry_login import login_file
from cnflow.providers._shared.secrets import redact
from cnflow.providers.kubernetes.names import NAME, block_labels, object_name, user_label
from cnflow.providers.kubernetes.parts import SETTINGS_FILE, SETTINGS_KEY, PodParts, file_key
from cnflow.providers.kubernetes.patch import merge
from cnflow.providers.kubernetes.pod import CONTAINER, pod_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image

_KEPT = ("apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.ownerReferences")
"""Parts of an object that no patch may change: by them cnflow finds it, and the cluster removes it."""

_KEPT_OF_PODS = (*_KEPT, "spec.restartPolicy")


def workload_for(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> dict[str, Any]:
    """Return the object of a block: `job_for` or `pod_for`, by the settings' ``workload``."""
    return pod_for(request, settings, parts) if settings.workload == "pod" else job_for(request, settings, parts)


def job_for(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> dict[str, Any]:
    """Return the Job of a block, which holds no key.

    Args:
        request: for the block; its nodes are the pods of the Job.
        settings: what the user wrote; the options of the request's image win over them.
        parts: capsule, keys and owner.

    Raises:
        ConfigurationError: the options contradict each other, or a patch changes what cnflow depends on.
    """
    settings = settings.for_image(request.image)
    nodes = request.nodes
    # A node of several may fail while the others go on; the only one may not, nor is any started again: the driver
    # asks for another block, whose manager has keys of its own.
    several = {"completionMode": "Indexed", "backoffLimitPerIndex": 0} if nodes > 1 else {"backoffLimit": 0}
    limit = settings.active_deadline
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": object_name(request.name), **_metadata(request, settings), **_owned(parts)},
        "spec": {
            "completions": nodes,
            "parallelism": nodes,
            **several,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": math.ceil(settings.ttl),
            **({} if limit is None else {"activeDeadlineSeconds": math.ceil(limit)}),
            "template": _pod(request, settings, parts),
        },
    }
    return patched(job, settings)


def pod_for(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> dict[str, Any]:
    """Return the bare pod of a block of one node; see `job_for`."""
    settings = settings.for_image(request.image)
    pod = _pod(request, settings, parts)
    metadata = {"name": object_name(request.name), **pod["metadata"], **_owned(parts)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


def field_validation(settings: KubernetesProvider) -> dict[str, str]:
    """Return the parameters of a request that has the API server refuse fields that it does not know.

    Only where the user has written fields: those of cnflow may be newer than the server, which then ignores them.
    """
    has_fields = settings.patch or settings.affinity or settings.init_containers or settings.sidecars
    return {"fieldValidation": "Strict"} if has_fields else {}


def refuse_unfit(image: Image, nodes: int, settings: KubernetesProvider) -> None:
    """Refuse what no cluster could run.

    Raises:
        BlockRejectedError: the bare node is asked for, or several nodes of a bare pod.
        ConfigurationError: pods have no option that *image* sets.
    """
    if not image:
        raise BlockRejectedError(
            "KubernetesProvider runs images and was asked for the bare node. Give the executor or the app an image=, "
            "or use LocalProvider."
        )
    if nodes != 1 and settings.workload == "pod":
        raise BlockRejectedError(f"nodes_per_block={nodes}: a bare pod is one node. Leave out workload='pod'.")
    settings.for_image(image)


def patched(document: Mapping[str, Any], settings: KubernetesProvider) -> dict[str, Any]:
    """Return an object that cnflow sends, of any kind, with the changes of the settings for its kind.

    Raises:
        ConfigurationError: a patch does not fit the object, or changes what cnflow depends on.
    """
    made = dict(document)
    for patch in settings.patches_for(str(document["kind"])):
        made = merge(made, patch)
    _refuse_changed(document, made, _KEPT)
    return made


def secret_content(request: BlockRequest) -> dict[str, bytes]:
    """Return the content of the block's Secret by key: the manager's settings, or the files of its command."""
    if request.command is None:
        return {SETTINGS_KEY: request.manager.to_json()}
    return {file_key(number): content for number, content in enumerate(request.command.files.values())}


def credentials_content(image: Image) -> dict[str, bytes]:
    """Return the content of a Secret of the type ``kubernetes.io/dockerconfigjson`` with the image's credentials.

    Raises:
        ConfigurationError: the source of the password has none.
    """
    return {".dockerconfigjson": login_file(image)}


def preview_of(request: BlockRequest, settings: KubernetesProvider, parts: PodParts | None = None) -> dict[str, Any]:
    """Return the object of a block without the values of secret variables; *parts* None stands for any cluster's.

    Raises:
        ConfigurationError: as `job_for`.
    """
    refuse_unfit(request.image, request.nodes, settings)
    if parts is None:
        command = ("python3", "-I", "/.cnflow/capsule/cnflow/manager/__main__.py", SETTINGS_FILE)
        parts = PodParts(owner={}, secret=object_name(request.name), command=command)
    made = workload_for(request, settings, parts)
    spec = made["spec"] if made["kind"] == "Pod" else made["spec"]["template"]["spec"]
    for container in spec["containers"]:
        container["env"] = [_redacted(each) for each in container.get("env", ())]
    return made


def _redacted(variable: Mapping[str, Any]) -> dict[str, Any]:
    if "value" not in variable:
        return dict(variable)
    return {**variable, "value": redact({variable["name"]: variable["value"]})[variable["name"]]}


def _pod(request: BlockRequest, settings: KubernetesProvider, parts: PodParts) -> dict[str, Any]:
    """Return metadata and spec of the pods, with the changes of the user, and those of the image's own extras."""
    pod: dict[str, Any] = {"metadata": _metadata(request, settings), "spec": pod_spec(request, settings, parts)}
    made = pod
    for patch in (*settings.patches_for("Pod"), request.image.extras.get("kubernetes", {})):
        made = merge(made, patch)
    _refuse_changed(pod, made, _KEPT_OF_PODS)
    ours, theirs = _main(pod), _main(made)
    assert ours is not None  # each pod of cnflow's has it
    if theirs is None or any(ours.get(name) != theirs.get(name) for name in ("command", "args")):
        raise ConfigurationError(
            f"KubernetesProvider: patch: the container {CONTAINER!r} and what it runs may not be changed; use "
            "worker_init= for commands before the workers, or the image's entrypoint=."
        )
    return made


def _main(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((each for each in pod["spec"].get("containers", ()) if each["name"] == CONTAINER), None)


def _metadata(request: BlockRequest, settings: KubernetesProvider) -> dict[str, Any]:
    labels = block_labels(request.run, request.executor, request.block, user_label())
    return {
        "labels": {**settings.labels, **labels},
        "annotations": {**settings.annotations, NAME: request.name},
    }


def _owned(parts: PodParts) -> dict[str, Any]:
    return {"ownerReferences": [dict(parts.owner)]} if parts.owner else {}


def _refuse_changed(ours: Mapping[str, Any], theirs: Mapping[str, Any], paths: tuple[str, ...]) -> None:
    """Refuse a patch that changes one of *paths*, or a label of cnflow's.

    Raises:
        ConfigurationError: names it.
    """
    changed = [path for path in paths if _at(ours, path) != _at(theirs, path)]
    labels = _at(theirs, "metadata.labels") or {}
    own = {name: value for name, value in (_at(ours, "metadata.labels") or {}).items() if "cnflow" in f"{name}{value}"}
    changed += [f"metadata.labels.{name}" for name, value in own.items() if labels.get(name) != value]
    if changed:
        raise ConfigurationError(
            f"KubernetesProvider: patch: {changed[0]} may not be changed: cnflow finds its objects by it, or relies on "
            "it. Leave it out."
        )


def _at(document: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a part of an object
    found: Any = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
