"""Options of a Docker engine that an `Image` stands for; those of the image win over the provider's. No I/O.

::

    DockerProvider(memory="4g", mounts=...) ──┐
                                              ├──merged──> DockerProvider for this image alone ──> requests
    Image("app1:0.1", memory="8g", ...) ──────┘

Names of ``docker.containers.create``: https://docker-py.readthedocs.io/en/stable/containers.html.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cnflow.config.paths import expand_path
from cnflow.model.image_parts import SECRETS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.image import Image
    from cnflow.model.image_parts import Mount

_OWN_OPTIONS = ("pull", "network", "cpus", "memory", "gpus", "user")
"""Options that `Image` and `DockerProvider` both have, under the same names."""


def options_for(image: Image, provider: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `DockerProvider` that *image* changes, with their values.

    Args:
        image: what is run; its options win.
        provider: options of the provider, by name.

    Raises:
        ValueError: a path of a mount names a variable that is not set.
    """
    changed: dict[str, Any] = {
        name: value for name in _OWN_OPTIONS if (value := getattr(image, name)) not in (None, "")
    }
    if isinstance(image.gpus, tuple):
        changed["gpus"] = list(image.gpus)
    if image.environment:
        changed["environment"] = {**provider["environment"], **image.environment}
    create = _create_options(image, provider["create"])
    extras = image.extras.get("docker", {})
    return {**changed, "create": {**provider["create"], **create, **extras}} if create or extras else changed


def _create_options(image: Image, theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``docker create`` that `DockerProvider` has no option of its own for."""
    options: dict[str, Any] = {}
    if image.platform:
        options["platform"] = image.platform
    if image.working_dir:
        options["working_dir"] = image.working_dir
    if image.shared_memory is not None:
        options["shm_size"] = image.shared_memory
    if image.pids is not None:
        options["pids_limit"] = image.pids
    if image.ulimits:
        limits = {name: {"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in image.ulimits.items()}
        options["ulimits"] = [
            *(one for one in theirs.get("ulimits") or () if one["Name"] not in limits),
            *limits.values(),
        ]
    mounts = [_mount(mount) for mount in image.mounts]
    if any(secret.delivery == "file" for secret in image.secrets.values()):
        mounts.append(
            {
                "Type": "tmpfs",
                "Source": "",
                "Target": SECRETS_FOLDER,
                "ReadOnly": False,
                "TmpfsOptions": {"Mode": 0o1777},
            }
        )
    if mounts:
        own = {mount["Target"] for mount in mounts}
        options["mounts"] = [*(one for one in theirs.get("mounts") or () if one.get("Target") not in own), *mounts]
    return options


def _mount(mount: Mount) -> dict[str, Any]:
    """Return a mount as the engine takes it; a path that does not exist is refused, not made.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate (Mount)
    """
    made: dict[str, Any] = {
        "Type": mount.kind,
        "Source": _path(mount.source) if mount.kind == "bind" else mount.source,
        "Target": mount.target,
        "ReadOnly": bool(mount.read_only),
    }
    if mount.size is not None:
        made["TmpfsOptions"] = {"SizeBytes": mount.size}
    return made


def _path(source: str) -> str:
    """Return the path of a bind mount, of this machine unless it is absolute as it is written."""
    expanded = expand_path(source)
    return os.path.abspath(expanded) if expanded.startswith(".") else expanded  # noqa: PTH100 - a str, as all paths of mounts
