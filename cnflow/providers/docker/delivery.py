"""Brings the capsule to containers: mounted read-only where the engine sees this machine, else unpacked in each.

::

    remote engine, SELinux, cache on a file system without execution ──> tar, put into each container
    engine behind a socket file ──> folder of the cache, mounted read-only      shared by all containers: nothing copied
                                        └── the engine refuses that folder, e.g. the driver is in a container itself:
                                            tar, from now on; one log line
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from cnflow.capsule import Kind
    from cnflow.errors import BlockError

    Make = Callable[[Kind, Path | None], Path]

logger = logging.getLogger(__name__)

_SELINUX = "name=selinux"
"""Among the security options of an engine that labels its containers; they can read no file of a home folder."""


class CapsuleDelivery:
    """Way of cnflow's code into the containers of one engine.

    Args:
        cache_dir: where capsules are kept; None decides by `cnflow.capsule.default_cache_dir`.
        tar: makes the tar of a capsule, or takes it from the cache.
        folder: the same for the folder.
        may_mount: the engine is one of this machine, by its address.
    """

    def __init__(self, cache_dir: Path | None, *, tar: Make, folder: Make, may_mount: bool) -> None:
        self._cache_dir = cache_dir
        self._tar = tar
        self._folder = folder
        self._may_mount = may_mount
        self._lock = threading.Lock()

    def prepare(self, kind: Kind, info: Mapping[str, Any]) -> None:
        """Have the capsule for *kind* ready, in the form that an engine of this description needs.

        Raises:
            CapsuleError: it cannot be made.
        """
        if self._may_mount and _SELINUX in (info.get("SecurityOptions") or ()):
            self._give_up("the engine runs with SELinux, which keeps containers from reading the cache")
        if self._may_mount:
            folder = self._folder(kind, self._cache_dir)
            if os.statvfs(folder).f_flag & os.ST_NOEXEC:
                self._give_up(f"{folder} is on a file system mounted with noexec")
        if not self._may_mount:
            self._tar(kind, self._cache_dir)

    def folder_to_mount(self, kind: Kind) -> str:
        """Return the folder to mount in a container; empty if the capsule is to be unpacked there."""
        return str(self._folder(kind, self._cache_dir)) if self._may_mount else ""

    def tar(self, kind: Kind) -> Path:
        """Return the tar to unpack in a container."""
        return self._tar(kind, self._cache_dir)

    def on_refused(self, refusal: BlockError, folder: str) -> bool:
        """Return True if the engine refused a container for the mount of *folder*: then it is not mounted any more."""
        if not folder or folder not in str(refusal):
            return False
        self._give_up(f"the engine does not see it ({str(refusal).splitlines()[0]})")
        return True

    def _give_up(self, why: str) -> None:
        with self._lock:
            was_mounting, self._may_mount = self._may_mount, False
        if was_mounting:
            logger.info("the capsule is copied into each container instead of being mounted: %s", why)
