"""Options of `KubernetesProvider` that an `Image` stands for; those of the image win over the provider's. No I/O.

::

    KubernetesProvider(max_mem="4Gi", volumes=...) ──┐
                                                     ├──merged──> KubernetesProvider for this image alone ──> requests
    Image("app1:0.1", memory="8g", user="1000", ...) ┘

What a pod has no option for is refused, in the words of what to do instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from cnflow.config.kubernetes_volumes import PodVolume
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.image import Image
    from cnflow.model.image_parts import Mount

GPU = "nvidia.com/gpu"
"""Resource of GPUs where settings name no other."""

_PLATFORM = re.compile(r"(?P<os>[a-z0-9]+)/(?P<arch>[a-z0-9]+)(/.*)?")


def options_for(image: Image, provider: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `KubernetesProvider` that *image* changes, with their values.

    Args:
        image: what is run; its options win.
        provider: options of the provider, by name.

    Raises:
        ConfigurationError: pods have no such option; the message says what there is instead.
    """
    _refuse_unknown(image)
    changed: dict[str, Any] = {}
    if image.pull is not None:
        changed["pull"] = image.pull
    if image.cpus is not None:
        changed["init_cpu"] = changed["max_cpu"] = image.cpus
    if image.memory is not None:
        changed["init_mem"] = changed["max_mem"] = image.memory
    if isinstance(image.gpus, int):
        name = next(iter(provider["gpus"]), GPU) if isinstance(provider["gpus"], dict) else GPU
        changed["gpus"] = {name: image.gpus} if image.gpus else None
    if image.user:
        changed.update(_user(image))
    if image.environment:
        changed["environment"] = {**provider["environment"], **image.environment}
    if image.mounts:
        own = [_volume(image, mount) for mount in image.mounts]
        targets = {volume.target for volume in own}
        changed["volumes"] = [*(one for one in provider["volumes"] if one.target not in targets), *own]
    if image.platform:
        changed["node_selector"] = {**provider["node_selector"], **_nodes_of(image)}
    return changed


def _refuse_unknown(image: Image) -> None:
    if isinstance(image.gpus, tuple) or image.gpus == -1:
        wanted = f"those called {', '.join(image.gpus)}" if isinstance(image.gpus, tuple) else "all that there are"
        _refuse(image, f"gpus: a pod gets a number of GPUs, not {wanted}; write the number, such as gpus=1")
    if image.pids is not None:
        _refuse(image, "pids: a pod has no such limit; the kubelet has one for all of its pods (podPidsLimit)")
    if image.ulimits:
        _refuse(image, "ulimits: a pod has none; they are those of the node's container runtime")
    if image.network not in {"", "host"}:
        _refuse(image, f"network={image.network!r}: pods have the cluster's network; only 'host' is another one")


def _user(image: Image) -> dict[str, int]:
    user, _, group = image.user.partition(":")
    if not user.isdigit() or not (group.isdigit() or not group):
        _refuse(image, f"user={image.user!r}: Kubernetes takes numbers, not names; write them as 'UID' or 'UID:GID'")
    return {"user_id": int(user), **({"group_id": int(group)} if group else {})}


def _volume(image: Image, mount: Mount) -> PodVolume:
    read_only = bool(mount.read_only)
    if mount.kind == "tmpfs":
        return PodVolume(kind="empty_dir", target=mount.target, in_memory=True, size=mount.size, read_only=read_only)
    if mount.kind == "volume":
        return PodVolume(kind="pvc", source=mount.source, target=mount.target, read_only=read_only)
    if not mount.source.startswith("/"):
        _refuse(image, f"mounts: {mount.source!r} is a path of the driver's machine; write one of the node, from / on")
    return PodVolume(kind="host_path", source=mount.source, target=mount.target, read_only=read_only)


def _nodes_of(image: Image) -> dict[str, str]:
    written = _PLATFORM.fullmatch(image.platform)
    if written is None:
        _refuse(image, f"platform={image.platform!r} is written 'linux/amd64' or 'linux/arm64'")
    return {"kubernetes.io/os": written["os"], "kubernetes.io/arch": written["arch"]}


def _refuse(image: Image, why: str) -> NoReturn:
    raise ConfigurationError(f"Image {image.name!r} on KubernetesProvider: {why}.")
