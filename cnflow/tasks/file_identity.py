"""Identity of an open file among those of all machines: two processes find out whether they see the same one."""

from __future__ import annotations

import functools
import os
import platform


def identity_of(descriptor: int) -> str:
    """Return what tells an open file from all others: of this machine's, and of those of other machines."""
    status = os.fstat(descriptor)
    return f"{_boot_id()}:{status.st_dev}:{status.st_ino}"


@functools.lru_cache(maxsize=None)
def _boot_id() -> str:
    """Name of the running kernel: numbers of devices and inodes are alike on machines of one kind (random(4))."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return platform.node()
