"""Measures the node: cores, memory, CUDA devices; sets the core affinity of processes that are started."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from cnflow.manager.node.environment import cores_from, memory_from
from cnflow.tasks.control_groups import usable_cores, usable_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

_NVIDIA_SMI_TIMEOUT = 30.0
"""Seconds; a driver that is not loaded permanently needs several to list its devices."""


def core_count() -> float:
    """Cores for workers: granted by the provider, or else those that this process may use."""
    return cores_from(os.environ) or usable_cores()


def memory_bytes() -> float:
    """Bytes for workers: granted by the provider, or else those that this process may use."""
    return memory_from(os.environ) or usable_memory()


def cuda_device_count() -> int:
    """Number of CUDA devices of the node; 0 if it has none or ``nvidia-smi`` fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        listing = subprocess.run(
            [command, "-L"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_NVIDIA_SMI_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("cannot count CUDA devices, nvidia-smi failed: %s", error)
        return 0
    return sum(line.startswith(b"GPU ") for line in listing.stdout.splitlines())


@contextlib.contextmanager
def core_affinity(cores: Sequence[int]) -> Iterator[None]:
    """Restrict processes that this thread starts inside the block to *cores*; an empty sequence changes nothing."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, before)
