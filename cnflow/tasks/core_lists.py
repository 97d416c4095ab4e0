"""Parses the option ``cpu_affinity``. No I/O."""

from __future__ import annotations

import re

SPREADS = ("none", "block", "block-reverse", "alternating")
"""Values of ``cpu_affinity`` besides ``list:...``."""


_LIST = re.compile(r"list(:\d+(-\d+)?(,\d+(-\d+)?)*)+", re.ASCII)


def parse_core_list(affinity: str) -> list[list[int]]:
    """Return the cores of each worker from a text such as ``list:0,1:4-7``; empty for one of `SPREADS`.

    Raises:
        ValueError: it is neither.
    """
    if affinity in SPREADS:
        return []
    if not _LIST.fullmatch(affinity):
        raise ValueError(
            f"{affinity!r} is neither one of {', '.join(SPREADS)} nor a list of the cores of each worker, "
            "such as 'list:0,1:2-3'"
        )
    return [[core for part in worker.split(",") for core in _parse_range(part)] for worker in affinity.split(":")[1:]]


def _parse_range(part: str) -> range:
    first, dash, last = part.partition("-")
    run = range(int(first), int(last if dash else first) + 1)
    if not run:
        raise ValueError(f"the range of cores {part!r} ends before it begins")
    return run
