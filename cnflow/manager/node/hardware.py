"""What the node has: cores that we may use, memory, CUDA devices."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from cnflow.manager.node.environment import cores_given, memory_given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

_ANSWER_WITHIN = 30.0
"""Seconds; a driver that is not loaded all the time takes several to tell what it has."""


def cores() -> float:
    """Cores for workers."""
    return cores_given(os.environ) or len(os.sched_getaffinity(0))


def memory() -> float:
    """Bytes for workers."""
    return memory_given(os.environ) or float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def cuda_devices() -> int:
    """CUDA devices of the node; 0 if it has none, or cannot tell."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        told = subprocess.run(
            [command, "-L"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_WITHIN, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("nvidia-smi does not tell how many devices there are: %s", error)
        return 0
    return sum(line.startswith(b"GPU ") for line in told.stdout.splitlines())


@contextlib.contextmanager
def keeping_to(wanted: Sequence[int]) -> Iterator[None]:
    """Processes that this thread starts meanwhile keep to *wanted*, and all that they start; empty changes nothing."""
    before = os.sched_getaffinity(0)
    if wanted:
        os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        if wanted:
            os.sched_setaffinity(0, before)
