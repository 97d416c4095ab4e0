"""Which cores a user lists for the workers of a node; pure."""

from __future__ import annotations

import re

SPREADS = ("none", "block", "block-reverse", "alternating")
"""What ``cpu_affinity`` may be, besides ``list:...``."""


_LIST = re.compile(r"list(:\d+(-\d+)?(,\d+(-\d+)?)*)+", re.ASCII)


def listed_cores(affinity: str) -> list[list[int]]:
    """Cores of each worker by ``list:0,1:4-7``; empty for one of `SPREADS`.

    Raises:
        ValueError: it is neither.
    """
    if affinity in SPREADS:
        return []
    if not _LIST.fullmatch(affinity):
        raise ValueError(
            f"{affinity!r} is none of {', '.join(SPREADS)}, and no list of the cores of each worker, "
            "such as 'list:0,1:2-3'"
        )
    return [[core for part in worker.split(",") for core in _run_of(part)] for worker in affinity.split(":")[1:]]


def _run_of(part: str) -> range:
    first, dash, last = part.partition("-")
    run = range(int(first), int(last if dash else first) + 1)
    if not run:
        raise ValueError(f"the cores {part!r} end before they begin")
    return run
