"""Units of time and memory: a unit is a type, or part of a name."""

from __future__ import annotations

import math
import re
from typing import NewType, Union

Seconds = NewType("Seconds", float)
"""A length of time, or a time of a monotonic clock."""

GIB = 1024**3
"""Bytes in a gibibyte."""

_PERIOD_UNITS = (3600, 60, 1)

_MEMORY_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}{end}": 1024**power for power, letter in enumerate("kmgt", 1) for end in ("", "i", "ib")},
}

_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def bytes_in(size: object) -> int:
    """Return the bytes in *size*: a number of bytes, or a text such as ``"4GB"``, ``"512MiB"`` or ``"2g"``.

    The one rule for memory everywhere: ``kB``, ``MB``, ``GB``, ``TB`` are powers of 1000; ``KiB``, ``MiB``, ``GiB``,
    ``TiB``, their short forms ``Ki``, ``Mi``, ``Gi``, ``Ti`` of Kubernetes, and the bare letters ``k``, ``m``, ``g``,
    ``t`` of Docker and of batch systems, are powers of 1024. Upper and lower case mean the same; a part of a byte
    counts as one.

    Raises:
        ValueError: *size* is neither, or not above 0; the message says what is.
    """
    amount = 0.0
    if isinstance(size, str):
        written = _MEMORY.fullmatch(size.strip())
        amount = float(written[1]) * _MEMORY_UNITS.get(written[2].lower(), 0) if written else 0.0
    elif isinstance(size, (int, float)) and not isinstance(size, bool) and math.isfinite(size):
        amount = float(size)
    if amount <= 0:
        raise ValueError(f"must be a number of bytes above 0 or a text such as '4GB' or '512MiB', not {size!r}")
    return math.ceil(amount)


def seconds_of_period(period: Union[str, float]) -> float:
    """Parse *period*, ``"HH:MM:SS"`` or a number of seconds; return seconds.

    Raises:
        ValueError: *period* is neither, or not above 0; the message shows an example.
    """
    seconds: float
    if isinstance(period, str):
        written = re.fullmatch(r"(\d+):([0-5]?\d):([0-5]?\d)", period.strip())
        seconds = sum(int(part) * unit for part, unit in zip(written.groups(), _PERIOD_UNITS)) if written else 0
    else:
        seconds = period
    if not 0 < seconds < float("inf"):
        raise ValueError(f"a period is written 'HH:MM:SS', e.g. '00:30:00', or is a number of seconds, not {period!r}")
    return float(seconds)
