"""Chooses the user of containers, so that files which tasks make belong to the user of the script. No I/O.

::

    user= of the settings ─────────────────────────────────────────────────> that one
    no folder of this machine is mounted ──────────────────────────────────> the image's own
    engine of root ──> uid:gid of the script, with its groups                files belong to that user
    engine of a user (rootless) ──> 0:0, which stands for that user outside  the same
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config import DockerProvider

_ROOTLESS = "name=rootless"
"""Among the security options of an engine that a user runs: https://docs.docker.com/engine/security/rootless/."""


class ContainerUser(NamedTuple):
    """User of a container; an empty name is that of the settings, or else the image's own."""

    name: str = ""
    groups: tuple[str, ...] = ()
    can_enter: bool = False
    """It can enter the folders of the script's user."""

    def options(self) -> dict[str, Any]:
        """Return the options of ``docker create``."""
        options: dict[str, Any] = {"user": self.name} if self.name else {}
        return {**options, "group_add": list(self.groups)} if self.groups else options


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Return True if a user without rights runs the engine of this description."""
    # Podman 4.3 has a field of its own: https://docs.podman.io/en/v4.3/_static/api.html#tag/system-(compat)
    return _ROOTLESS in (info.get("SecurityOptions") or ()) or bool(info.get("Rootless"))


def choose_user(settings: DockerProvider, info: Mapping[str, Any]) -> ContainerUser:
    """Return the user of the containers of *settings*.

    Args:
        settings: what the user wrote.
        info: the engine's description of itself; an empty one is that of an engine of root.
    """
    own, own_group = os.getuid(), os.getgid()
    named = str(settings.create.get("user") or settings.user or "")
    if named:
        return ContainerUser(can_enter=named.partition(":")[0] in {"root", "0", str(own)})
    if not settings.shares_folders:
        return ContainerUser()
    if is_rootless(info):
        return ContainerUser("0:0", can_enter=True)
    groups = () if "group_add" in settings.create else tuple(sorted({str(group) for group in os.getgroups()}))
    return ContainerUser(f"{own}:{own_group}", tuple(each for each in groups if each != str(own_group)), can_enter=True)
