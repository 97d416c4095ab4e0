"""Folders that a container gets from outside, as the options of `DockerProvider` name them. Asks no engine.

::

    mounts={"/srv/data": "/data:ro"} ───────────┐
    create={"mounts": [...], "volumes": ...} ───┼──> `targets_of`: path in the container -> what outlives it there
    create={"tmpfs": {...}} ────────────────────┘
    folders of the driver ──`mountable`──> those that may be put over folders of an image
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnflow.model.visible_files import enclosing_folder

_NEVER_MOUNTED = frozenset(
    {
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32"),
        *("/opt", "/proc", "/run", "/sbin", "/sys", "/usr", "/usr/local", "/var"),
    },
)
"""Folders that hold an image's own programs and state; mounted, they would hide these."""

_NEVER_MOUNTED_BELOW = ("/dev", "/proc", "/sys")


def targets_of(mounts: Mapping[str, str], create: Mapping[str, Any]) -> dict[str, bool]:
    """Return each path in the container at which something is mounted; True if that outlives the container.

    Args:
        mounts: `DockerProvider.mounts`.
        create: `DockerProvider.create`, whose options have the forms that the Docker SDK accepts.
    """
    found = {re.sub(r":r[ow]$", "", target): True for target in mounts.values()}
    for mount in create.get("mounts") or ():
        if isinstance(mount, Mapping) and mount.get("Target"):
            found[str(mount["Target"])] = mount.get("Type") != "tmpfs" and bool(mount.get("Source"))
    volumes = create.get("volumes") or ()
    if isinstance(volumes, Mapping):
        found.update({str(bind["bind"]): True for bind in volumes.values() if isinstance(bind, Mapping)})
    else:
        for volume in [volumes] if isinstance(volumes, str) else volumes:
            source, _, target = str(volume).partition(":")
            found[target.partition(":")[0] or source] = bool(target)
    tmpfs = create.get("tmpfs") or ()
    found.update({str(path).partition(":")[0]: False for path in tmpfs})
    return {os.path.normpath(path): lasts for path, lasts in found.items()}


def mountable(folders: Sequence[str], taken: Mapping[str, bool]) -> tuple[str, ...]:
    """Return the fewest of *folders* that hold all of them which can be mounted at their own paths.

    Args:
        folders: absolute paths on the driver's machine; empty ones are left out.
        taken: paths at which the user mounts something.
    """
    fit = [folder for folder in dict.fromkeys(folders) if folder and not _is_of_the_image(folder)]
    outermost = [folder for folder in fit if not enclosing_folder(folder.rpartition("/")[0], fit)]
    return tuple(folder for folder in outermost if folder not in taken)


def _is_of_the_image(folder: str) -> bool:
    return folder in _NEVER_MOUNTED or bool(enclosing_folder(folder, _NEVER_MOUNTED_BELOW))
